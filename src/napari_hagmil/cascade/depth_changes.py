"""What differs between two runs over one slide; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.cascade.result import Stage
from napari_hagmil.quadtree import Nodes, is_among


@dataclass(frozen=True, eq=False)
class DepthChange:
    """What differs at one depth.

    Attributes
    ----------
    depth : int
        0 = coarsest.
    opened, closed : (n, 2) int64
        Nodes followed only now, and only before.
    gained, lost : (n, 2) int64
        Nodes looked at only now, and only before.
    before, after : (classes,) float64
        Class probabilities.
    """

    depth: int
    opened: Nodes
    closed: Nodes
    gained: Nodes
    lost: Nodes
    before: NDArray[np.float64]
    after: NDArray[np.float64]


def compare_runs(before: Sequence[Stage], after: Sequence[Stage]) -> tuple[DepthChange, ...]:
    """Compare two runs over the same slide and model, at the depths that both reached."""
    return tuple(_compare(old, new) for old, new in zip(before, after, strict=False))


def _compare(old: Stage, new: Stage) -> DepthChange:
    was, now = old.nodes[old.followed], new.nodes[new.followed]
    return DepthChange(
        depth=new.depth,
        opened=now[~is_among(now, was)],
        closed=was[~is_among(was, now)],
        gained=new.nodes[~is_among(new.nodes, old.nodes)],
        lost=old.nodes[~is_among(old.nodes, new.nodes)],
        before=old.probabilities,
        after=new.probabilities,
    )
