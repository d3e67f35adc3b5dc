"""The report on paper, laid out by Qt: no other program and no browser is needed."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QLocale, QMarginsF, QRectF, QSizeF, Qt
from qtpy.QtGui import (
    QFont,
    QPageLayout,
    QPageSize,
    QPainter,
    QPdfWriter,
    QTextBlock,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextFrame,
)

from napari_hagmil.errors import OutputError

#: px of Qt's documents per inch, and pt of the foot of a page.
_DPI, _FOOT_PT = 96, 8

#: A heading belongs to a table when no more than one line of text is between them.
_HEADED = 2

_MARGINS_MM = QMarginsF(16, 14, 16, 18)


def usual_paper() -> QPageSize.PageSizeId:
    """Letter where people measure in inches, else A4."""
    inches = QLocale.MeasurementSystem.ImperialUSSystem
    letter = QLocale().measurementSystem() == inches
    return QPageSize.PageSizeId.Letter if letter else QPageSize.PageSizeId.A4


def write_pdf(
    page: str, path: Path, *, foot: str, paper: QPageSize.PageSizeId | None = None
) -> None:
    """Print a page of `report_page(…, layout="print")` into a file.

    Parameters
    ----------
    page : str
        HTML.
    path : Path
        Replaced.
    foot : str
        At the foot of every page, beside its number.
    paper : QPageSize.PageSizeId, optional
        Else as is usual here.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    writer = QPdfWriter(str(path))
    writer.setResolution(_DPI * 4)
    writer.setTitle(foot)
    writer.setCreator("napari-hagmil")
    layout = QPageLayout(
        QPageSize(paper or usual_paper()),
        QPageLayout.Orientation.Portrait,
        _MARGINS_MM,
        QPageLayout.Unit.Millimeter,
    )
    writer.setPageLayout(layout)
    document = QTextDocument()
    document.setDocumentMargin(0)
    # Else Qt takes the sizes of pictures for those of the screen at hand.
    document.setDefaultFont(QFont("sans-serif", 10))
    body = QSizeF(layout.paintRectPixels(_DPI).size())
    document.setPageSize(body)
    document.setHtml(page)
    _keep_tables_whole(document)
    painter = QPainter()
    if not painter.begin(writer):
        raise OutputError(
            path.name, "cannot be written", remedy="choose another folder, or make room there"
        )
    try:
        _print(document, painter, writer, foot)
    finally:
        painter.end()


def _keep_tables_whole(document: QTextDocument) -> None:
    """Begin a page before what the end of one would cut: Qt cuts between a picture and its words.

    The heading of a table goes with it.
    """
    height, layout = document.pageSize().height(), document.documentLayout()
    for table in document.rootFrame().childFrames():
        place, heading = layout.frameBoundingRect(table), _heading_of(document, table)
        top = layout.blockBoundingRect(heading).top() if heading else place.top()
        is_cut = top // height != (place.bottom() - 1) // height
        if is_cut and place.bottom() - top < height:
            _begin_page(heading or table)


def _heading_of(document: QTextDocument, table: QTextFrame) -> QTextBlock | None:
    block = document.findBlock(table.firstPosition() - 2)
    for _ in range(_HEADED):
        if block.blockFormat().headingLevel():
            return block
        block = block.previous()
    return None


def _begin_page(what: QTextBlock | QTextFrame) -> None:
    policy = QTextFormat.PageBreakFlag.PageBreak_AlwaysBefore
    if isinstance(what, QTextBlock):
        heading = what.blockFormat()
        heading.setPageBreakPolicy(policy)
        QTextCursor(what).setBlockFormat(heading)
    else:
        look = what.frameFormat()
        look.setPageBreakPolicy(policy)
        what.setFrameFormat(look)


def _print(document: QTextDocument, painter: QPainter, writer: QPdfWriter, foot: str) -> None:
    body, scale = document.pageSize(), writer.resolution() / _DPI
    for number in range(document.pageCount()):
        if number:
            writer.newPage()
        painter.save()
        painter.scale(scale, scale)
        painter.translate(0, -number * body.height())
        view = QRectF(0, number * body.height(), body.width(), body.height())
        document.drawContents(painter, view)
        painter.restore()
        painter.setFont(QFont("sans-serif", _FOOT_PT))
        painter.setPen(Qt.GlobalColor.darkGray)
        below = QRectF(0, (body.height() + 12) * scale, body.width() * scale, 30 * scale)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, foot)
        pages = f"{number + 1} / {document.pageCount()}"
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, pages)
