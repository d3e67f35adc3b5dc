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
    edges = _starting_edges(labels)
    row, column, direction, label = edges.T
    if not len(edges):
        return edges, np.empty(0, dtype=np.int64)
    shape = (4, labels.shape[0] + 1, labels.shape[1] + 1)
    starts = np.ravel_multi_index((direction, row, column), shape)
    end = np.stack([row, column], axis=1) + _STEP[direction]
    successor = np.full(len(direction), -1, dtype=np.int64)
    # Right, straight, left: the later overrides, for at a touching corner left crosses over.
    for turn in (1, 0, 3):
        wanted = np.ravel_multi_index(((direction + turn) % 4, end[:, 0], end[:, 1]), shape)
        found = np.minimum(np.searchsorted(starts, wanted), len(starts) - 1)
        same = (starts[found] == wanted) & (label[found] == label)
        successor = np.where(same, found, successor)
    return edges, successor


def _starting_edges(labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """Unit edges (row, column, direction, label), by direction, row and column of their start.

    A list, since a raster has few edges: an array of all its corners would be eight times as large
    as the raster.
    """
    padded = np.pad(labels, 1)
    above_left, above_right = padded[:-1, :-1], padded[:-1, 1:]
    below_left, below_right = padded[1:, :-1], padded[1:, 1:]
    sides = (
        (below_right, above_right),
        (below_left, below_right),
        (above_left, below_left),
        (above_right, above_left),
    )
    edges = []
    for direction, (inside, outside) in enumerate(sides):
        row, column = np.nonzero((inside != outside) & (inside != 0))
        label = inside[row, column]
        edges.append(np.stack([row, column, np.full_like(row, direction), label], axis=1))
    return np.concatenate(edges).astype(np.int64, copy=False)


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
