"""The tissue mask as outlines, and outlines as a mask: what is drawn, journaled and undone."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_hagmil.attention.rings import label_areas, trace_rings
from napari_hagmil.polygons import Outline, outline
from napari_hagmil.slide import Slide
from napari_hagmil.tissue import TissueMask, raster_shape

#: µm per pixel of a mask, as `segment_tissue` has it.
MASK_MPP = 8.0

#: How far an outline may lie from the edge of the mask, in pixels of the mask.
_SLACK = 0.7


def outlines_of(mask: TissueMask) -> tuple[Outline, ...]:
    """Rings around the tissue and around its holes, to be filled by the even-odd rule.

    Corners in level-0 px, pixel centres at integers; staircases are straightened by less
    than a pixel of the mask.
    """
    found = []
    for _, rings in trace_rings(label_areas(mask.values)):
        for ring in rings:
            straight = cv2.approxPolyDP(ring[:, ::-1].astype(np.int32), _SLACK, True)[:, 0, ::-1]
            corners = straight if len(straight) >= 3 else ring
            found.append(outline(corners * mask.downsample - 0.5))
    return tuple(found)


def drawn_tissue(slide: Slide, rings: Sequence[Outline]) -> TissueMask:
    """The mask that somebody drew on a slide, as fine as the one that is found."""
    return mask_of(rings, slide.shape, max(1.0, MASK_MPP / slide.require_mpp()))


def mask_of(
    rings: Sequence[Outline], slide_shape: tuple[int, int], downsample: float
) -> TissueMask:
    """The mask that rings enclose, by the even-odd rule.

    Parameters
    ----------
    rings : sequence of Outline
        Corners (y, x), level-0 px.
    slide_shape : tuple of int
        Rows and columns of level 0.
    downsample : float
        Level-0 pixels per pixel of the mask.
    """
    shape = raster_shape(slide_shape, downsample)
    crossings = np.zeros((shape[0], shape[1] + 1), dtype=np.int32)
    for ring in rings:
        corners = (np.asarray(ring) + 0.5) / downsample - 0.5
        rows, columns = _crossings(corners, np.roll(corners, -1, axis=0), shape)
        np.add.at(crossings, (rows, columns), 1)
    inside = np.cumsum(crossings, axis=1)[:, :-1] % 2 == 1
    return TissueMask(inside, float(downsample))


def _crossings(
    start: NDArray[np.float64], stop: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where edges cross the middles of rows: the row, and the first column to the right.

    Exact where cv2.fillPoly takes in every pixel that an outline touches.
    """
    up = start[:, 0] > stop[:, 0]
    top, bottom = np.where(up[:, None], stop, start), np.where(up[:, None], start, stop)
    first = np.clip(np.ceil(top[:, 0]), 0, shape[0]).astype(np.int64)
    end = np.clip(np.ceil(bottom[:, 0]), 0, shape[0]).astype(np.int64)
    count = np.maximum(end - first, 0)
    edge = np.repeat(np.arange(len(top)), count)
    rows = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    slope = (bottom - top)[edge]
    at = top[edge, 1] + (rows - top[edge, 0]) * slope[:, 1] / slope[:, 0]
    return rows, np.clip(np.ceil(at), 0, shape[1]).astype(np.int64)
