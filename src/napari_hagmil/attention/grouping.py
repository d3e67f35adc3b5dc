"""Patches that lie in one place: in one branch, or with no more than a small gap between them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_hagmil.attention.maps import AttentionMap
from napari_hagmil.attention.rings import label_areas

#: The widest gap that is closed, µm: one patch at 20×, which is 112 to 128 µm wide.
GAP_UM = 150.0

Bools = NDArray[np.bool_]
Labels = NDArray[np.int32]


def group_places(chosen: Bools, amap: AttentionMap, *, mpp: float, gap_um: float) -> Labels:
    """Label, from 1, the groups of raster pixels of a map; 0 elsewhere.

    Pixels of one parent belong together where the parent is no wider than the gap: its branch was
    followed as a whole. Parents belong together when they touch, at a corner too, or when the gap
    between them is no wider than `gap_um`. What lies between the members of a group belongs to it,
    so that each is one area connected by its sides.

    Parameters
    ----------
    chosen : (h, w) bool array
        The members.
    amap : AttentionMap
        Of that shape.
    mpp : float
        µm per level-0 px.
    gap_um : float
        µm; with 0, pixels that share a side belong together, and no others.

    Returns
    -------
    (h, w) int32
    """
    if gap_um <= 0 or not chosen.any():
        return label_areas(chosen)
    side = amap.downsample * mpp
    block = 2 if 2 * side <= gap_um else 1
    before = np.remainder(amap.first_node, block)
    blocks = _blocks(chosen, block, before)
    labels = _linked(blocks, int(gap_um // (block * side)))
    whole = labels.repeat(block, axis=0).repeat(block, axis=1)
    (y, x), (height, width) = before, chosen.shape
    return np.ascontiguousarray(whole[y : y + height, x : x + width])


def _blocks(chosen: Bools, block: int, before: NDArray[np.int64]) -> Bools:
    """Which parents have a member; `before`: raster pixels that the first one lacks."""
    if block == 1:
        return chosen
    after = (-(before + chosen.shape)) % block
    padded = np.pad(chosen, np.stack([before, after], axis=1))
    height, width = padded.shape
    return np.asarray(padded.reshape(height // block, block, width // block, block).any((1, 3)))


def _linked(blocks: Bools, reach: int) -> Labels:
    """Label blocks with at most `reach` others between them, and fill up what lies between."""
    padded = np.pad(blocks, reach + 1).astype(np.uint8)
    kernel = np.ones((reach + 1, reach + 1), np.uint8)
    # Each block grows to the right and down, over the gap, to touch those that it is linked with.
    grown = cv2.dilate(padded, kernel, anchor=(reach, reach))
    _, linked, found, _ = cv2.connectedComponentsWithStats(grown, connectivity=8)
    # Closing fills straight gaps. Its kernel lies within one area of `grown`: none are mixed.
    closed = cv2.erode(grown, kernel, anchor=(0, 0))
    labels = np.where(closed > 0, linked, 0).astype(np.int32)
    for label, (x, y, width, height) in enumerate(found[1:, :4].tolist(), start=1):
        window = labels[y : y + height, x : x + width]
        here = (window == label).astype(np.uint8)
        _bridge(here)
        window[here > 0] = label
    inner = slice(reach + 1, -reach - 1)
    return labels[inner, inner]


def _bridge(area: NDArray[np.uint8]) -> None:
    """Join the parts of a group along the shortest way between them, in place."""
    n, parts = cv2.connectedComponents(area, connectivity=4)
    while n > 2:
        away = cv2.distanceTransform((parts != 1).astype(np.uint8), cv2.DIST_C, 3)
        away[parts < 2] = np.inf
        stop = np.array(np.unravel_index(away.argmin(), away.shape))
        one = np.argwhere(parts == 1)
        start = one[np.abs(one - stop).max(axis=1).argmin()]
        cv2.line(area, start[::-1].tolist(), stop[::-1].tolist(), 1, 1, cv2.LINE_4)
        n, parts = cv2.connectedComponents(area, connectivity=4)
