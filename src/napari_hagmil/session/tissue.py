"""The tissue mask as outlines: what is journaled and undone."""

from __future__ import annotations

import cv2
import numpy as np

from napari_hagmil.attention.rings import label_areas, trace_rings
from napari_hagmil.polygons import Outline, outline
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
    found = []
    for _, rings in trace_rings(label_areas(mask.values)):
        for ring in rings:
            straight = cv2.approxPolyDP(ring[:, ::-1].astype(np.int32), _SLACK, True)[:, 0, ::-1]
            corners = straight if len(straight) >= 3 else ring
            found.append(outline(np.minimum(corners * mask.downsample, slide_shape) - 0.5))
    return tuple(found)
