"""A place in the quadtree: its node at every depth, as pictures side by side, coarse to fine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPalette, QPen
from qtpy.QtWidgets import QWidget

from napari_hagmil.plugin.colors import FOLLOWED, UNREAD
from napari_hagmil.widgets.style import explain

_GAP, _CAPTION, _SIDE = 10, 18, 116

#: Around a picture, on the dock: the shade that marks a cut on the slide would not show there.
_CUT = "#8a929e"


@dataclass(frozen=True)
class Leaf:
    """One picture of the strip.

    Attributes
    ----------
    depth : int
        0 = coarsest.
    label, status : str
        Its magnification, and whether it was followed, cut or not visited.
    picture : (h, w, 3) uint8 or None
        None while it is being read.
    child : tuple of int or None
        Which quarter (row, column) the next picture shows.
    """

    depth: int
    label: str
    status: str
    picture: NDArray[np.uint8] | None = None
    child: tuple[int, int] | None = None


class TreeStrip(QWidget):  # type: ignore[misc]
    """Paints the pictures; the frame shows whether the node was followed."""

    def __init__(self) -> None:
        super().__init__()
        self.leaves: tuple[Leaf, ...] = ()
        self.setFixedHeight(_SIDE + _CAPTION + 4)
        self.setAccessibleName("The place at every depth")

    def show_leaves(self, leaves: tuple[Leaf, ...]) -> None:
        """Replace the pictures."""
        self.leaves = leaves
        explain(self, "\n".join(f"{leaf.label}: {leaf.status}" for leaf in leaves))
        self.update()

    def paintEvent(self, event: object) -> None:  # noqa: N802
        """Paint each picture, its frame, its caption and the quarter that the next one shows."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        n = max(len(self.leaves), 1)
        side = min(_SIDE, (self.width() - _GAP * (n - 1)) / n)
        for i, leaf in enumerate(self.leaves):
            self._paint(painter, leaf, QRectF(i * (side + _GAP) + 1, 1, side - 2, side - 2))
        painter.end()

    def _paint(self, painter: QPainter, leaf: Leaf, place: QRectF) -> None:
        if leaf.picture is not None:
            painter.drawImage(place, _image(leaf.picture))
        else:
            painter.fillRect(place, QColor("#3a414d"))
        painter.setPen(_frame(leaf))
        painter.drawRect(place)
        if leaf.child is not None:
            half = place.width() / 2
            corner = place.topLeft() + QPointF(leaf.child[1] * half, leaf.child[0] * half)
            painter.setPen(QPen(QColor("#ffffff"), 1, Qt.PenStyle.DashLine))
            painter.drawRect(QRectF(corner.x(), corner.y(), half, half))
        painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
        caption = QRectF(place.left(), place.bottom() + 3, place.width() + _GAP, _CAPTION)
        text = painter.fontMetrics().elidedText(
            f"{leaf.label} {leaf.status}", Qt.TextElideMode.ElideRight, int(caption.width())
        )
        painter.drawText(caption, Qt.AlignmentFlag.AlignLeft, text)


def _frame(leaf: Leaf) -> QPen:
    if leaf.status in ("followed", "pinned", "leaf"):
        return QPen(QColor(FOLLOWED), 2.5)
    if leaf.status == "unread":
        return QPen(QColor(UNREAD), 2.5)
    style = Qt.PenStyle.SolidLine if leaf.status == "cut" else Qt.PenStyle.DotLine
    return QPen(QColor(_CUT), 2, style)


def _image(picture: NDArray[np.uint8]) -> QImage:
    height, width = picture.shape[:2]
    return QImage(picture.data, width, height, 3 * width, QImage.Format.Format_RGB888)
