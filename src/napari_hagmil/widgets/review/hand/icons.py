"""Buttons whose face is drawn in the colour of their text: they follow every theme and scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QPainter, QPainterPath, QPen, QPolygonF
from qtpy.QtWidgets import QPushButton, QSizePolicy

from napari_hagmil.widgets.style import explain

#: Side of the square that the faces are drawn in, and its size on the screen, px.
_SIDE, _FACE = 20.0, 20

Face = tuple[QPainterPath, QPainterPath]
"""What is drawn as a line, and what is filled."""


class FaceButton(QPushButton):  # type: ignore[misc]
    """A button with a drawn face; what it does is in its tooltip, and is read out.

    Parameters
    ----------
    name : str
        Of the face.
    title : str
        What it does, in a word or two.
    tip : str
        Said below the title.
    """

    def __init__(self, name: str, title: str, tip: str, *, checkable: bool = False) -> None:
        super().__init__()
        self._face = FACES[name]()
        self.setCheckable(checkable)
        self.setAccessibleName(title)
        explain(self, f"{title}: {tip}")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setMinimumSize(QSize(_FACE + 8, _FACE + 8))

    def sizeHint(self) -> QSize:  # noqa: N802
        """Room for the face."""
        return QSize(_FACE + 16, _FACE + 8)

    def paintEvent(self, event: Any) -> None:  # noqa: N802
        """Draw the button, and its face in the middle."""
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        color = self.palette().buttonText().color()
        if not self.isEnabled():
            color.setAlphaF(0.35)
        painter.translate((self.width() - _FACE) / 2, (self.height() - _FACE) / 2)
        painter.scale(_FACE / _SIDE, _FACE / _SIDE)
        lines, filled = self._face
        painter.fillPath(filled, color)
        pen = QPen(color, 1.6)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.strokePath(lines, pen)
        painter.end()


def _line(*corners: tuple[float, float], closed: bool = False) -> QPainterPath:
    path = QPainterPath()
    path.addPolygon(QPolygonF([QPointF(x, y) for x, y in corners]))
    if closed:
        path.closeSubpath()
    return path


def _oval(x: float, y: float, rx: float, ry: float = 0.0) -> QPainterPath:
    path = QPainterPath()
    path.addEllipse(QPointF(x, y), rx, ry or rx)
    return path


def _box(x: float, y: float, width: float, height: float) -> QPainterPath:
    path = QPainterPath()
    path.addRoundedRect(QRectF(x, y, width, height), 1, 1)
    return path


def _all(*paths: QPainterPath) -> QPainterPath:
    whole = QPainterPath()
    for path in paths:
        whole.addPath(path)
    return whole


def _drawn(*paths: QPainterPath) -> Face:
    return _all(*paths), QPainterPath()


def _arrow() -> Face:
    return QPainterPath(), _line(
        (5, 2), (5, 16), (8.6, 12.6), (11.2, 18), (13.4, 17), (10.8, 11.8), (15.6, 11.6),
        closed=True,
    )  # fmt: skip


def _brush() -> Face:
    tip = _line((8.6, 9.4), (11, 11.8), (9.5, 15), (3, 17), (5, 11.2), closed=True)
    return _line((17, 3), (10.4, 10.4)), tip


def _eraser() -> Face:
    body = _line((3, 12.5), (11.5, 4), (17, 9.5), (10, 16.5), (7, 16.5), closed=True)
    worn = _line((3, 12.5), (7.4, 8.1), (12.9, 13.6), (10, 16.5), (7, 16.5), closed=True)
    return body, worn


def _wand() -> Face:
    rays = ((14, 2, 14, 4), (14, 9, 14, 11), (9.5, 6.5, 11.5, 6.5), (16.5, 6.5, 18.5, 6.5))
    lines = [_line((x0, y0), (x1, y1)) for x0, y0, x1, y1 in rays]
    return _all(_line((3, 17.5), (13, 7.5)), *lines), _oval(14, 6.5, 1.6)


def _freehand() -> Face:
    path = QPainterPath(QPointF(4, 12))
    path.cubicTo(2, 4, 9, 2, 12, 5)
    path.cubicTo(15, 3, 19, 8, 16, 12)
    path.cubicTo(17, 18, 6, 19, 4, 12)
    return _drawn(path)


def _polyline() -> Face:
    corners = ((3, 15.5), (8, 6), (12.5, 13), (17, 4.5))
    return _line(*corners), _all(*(_oval(x, y, 1.8) for x, y in corners))


def _ruler() -> Face:
    return _drawn(
        _line((4, 16), (16, 4)), _line((2.5, 13.5), (6.5, 17.5)), _line((13.5, 2.5), (17.5, 6.5))
    )


def _combined(what: Callable[[QPainterPath, QPainterPath], QPainterPath]) -> Face:
    left, right = _oval(7.3, 10, 5), _oval(12.7, 10, 5)
    return _all(left, right), what(left, right)


def _lock() -> Face:
    shackle = QPainterPath(QPointF(6.5, 9))
    shackle.lineTo(6.5, 6.5)
    shackle.arcTo(QRectF(6.5, 2.5, 7, 8), 180, -180)
    shackle.lineTo(13.5, 9)
    return shackle, _box(4.5, 9, 11, 8.5)


FACES: dict[str, Callable[[], Face]] = {
    "select": _arrow,
    "brush": _brush,
    "eraser": _eraser,
    "wand": _wand,
    "polygon": lambda: _drawn(_line((10, 3), (17, 8), (14, 16), (6, 16), (3, 8), closed=True)),
    "freehand": _freehand,
    "rectangle": lambda: _drawn(_box(3, 5, 14, 10)),
    "ellipse": lambda: _drawn(_oval(10, 10, 7.5, 5.5)),
    "polyline": _polyline,
    "point": lambda: (_oval(10, 10, 6), _oval(10, 10, 2.4)),
    "ruler": _ruler,
    "unite": lambda: _combined(lambda left, right: left.united(right)),
    "subtract": lambda: _combined(lambda left, right: left.subtracted(right)),
    "intersect": lambda: _combined(lambda left, right: left.intersected(right)),
    "fill_holes": lambda: (_oval(10, 10, 7.5), _oval(10, 10, 3.6)),
    "nest": lambda: (_box(3, 4, 14, 12), _box(9, 9, 5.5, 4.5)),
    "duplicate": lambda: (_all(_box(3, 3, 10, 10), _box(7, 7, 10, 10)), QPainterPath()),
    "lock": _lock,
}
