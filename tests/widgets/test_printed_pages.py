"""The report on paper: where its pages end."""

from qtpy.QtCore import QSizeF
from qtpy.QtGui import QTextDocument

from napari_hagmil.widgets.review.sign_off.pdf import _keep_tables_whole

CARD = "<table><tr><td>picture<br>words<br>words<br>words</td></tr></table>"


def pages_of(document):
    """Of each table: the page of its first line, of its last, and of the heading above it."""
    height, layout = document.pageSize().height(), document.documentLayout()
    found = []
    for table in document.rootFrame().childFrames():
        place = layout.frameBoundingRect(table)
        heading = document.findBlock(table.firstPosition() - 2)
        while not heading.blockFormat().headingLevel():
            heading = heading.previous()
        ends = (place.top(), place.bottom() - 1, layout.blockBoundingRect(heading).top())
        found.append([int(y // height) for y in ends])
    return found


def test_no_table_is_cut_by_the_end_of_a_page_and_its_heading_goes_with_it(qapp):
    cut = 0
    for lines in range(30):
        document = QTextDocument()
        document.setPageSize(QSizeF(300, 300))
        document.setHtml(f"{'<p>line</p>' * lines}<h2>Regions</h2><p>all of them</p>{CARD}")
        cut += len(set(pages_of(document)[0])) > 1
        _keep_tables_whole(document)
        assert len(set(pages_of(document)[0])) == 1
    assert cut > 3
