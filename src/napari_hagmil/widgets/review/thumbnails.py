"""Small pictures of regions, read in the background."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QImage, QPixmap

from napari_hagmil.geometry import square_around
from napari_hagmil.plugin.overview import overview_picture
from napari_hagmil.polygons import Outline
from napari_hagmil.review import ReviewRegion
from napari_hagmil.slide import Slide, read_scaled
from napari_hagmil.slide.color_profile import Colors
from napari_hagmil.slide.shown import white_of
from napari_hagmil.widgets.work import Background

#: Side of a thumbnail, px.
SIDE = 56

#: Tissue that is shown around a region, as a share of its size.
_MARGIN = 0.15


class Thumbnails(QObject):  # type: ignore[misc]
    """Reads regions one after the other.

    Signals
    -------
    ready : str, QPixmap
        A region's id, and its picture.
    """

    ready = Signal(str, object)

    def __init__(self) -> None:
        super().__init__()
        self._work = Background()
        self._known: dict[Outline, QPixmap] = {}
        self._wanted: list[ReviewRegion] = []
        self._slide: Slide | None = None
        self._colors: Colors = "file"

    def ask(self, slide: Slide | None, regions: Sequence[ReviewRegion]) -> None:
        """Read the pictures that are not cached; those that are come at once."""
        colors = slide.colors if slide else "file"
        if slide is not self._slide or colors != self._colors:
            self._known, self._slide, self._colors = {}, slide, colors
        self._wanted = [one for one in regions if one.polygon not in self._known]
        for one in regions:
            if one.polygon in self._known:
                self.ready.emit(one.id, self._known[one.polygon])
        self._go_on()

    def close(self) -> None:
        """Stop after the picture that is being read."""
        self._wanted = []
        self._work.wait()

    def _go_on(self) -> None:
        if self._slide is None or not self._wanted or self._work.busy:
            return
        slide = self._slide
        self._work.start(
            lambda: self._read(slide),
            on_item=self._take,
            on_done=self._go_on,
            on_cancelled=lambda: None,
            on_error=lambda error: None,
        )

    def _read(self, slide: Slide) -> Iterator[tuple[ReviewRegion, NDArray[np.uint8]]]:
        while self._wanted and slide is self._slide:
            region = self._wanted.pop(0)
            yield region, picture_of(slide, region.polygon)

    def _take(self, item: tuple[ReviewRegion, NDArray[np.uint8]]) -> None:
        region, pixels = item
        self._known[region.polygon] = pixmap(pixels)
        self.ready.emit(region.id, self._known[region.polygon])


def picture_of(slide: Slide, polygon: Outline, side: int = SIDE) -> NDArray[np.uint8]:
    """A square around an outline, (side, side, 3); hatched where it cannot be read."""
    corners = np.asarray(polygon)
    (y0, x0), (y1, x1) = corners.min(axis=0), corners.max(axis=0)
    reach = max(y1 - y0, x1 - x0, float(side)) * (1 + 2 * _MARGIN)
    place = square_around((y0, x0, y1, x1), reach, slide.shape)
    pixels = slide.shown(read_scaled(slide, place, (side, side), mark_unreadable=True))
    white = None
    if slide.is_rgb and slide.dtype != np.uint8:
        white = white_of(np.asarray(slide.view_levels()[-1]))
    return overview_picture(pixels, side, rgb=slide.is_rgb, white=white)


def pixmap(pixels: NDArray[np.uint8]) -> QPixmap:
    """RGB pixels as a pixmap, copied: QImage alone would not keep the buffer alive."""
    height, width = pixels.shape[:2]
    image = QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    return QPixmap.fromImage(image.copy())
