"""The magic wand: the pixels around a place that look like it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_hagmil.attention.rings import trace_rings
from napari_hagmil.polygons import Place, Rings, outline, simplified

#: Pixels of the picture: the grain of a stain is smoothed away, and single pixels of the area.
_SMOOTH, _GRAIN = 1.5, 5

#: Holes of fewer pixels of the picture are filled: they are nuclei's grain, not lumens.
_SMALLEST_HOLE = 40

#: How far the outline may lie from the pixels' edges, pixels of the picture.
_TOLERANCE = 0.8


class Wand:
    """Finds areas in the part of the slide that is in view.

    Parameters
    ----------
    view : (h, w, 3) or (h, w) uint8 array
        The pixels in view.
    origin : tuple of float
        (y, x) of the centre of its first pixel, level-0 px.
    downsample : float
        Level-0 px per pixel of the view.
    """

    def __init__(self, view: NDArray[np.uint8], origin: Place, downsample: float) -> None:
        self._view = cv2.GaussianBlur(np.ascontiguousarray(view), (0, 0), _SMOOTH)
        self._origin, self._downsample = origin, downsample

    def area(self, place: Place, tolerance: float) -> Rings | None:
        """The area around a place whose colours differ from its own by at most `tolerance`.

        Parameters
        ----------
        place : tuple of float
            (y, x), level-0 px.
        tolerance : float
            Of each colour, 0 to 255.

        Returns
        -------
        Rings or None
            With the holes in it; None where the place is not in view.
        """
        row, column = (
            round((at - first) / self._downsample)
            for at, first in zip(place, self._origin, strict=True)
        )
        height, width = self._view.shape[:2]
        if not (0 <= row < height and 0 <= column < width):
            return None
        mask = _alike(self._view, (row, column), tolerance)
        found = [rings for _, rings in trace_rings(_around(mask, (row, column)))]
        outer, *holes = (self._on_slide(ring) for ring in found[0])
        return simplified(Rings(outer, tuple(holes)), _TOLERANCE * self._downsample)

    def _on_slide(self, corners: NDArray[np.int64]) -> tuple[Place, ...]:
        """Corners of pixels as level-0 places: pixel centres are at integers."""
        return outline((corners - 0.5) * self._downsample + np.asarray(self._origin))


def _alike(view: NDArray[np.uint8], seed: tuple[int, int], tolerance: float) -> NDArray[np.uint8]:
    """1 where a pixel is connected to the seed by pixels like it."""
    mask = np.zeros((view.shape[0] + 2, view.shape[1] + 2), np.uint8)
    flags = 4 | cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY | (1 << 8)
    limit = (float(tolerance),) * 3
    cv2.floodFill(view.copy(), mask, seed[::-1], (0, 0, 0), limit, limit, flags)
    return mask[1:-1, 1:-1]


def _around(mask: NDArray[np.uint8], seed: tuple[int, int]) -> NDArray[np.int32]:
    """The one area at the seed, smoothed, its small holes filled, as 1 among 0."""
    smooth = cv2.medianBlur(np.ascontiguousarray(mask), _GRAIN)
    if not smooth[seed]:
        smooth = np.ascontiguousarray(mask)
    labels = cv2.connectedComponents(smooth, connectivity=4)[1]
    area = (labels == labels[seed]).astype(np.uint8)
    n, holes, facts, _ = cv2.connectedComponentsWithStats(1 - area, connectivity=4)
    small = [i for i in range(1, n) if facts[i, cv2.CC_STAT_AREA] < _SMALLEST_HOLE]
    area[np.isin(holes, small)] = 1
    return np.asarray(area, np.int32)
