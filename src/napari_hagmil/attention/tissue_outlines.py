"""The tissue mask as outlines: what is journaled, undone, and written for other programs."""

from __future__ import annotations

import cv2
import numpy as np

from napari_hagmil.attention.rings import Ring, label_areas, trace_rings
from napari_hagmil.polygons import Outline, Rings, outline, valid_parts
from napari_hagmil.tissue import TissueMask

#: How far an outline may lie from the edge of the mask, in pixels of the mask.
_SLACK = 0.7


def outlines_of(mask: TissueMask, slide_shape: tuple[int, int]) -> tuple[Outline, ...]:
    """Rings around the tissue and around its holes, to be filled by the even-odd rule.

    Corners in level-0 px, pixel centres at integers, on the slide; staircases are straightened
    by less than a pixel of the mask. `polygons.mask_of` turns them back into a mask.

    Parameters
    ----------
    mask : TissueMask
    slide_shape : tuple of int
        Rows and columns of level 0: the last pixels of a mask may reach over the slide's edge.
    """
    return tuple(ring for one in _traced(mask, slide_shape) for ring in (one.outer, *one.holes))


def tissue_polygons(mask: TissueMask, slide_shape: tuple[int, int]) -> list[Rings]:
    """Every connected piece of the tissue with its holes, as valid polygons.

    Frame and parameters as of `outlines_of`.
    """
    return [part for one in _traced(mask, slide_shape) for part in valid_parts(one)]


def _traced(mask: TissueMask, slide_shape: tuple[int, int]) -> list[Rings]:
    found = []
    for _, rings in trace_rings(label_areas(mask.values)):
        outer, *holes = (_on_slide(ring, mask.downsample, slide_shape) for ring in rings)
        found.append(Rings(outer, tuple(holes)))
    return found


def _on_slide(ring: Ring, downsample: float, slide_shape: tuple[int, int]) -> Outline:
    straight = cv2.approxPolyDP(ring[:, ::-1].astype(np.int32), _SLACK, True)[:, 0, ::-1]
    corners = straight if len(straight) >= 3 else ring
    return outline(np.minimum(corners * downsample, slide_shape) - 0.5)
