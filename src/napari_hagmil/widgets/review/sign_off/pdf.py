"""The report on paper, laid out by Qt: no other program and no browser is needed."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QLocale, QMarginsF, QRectF, QSizeF, Qt
from qtpy.QtGui import QFont, QPageLayout, QPageSize, QPainter, QPdfWriter, QTextDocument

from napari_hagmil.errors import OutputError

#: px of Qt's documents per inch, and pt of the foot of a page.
_DPI, _FOOT_PT = 96, 8

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
    painter = QPainter()
    if not painter.begin(writer):
        raise OutputError(
            path.name, "cannot be written", remedy="choose another folder, or make room there"
        )
    try:
        _print(document, painter, writer, foot)
    finally:
        painter.end()


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
