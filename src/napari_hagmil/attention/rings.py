"""Outlines of labelled rasters along pixel edges, exactly and without crossings."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Ring = NDArray[np.int64]
"""(n, 2) corners (row, column) of an outline, not closed: the last leads to the first."""

# Directions in clockwise order on the screen: east, south, west, north; the inside of an
# outline lies to the right of its direction.
_STEP = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)], dtype=np.int64)


def label_areas(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Label, from 1, the areas of a mask that are connected by their sides; 0 elsewhere."""
    if not mask.size:
        return np.zeros(mask.shape, np.int32)
    return np.asarray(cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1], np.int32)


def trace_rings(labels: NDArray[np.int32]) -> list[tuple[int, list[Ring]]]:
    """Outlines of every 4-connected labelled area: its outer ring, then its holes.

    Outer rings run clockwise on the screen (y down), holes the other way. No ring passes a
    corner twice: where two pixels of one area touch only at a corner the ring crosses over
    to the other pixel, which splits a hole off rather than pinching the outline.

    Parameters
    ----------
    labels : (h, w) int32
        0 = nothing; every other value is one 4-connected area.

    Returns
    -------
    list of (label, rings)
        By label; corners (row, column) in 0 … h and 0 … w.
    """
    edges, successor = _linked_edges(labels)
    direction, label = edges[:, 2].tolist(), edges[:, 3].tolist()
    rings: dict[int, list[Ring]] = {}
    # By least edge, east first: an area's topmost edge, on its outer ring, comes before all.
    for ring in _cycles(successor.tolist()):
        turns = [
            edge
            for before, edge in zip([ring[-1], *ring], ring, strict=False)
            if direction[edge] != direction[before]
        ]
        rings.setdefault(label[ring[0]], []).append(edges[turns, :2])
    return sorted(rings.items())


def _linked_edges(
    labels: NDArray[np.int32],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All unit edges (row, column, direction, label), and the index of each one's next."""
    starts = _starting_edges(labels)
    number = np.full(starts.shape, -1, dtype=np.int64)
    direction, row, column = np.nonzero(starts)
    number[direction, row, column] = np.arange(len(direction))
    label = starts[direction, row, column]
    end = np.stack([row, column], axis=1) + _STEP[direction]
    successor = np.full(len(direction), -1, dtype=np.int64)
    # Right, straight, left: the later overrides, for at a touching corner left crosses over.
    for turn in (1, 0, 3):
        ahead = (direction + turn) % 4
        same = starts[ahead, end[:, 0], end[:, 1]] == label
        successor = np.where(same, number[ahead, end[:, 0], end[:, 1]], successor)
    return np.stack([row, column, direction, label], axis=1), successor


def _starting_edges(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Label of the edge that starts at each corner in each direction, (4, h + 1, w + 1)."""
    padded = np.pad(labels, 1)
    above_left, above_right = padded[:-1, :-1], padded[:-1, 1:]
    below_left, below_right = padded[1:, :-1], padded[1:, 1:]
    return np.stack(
        [
            np.where(below_right != above_right, below_right, 0),
            np.where(below_left != below_right, below_left, 0),
            np.where(above_left != below_left, above_left, 0),
            np.where(above_right != above_left, above_right, 0),
        ]
    )


def _cycles(successor: list[int]) -> list[list[int]]:
    """Cycles of a permutation, by their least member; uses the permutation up."""
    cycles = []
    for start in range(len(successor)):
        cycle = []
        at = start
        while successor[at] >= 0:
            cycle.append(at)
            successor[at], at = -1, successor[at]
        if cycle:
            cycles.append(cycle)
    return cycles
