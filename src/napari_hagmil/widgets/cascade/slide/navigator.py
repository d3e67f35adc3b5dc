"""The whole slide in small, with the attention as a tint and the view as a rectangle to drag."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from napari.utils.colormaps import ensure_colormap
from numpy.typing import NDArray
from qtpy.QtCore import QRectF, Qt, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QPen
from qtpy.QtWidgets import QWidget

from napari_hagmil.attention import AttentionMap
from napari_hagmil.widgets.preferences import colormap_wished

_HEIGHT, _SIDE, _TINT = 200, 420, 0.45

Rectangle = tuple[float, float, float, float]


class Navigator(QWidget):  # type: ignore[misc]
    """An overview to find one's way by.

    Signals
    -------
    centre_asked : float, float
        The view is to be centred here, (y, x) in level-0 px.
    """

    centre_asked = Signal(float, float)

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(_HEIGHT)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setToolTip("Click or drag to move the view; with the keyboard, the arrow keys")
        self.setAccessibleName("Overview of the slide")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._picture: NDArray[np.uint8] | None = None
        self._shown: NDArray[np.uint8] | None = None
        self._shape = (1, 1)
        self.view: Rectangle = (0.0, 0.0, 0.0, 0.0)
        self._grip = (0.0, 0.0)

    def show_slide(
        self, overview: NDArray[Any], shape: tuple[int, int], *, rgb: bool = True
    ) -> None:
        """Show another slide.

        Parameters
        ----------
        overview : (h, w, c) array
            The whole slide; only 8-bit RGB is drawn as it is, channels become grey.
        shape : tuple of int
            Rows and columns of level 0.
        rgb : bool
            Whether the channels are red, green and blue.
        """
        scale = min(1.0, _SIDE / max(overview.shape[:2]))
        size = [max(1, round(side * scale)) for side in overview.shape[1::-1]]
        self._picture = cv2.resize(_as_rgb(overview, rgb=rgb), size, interpolation=cv2.INTER_AREA)
        self._shape = shape
        self.show_attention(None)

    def show_attention(self, amap: AttentionMap | None) -> None:
        """Tint the slide with scores (percentiles); None takes the tint away."""
        if self._picture is None:
            return
        self._shown = self._picture if amap is None else self._tinted(amap)
        self.update()

    def show_view(self, view: Rectangle) -> None:
        """Draw what the canvas shows, y0, x0, y1, x1 in level-0 px."""
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
            painter.setPen(QPen(QColor("#ffe14d"), 2))
            painter.drawRect(frame)
        painter.end()

    def mousePressEvent(self, event: Any) -> None:  # noqa: N802
        """Take hold of the rectangle, or bring it here."""
        y, x = self._at(event.position())
        y0, x0, y1, x1 = self.view
        inside = y0 <= y <= y1 and x0 <= x <= x1
        self._grip = ((y0 + y1) / 2 - y, (x0 + x1) / 2 - x) if inside else (0.0, 0.0)
        self._ask(y, x)

    def mouseMoveEvent(self, event: Any) -> None:  # noqa: N802
        """Drag the rectangle along."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._ask(*self._at(event.position()))

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802
        """Move by a quarter of the view with the arrow keys."""
        step = _ARROWS.get(event.key())
        if step is None:
            super().keyPressEvent(event)
            return
        y0, x0, y1, x1 = self.view
        self._grip = (0.0, 0.0)
        self._ask((y0 + y1) / 2 + step[0] * (y1 - y0) / 4, (x0 + x1) / 2 + step[1] * (x1 - x0) / 4)

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
        y0, x0, y1, x1 = (v * scale for v in self.view)
        frame = QRectF(place.left() + x0, place.top() + y0, max(x1 - x0, 4), max(y1 - y0, 4))
        # Where all is in view, the frame is at the edge and not out of sight.
        return frame.intersected(QRectF(self.rect()).adjusted(1, 1, -1, -1))

    def _at(self, position: Any) -> tuple[float, float]:
        """Level-0 pixel (y, x) under a point of the widget."""
        place = self._place()
        scale = self._shape[1] / place.width()
        return (position.y() - place.top()) * scale, (position.x() - place.left()) * scale

    def _tinted(self, amap: AttentionMap) -> NDArray[np.uint8]:
        picture = self._picture
        assert picture is not None
        rows, columns = (self._cells(amap, axis, picture.shape[axis]) for axis in (0, 1))
        inside = np.ix_(*((cells >= 0) for cells in (rows, columns)))
        values = np.full(picture.shape[:2], np.nan, dtype=np.float32)
        values[inside] = amap.values[np.ix_(rows[rows >= 0], columns[columns >= 0])]
        known = np.isfinite(values)
        colors = ensure_colormap(colormap_wished()).map(values[known] / 100)[:, :3] * 255
        out = picture.copy()
        out[known] = ((1 - _TINT) * picture[known] + _TINT * colors).astype(np.uint8)
        return out

    def _cells(self, amap: AttentionMap, axis: int, n_pixels: int) -> NDArray[np.int64]:
        """Which cell of the map each pixel of the picture shows along an axis; −1: none."""
        at = (np.arange(n_pixels) + 0.5) * self._shape[axis] / n_pixels
        cells = np.floor((at - amap.origin[axis]) / amap.downsample).astype(np.int64)
        return np.where((cells >= 0) & (cells < amap.values.shape[axis]), cells, -1)


_ARROWS = {
    Qt.Key.Key_Up: (-1, 0),
    Qt.Key.Key_Down: (1, 0),
    Qt.Key.Key_Left: (0, -1),
    Qt.Key.Key_Right: (0, 1),
}


def _as_rgb(overview: NDArray[Any], *, rgb: bool) -> NDArray[np.uint8]:
    if rgb and overview.dtype == np.uint8:
        return np.ascontiguousarray(overview[..., :3])
    channels = np.atleast_3d(overview).astype(np.float32)
    # A channel may use a corner of its range; a single hot pixel is not its top.
    low, high = np.percentile(channels, (1, 99.8), axis=(0, 1))
    shares = np.clip((channels - low) / np.maximum(high - low, 1e-6), 0, 1)
    return np.repeat((255 * shares.mean(axis=2)).astype(np.uint8)[..., None], 3, axis=2)
