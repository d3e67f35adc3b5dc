"""Localisation: whether the cascade looked where the lesions are."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_hagmil.cascade import Stage
from napari_hagmil.evaluation.metrics import auc
from napari_hagmil.polygons import Rings, fill, merged, shape_of
from napari_hagmil.quadtree import Nodes, PatchGrid

#: A node and a lesion meet when they share this much of the smaller of the two.
SHARE = 0.10

#: Areas are measured on a raster of about this many cells a side, with at least and at most so
#: many across a node.
_RASTER, _FEWEST, _MOST = 4096, 4, 256


def meeting(lesion: Rings, grid: PatchGrid, nodes: Nodes) -> NDArray[np.bool_]:
    """Which nodes meet a lesion: share at least `SHARE` of the smaller one's area, (n,).

    A patch at the edge of a large tumour counts when a tenth of it is tumour; a patch that holds
    a whole micro-metastasis counts however small that is.
    """
    met = np.zeros(len(nodes), dtype=bool)
    outer = np.asarray(lesion[0]) + 0.5  # pixel edges at integers
    low = grid.address(outer.min(axis=0) - 0.5) - (grid.span - 1)
    high = grid.address(outer.max(axis=0) - 0.5) + 1
    near = np.flatnonzero(((nodes >= low) & (nodes < high)).all(axis=1))
    if not len(near):
        return met
    cells = int(np.clip(_RASTER // int((high - low).max()), _FEWEST, _MOST))
    mask = _raster(lesion, grid, low, high + grid.span - 1, cells)
    sums = cv2.integral(mask)
    y, x = ((nodes[near] - low) * cells).T
    side = cells * grid.span
    shared = sums[y + side, x + side] - sums[y, x + side] - sums[y + side, x] + sums[y, x]
    met[near] = shared >= SHARE * min(side**2, int(mask.sum())) if mask.any() else False
    return met


def _raster(
    lesion: Rings, grid: PatchGrid, low: NDArray[np.int64], high: NDArray[np.int64], cells: int
) -> NDArray[np.uint8]:
    """A lesion on a raster of `cells` a node's side, from node `low` on; holes stay empty."""
    rows, columns = (
        (first + (np.arange((last - first) * cells) + 0.5) / cells) * grid.stride + corner - 0.5
        for first, last, corner in zip(low, high, grid.origin, strict=True)
    )
    return fill(merged([lesion]), rows, columns).astype(np.uint8)


def diameter(lesion: Rings) -> float:
    """Diameter of the circle of the same area, level-0 px; holes do not count to the area."""
    return float(2 * np.sqrt(shape_of(lesion).area / np.pi))


def lesions_met(lesions: Sequence[Rings], grid: PatchGrid, nodes: Nodes) -> tuple[bool, ...]:
    """Which lesions at least one of the nodes meets."""
    return tuple(bool(meeting(lesion, grid, nodes).any()) for lesion in lesions)


def attention_auc(stage: Stage, grid: PatchGrid, lesions: Sequence[Rings]) -> float:
    """Chance that a node on a lesion has more attention than one beside it.

    NaN where all nodes looked at lie on one side.
    """
    inside = np.zeros(len(stage.nodes), dtype=bool)
    for lesion in lesions:
        inside |= meeting(lesion, grid, stage.nodes)
    return auc(inside, stage.attention) if len(inside) else float("nan")
