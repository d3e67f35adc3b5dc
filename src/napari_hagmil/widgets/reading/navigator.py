"""The overview: the whole slide, the attention as a tint, the view as a rectangle to drag."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QPen
from qtpy.QtWidgets import QWidget

from napari_hagmil.attention import AttentionMap
from napari_hagmil.plugin.overview import overview_picture, tinted
from napari_hagmil.widgets.cascade.camera import ViewRectangle
from napari_hagmil.widgets.preferences import preferred_colormap
from napari_hagmil.widgets.style import FOCUS_COLOR

#: Longest side of its picture, px: twice that of the widget, for dense screens.
_SIDE = 460


class Navigator(QWidget):  # type: ignore[misc]
    """Shows where on the slide the canvas is, and moves it.

    Signals
    -------
    centre_asked : float, float
        The view is to be centred here, (y, x) in level-0 px.
    """

    centre_asked = Signal(float, float)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setToolTip("Click or drag to move the view, or use the arrow keys (Alt-O hides it)")
        self.setAccessibleName("Overview of the slide")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._picture: NDArray[np.uint8] | None = None
        self._shown: NDArray[np.uint8] | None = None
        self._shape = (1, 1)
        self.view = ViewRectangle()
        self._grip = (0.0, 0.0)

    def show_slide(
        self, overview: NDArray[Any], shape: tuple[int, int], *, rgb: bool = True
    ) -> None:
        """Show another slide.

        Parameters
        ----------
        overview : (h, w, c) array
            The whole slide; 8-bit RGB is drawn as it is, other channels become grey.
        shape : tuple of int
            Rows and columns of level 0.
        rgb : bool
            Whether the channels are red, green and blue.
        """
        self._picture = overview_picture(overview, _SIDE, rgb=rgb)
        self._shape = shape
        self.show_attention(None)

    def fitting(self, width: int, height: int) -> QSize:
        """The largest size within these sides, px, that has the shape of the slide."""
        rows, columns = self._shape
        return QSize(columns, rows).scaled(width, height, Qt.AspectRatioMode.KeepAspectRatio)

    def show_none(self) -> None:
        """Show that no slide is open."""
        self._picture = self._shown = None
        self._shape, self.view = (1, 1), ViewRectangle()
        self.update()

    def show_attention(self, amap: AttentionMap | None) -> None:
        """Tint the slide with attention percentiles; None removes the tint."""
        if self._picture is None:
            return
        self._shown = self._picture
        if amap is not None:
            self._shown = tinted(self._picture, self._shape, amap, preferred_colormap())
        self.update()

    def show_view(self, view: ViewRectangle) -> None:
        """Draw the rectangle that the canvas shows."""
        self.view = view
        self.update()

    def paintEvent(self, event: object) -> None:  # noqa: N802
        """Paint the slide and the rectangle."""
        painter, place = QPainter(self), self._place()
        painter.fillRect(self.rect(), QColor("#10131a"))
        if self._shown is not None:
            height, width = self._shown.shape[:2]
            kind = QImage.Format.Format_RGB888
            painter.drawImage(place, QImage(self._shown.data, width, height, 3 * width, kind))
            painter.setClipRect(self.rect())
            frame = self._frame(place)
            painter.setPen(QPen(QColor("#000000"), 4))
            painter.drawRect(frame)
            painter.setPen(QPen(QColor("#ffffff"), 2))
            painter.drawRect(frame)
        if self.hasFocus():
            painter.setPen(QPen(QColor(FOCUS_COLOR.on_dark), 3))
            painter.drawRect(self.rect().adjusted(1, 1, -2, -2))
        else:
            painter.setPen(QPen(QColor("#7d8590"), 1))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def mousePressEvent(self, event: Any) -> None:  # noqa: N802
        """Grab the rectangle, or centre it here."""
        y, x = self._at(event.position())
        centre = self.view.centre
        inside = self.view.encloses(y, x)
        self._grip = (centre[0] - y, centre[1] - x) if inside else (0.0, 0.0)
        self._ask(y, x)

    def mouseMoveEvent(self, event: Any) -> None:  # noqa: N802
        """Drag the rectangle."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._ask(*self._at(event.position()))

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802
        """Move by a quarter of the view with the arrow keys."""
        step = _ARROWS.get(event.key())
        if step is None:
            super().keyPressEvent(event)
            return
        view, (y, x) = self.view, self.view.centre
        self._grip = (0.0, 0.0)
        self._ask(y + step[0] * view.height / 4, x + step[1] * view.width / 4)

    def _ask(self, y: float, x: float) -> None:
        if self._picture is not None:
            height, width = self._shape
            at = np.clip([y + self._grip[0], x + self._grip[1]], 0, [height - 1, width - 1])
            self.centre_asked.emit(float(at[0]), float(at[1]))

    def _place(self) -> QRectF:
        """Where the slide is painted."""
        scale = min(self.width() / self._shape[1], self.height() / self._shape[0])
        width, height = self._shape[1] * scale, self._shape[0] * scale
        return QRectF((self.width() - width) / 2, (self.height() - height) / 2, width, height)

    def _frame(self, place: QRectF) -> QRectF:
        scale = place.width() / self._shape[1]
        left, top = place.left() + scale * self.view.x0, place.top() + scale * self.view.y0
        width, height = scale * self.view.width, scale * self.view.height
        frame = QRectF(left, top, max(width, 4), max(height, 4))
        # Where the whole slide is in view, the frame stays at the edge instead of out of sight.
        return frame.intersected(QRectF(self.rect()).adjusted(1, 1, -1, -1))

    def _at(self, position: Any) -> tuple[float, float]:
        """Level-0 pixel (y, x) under a point of the widget."""
        place = self._place()
        scale = self._shape[1] / place.width()
        return (position.y() - place.top()) * scale, (position.x() - place.left()) * scale


_ARROWS = {
    Qt.Key.Key_Up: (-1, 0),
    Qt.Key.Key_Down: (1, 0),
    Qt.Key.Key_Left: (0, -1),
    Qt.Key.Key_Right: (0, 1),
}
