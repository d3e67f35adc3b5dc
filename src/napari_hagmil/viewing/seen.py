"""What a reader saw of the tissue at a magnification, beside what the cascade looked at there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.geometry import magnification
from napari_hagmil.quadtree import Nodes, PatchGrid, is_among, z_codes
from napari_hagmil.viewing.fixations import SHORTEST
from napari_hagmil.viewing.view import View, as_columns, seconds_in_view

#: A view counts for a magnification from this share of it on: 18× is 20× to the eye.
NEARLY = 0.9

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class SeenCompared:
    """The tissue of one depth: which of its patches the reader saw, and which the cascade.

    Attributes
    ----------
    grid : PatchGrid
        Of the depth.
    magnification : float
        Of the depth; what the reader saw at a higher one counts too.
    nodes : (n, 2) int64 array
        All nodes with tissue.
    by_reader, by_cascade : (n,) bool arrays
        Who saw which.
    """

    grid: PatchGrid
    magnification: float
    nodes: Nodes
    by_reader: Bools
    by_cascade: Bools

    @cached_property
    def shares(self) -> tuple[float, float, float, float]:
        """Shares of the patches seen by both, by the reader only, the cascade only, and neither."""
        n = max(len(self.nodes), 1)
        reader, cascade = self.by_reader, self.by_cascade
        kinds = (reader & cascade, reader & ~cascade, ~reader & cascade, ~reader & ~cascade)
        both, first, second, neither = (float(one.sum()) / n for one in kinds)
        return both, first, second, neither

    @property
    def agreement(self) -> float:
        """Share of the patches on which both did the same: seen by both, or by neither."""
        both, _, _, neither = self.shares
        return both + neither

    @property
    def kappa(self) -> float:
        """Cohen's κ of *seen* and *not seen*, over the patches with tissue.

        NaN where chance alone explains the agreement: both saw all, or both nothing.
        """
        both, first, second, neither = self.shares
        expected = (both + first) * (both + second) + (neither + first) * (neither + second)
        if not len(self.nodes) or math.isclose(expected, 1):
            return math.nan
        return (both + neither - expected) / (1 - expected)

    @property
    def kinds(self) -> NDArray[np.uint8]:
        """(n,): 0 seen by neither, 1 by the reader only, 2 by the cascade only, 3 by both."""
        return np.asarray(self.by_reader + 2 * self.by_cascade.astype(np.uint8), np.uint8)


@dataclass(frozen=True, slots=True)
class UnseenPlace:
    """Patches that neither has seen, near enough to each other for one view.

    Attributes
    ----------
    code : int
        Its place on the way over the slide: the next one has a higher code.
    y, x : float
        The middle of its patches, level-0 px.
    patches : int
        How many.
    """

    code: int
    y: float
    x: float
    patches: int


def seconds_seen(views: Sequence[View], grid: PatchGrid, power: float) -> NDArray[np.float64]:
    """How long the centre of each patch of a depth was in view at its magnification or above.

    Parameters
    ----------
    views : sequence of View
    grid : PatchGrid
        Of the depth.
    power : float
        Its magnification; views from `NEARLY` of it on count.

    Returns
    -------
    (rows, columns) float64 array
        Seconds.
    """
    rows, columns = grid.shape
    change = np.zeros((rows + 1, columns + 1))
    numbers, lasted = as_columns(views), seconds_in_view(views)
    counted = (numbers[:, 5] >= NEARLY * power) & (lasted > 0)
    numbers, lasted = numbers[counted], lasted[counted]
    (y0, y1), (x0, x1) = (_addresses(numbers, grid, axis) for axis in (0, 1))
    for row, column, sign in ((y0, x0, 1), (y1, x1, 1), (y0, x1, -1), (y1, x0, -1)):
        np.add.at(change, (row, column), sign * lasted)
    # Sums of differences of seconds are zero but for rounding where nothing was in view.
    return np.round(change.cumsum(0).cumsum(1)[:-1, :-1], 6)


def compare_seen(
    views: Sequence[View], grid: PatchGrid, mpp: float, nodes: Nodes, looked_at: Nodes
) -> SeenCompared:
    """Compare what was in view for at least `SHORTEST` seconds with what the cascade looked at.

    Parameters
    ----------
    views : sequence of View
        Of the reader.
    grid : PatchGrid
        Of the depth.
    mpp : float
        µm per level-0 pixel.
    nodes : (n, 2) int64 array
        The depth's nodes with tissue.
    looked_at : (m, 2) int64 array
        Those that the cascade looked at; empty where it did not get there.
    """
    power = magnification(grid.downsample * mpp)
    seen = seconds_seen(views, grid, power) >= SHORTEST
    by_reader = seen[nodes[:, 0], nodes[:, 1]]
    return SeenCompared(grid, power, nodes, by_reader, is_among(nodes, looked_at))


def unseen_places(found: SeenCompared, side: float) -> tuple[UnseenPlace, ...]:
    """What neither has seen, a view at a time, in the order of a walk over the slide.

    Parameters
    ----------
    found : SeenCompared
    side : float
        Shorter side of a view at the depth's magnification, level-0 px: patches further apart are
        of two places.
    """
    nodes = found.nodes[found.kinds == 0]
    if not len(nodes):
        return ()
    across = max(1, int(side // found.grid.stride))
    codes = z_codes(nodes // across).astype(np.int64)
    order = np.argsort(codes, kind="stable")
    known, first = np.unique(codes[order], return_index=True)
    centres = np.split(found.grid.centres(nodes)[order], first[1:])
    places = []
    for code, here in zip(known.tolist(), centres, strict=True):
        low, high = here.min(axis=0), here.max(axis=0)
        y, x = ((low + high) / 2).tolist()
        places.append(UnseenPlace(code, y, x, len(here)))
    return tuple(places)


def _addresses(
    numbers: NDArray[np.float64], grid: PatchGrid, axis: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First address whose patch's centre is in view, and that after the last; none: the same."""
    middle, half = numbers[:, 1 + axis], numbers[:, 3 + axis] / 2
    offset = grid.origin[axis] - 0.5 + grid.span / 2 * grid.stride
    first = np.ceil((middle - half - offset) / grid.stride)
    stop = np.floor((middle + half - offset) / grid.stride) + 1
    limit = grid.shape[axis]
    first = np.clip(first, 0, limit).astype(np.int64)
    return first, np.maximum(np.clip(stop, 0, limit).astype(np.int64), first)
