"""Attention regions cut where the tissue ends: patches at its edge are part glass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_hagmil.attention.regions import AttentionRegion, Polygon
from napari_hagmil.attention.rings import label_areas, trace_rings
from napari_hagmil.polygons import (
    Outline,
    Rings,
    area_of,
    bridged,
    outline,
    pieces_on,
    shape_of,
    signed_area,
)
from napari_hagmil.quadtree import Mask

#: How far a cut may lie from the edge of the tissue mask, in pixels of the mask.
_SLACK = 0.7


def cut_to_tissue(
    regions: list[AttentionRegion], tissue: Mask, *, mpp: float
) -> list[AttentionRegion]:
    """Take what is not tissue away from regions; their patches stay as the model saw them.

    A region whose patches lie on several pieces of tissue stays one: a strip leads from piece to
    piece where they are closest. One that holds no tissue at all stays as it is.

    Parameters
    ----------
    regions : list of AttentionRegion
    tissue : Mask
        Of the same slide.
    mpp : float
        µm per level-0 px.
    """
    return [_cut(region, tissue, mpp) for region in regions]


def _cut(region: AttentionRegion, tissue: Mask, mpp: float) -> AttentionRegion:
    scale = tissue.downsample
    y0, x0, y1, x1 = ((edge + 0.5) / scale for edge in region.bounds)
    first = np.array([int(y0), int(x0)])
    crop = tissue.values[first[0] : int(np.ceil(y1)), first[1] : int(np.ceil(x1))]
    if crop.all() or not crop.any():
        return region
    ground = [
        Rings(outer, tuple(holes))
        for _, rings in trace_rings(label_areas(crop))
        for outer, *holes in [[outline((ring + first) * scale - 0.5) for ring in rings]]
    ]
    pieces = pieces_on(region.rings, ground, slack=_SLACK * scale)
    if len(pieces) > 1:
        patches = [shape_of(Rings(_corners(patch.box))) for patch in region.patches]
        pieces = [p for p in pieces if any(map(shape_of(p).intersects, patches))]
    if not pieces:
        return region
    outer, holes = bridged(pieces, width=scale)
    turned = tuple(_turned(hole, -1) for hole in holes)
    area = area_of(Rings(outer, holes)) * mpp**2
    return replace(region, polygon=_turned(outer, 1), holes=turned, area_um2=area)


def _corners(box: tuple[float, float, float, float]) -> Outline:
    y0, x0, y1, x1 = box
    return (y0, x0), (y0, x1), (y1, x1), (y1, x0)


def _turned(ring: Outline, sign: int) -> Polygon:
    """A ring that runs clockwise on the screen, or the other way for -1."""
    corners = np.asarray(ring, dtype=np.float64)
    return corners if np.sign(signed_area(corners)) == sign else corners[::-1]
