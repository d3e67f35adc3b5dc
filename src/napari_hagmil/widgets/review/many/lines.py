"""Many outlines as lines: of those in view, as exact as the screen can show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.review import Annotation

#: Corners that are drawn at once, about: napari takes 0.1 s for them with every zoom.
MOST_CORNERS = 40_000

Box = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Upper left and lower right corner (y, x), µm."""

Lines = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Start and way of each line, (n, 2, 2), µm; and its colour, (n, 4)."""


@dataclass(frozen=True)
class OutlineLines:
    """Outlines end to end, and what of them is worth drawing.

    Attributes
    ----------
    corners : (n, 2) float64
        (y, x), µm.
    counts : (m,) int64
        How many corners each outline has.
    firsts : (m,) int64
        Where its first one stands.
    closed : (m,) bool
        Whether it returns to its start; a ruler does not.
    low, high : (m, 2) float64
        The box around it, µm.
    colors : (m, 4) float32
        RGBA.
    """

    corners: NDArray[np.float64]
    counts: NDArray[np.int64]
    firsts: NDArray[np.int64]
    closed: NDArray[np.bool_]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    colors: NDArray[np.float32]

    @classmethod
    def of(
        cls, drawn: Sequence[Annotation], colors: NDArray[np.float64], mpp: float
    ) -> OutlineLines:
        """Those of annotations that are no points; `mpp` is µm per level-0 px."""
        counts = np.array([len(one.points) for one in drawn], dtype=np.int64)
        places = chain.from_iterable(one.points for one in drawn)
        numbers = np.fromiter(chain.from_iterable(places), np.float64, 2 * int(counts.sum()))
        corners, firsts = mpp * numbers.reshape(-1, 2), np.cumsum(counts) - counts
        return cls(
            corners,
            counts,
            firsts,
            np.array([one.kind != "ruler" for one in drawn]),
            np.minimum.reduceat(corners, firsts, axis=0),
            np.maximum.reduceat(corners, firsts, axis=0),
            colors.astype(np.float32),
        )

    @property
    def box(self) -> Box:
        """Around all of them."""
        return self.low.min(axis=0), self.high.max(axis=0)

    def within(self, box: Box, um_per_px: float, most: int = MOST_CORNERS) -> Lines:
        """The lines of the outlines that reach into a box; `um_per_px` is µm per screen pixel.

        An outline has about one corner per pixel of its extent, of those that it has; one of a
        pixel or two is a stroke. Where that is more than `most` in all, it has fewer.
        """
        low, high = box
        (which,) = np.nonzero(((self.high >= low) & (self.low <= high)).all(axis=1))
        extent = (self.high[which] - self.low[which]).max(axis=1, initial=0) / um_per_px
        counts = self.counts[which]
        kept = np.clip(np.ceil(extent).astype(np.int64), 2, counts)
        if (total := int(kept.sum())) > most:
            kept = np.clip(kept * most // total, 2, counts)
        owner = np.repeat(np.arange(len(which)), kept)
        number = np.arange(len(owner)) - np.repeat(np.cumsum(kept) - kept, kept)
        # A stroke does not go there and back.
        closed = (self.closed[which] & (kept > 2))[owner]
        lines = closed | (number + 1 < kept[owner])
        owner, number = owner[lines], number[lines]

        def corner(number: NDArray[np.int64]) -> NDArray[np.float64]:
            spread = number * counts[owner] // kept[owner]
            places: NDArray[np.float64] = self.corners[self.firsts[which][owner] + spread]
            return places

        starts, ends = corner(number), corner((number + 1) % kept[owner])
        segments = np.stack([starts, ends - starts], axis=1).astype(np.float32)
        return segments, self.colors[which][owner]
