"""Trace one point through the depths: why it was followed or cut; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.cascade.result import Stage, node_statuses
from napari_hagmil.quadtree import Nodes, PatchGrid


@dataclass(frozen=True, slots=True)
class Branch:
    """A node and everything below it.

    Attributes
    ----------
    depth : int
        Of the node, 0 = coarsest.
    node : (row, column)
        Its address in the grid of that depth.
    """

    depth: int
    node: tuple[int, int]


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What one depth found at one place.

    Attributes
    ----------
    depth : int
        0 = coarsest.
    mpp : float
        µm per pixel at that depth.
    status : str
        "followed", "pinned", "cut", "leaf", "unread", "vetoed" or "not visited".
    attention, score : float
        Raw attention and its percentile; NaN where not looked at.
    rank, n_nodes : int
        Rank among the nodes of the stage, 1 = highest; 0 where not looked at.
    node : tuple of int
        Address (row, column) in the grid of the depth.
    cut_rank : int
        The last rank that was followed for its attention; 0 at the last depth.
    cut_attention : float
        The attention there; NaN at the last depth.
    """

    depth: int
    mpp: float
    status: str
    attention: float = float("nan")
    score: float = float("nan")
    rank: int = 0
    n_nodes: int = 0
    node: tuple[int, int] = (0, 0)
    cut_rank: int = 0
    cut_attention: float = float("nan")


class StageIndex:
    """One stage, indexed by node: a lookup at a point takes constant time.

    Parameters
    ----------
    stage : Stage
        What was found.
    grid : PatchGrid
        Of its depth.
    mpp : float
        µm per level-0 pixel.
    last : bool
        Whether the cascade ends here.
    """

    def __init__(self, stage: Stage, grid: PatchGrid, mpp: float, *, last: bool) -> None:
        self.stage, self.grid = stage, grid
        self._mpp = grid.downsample * mpp
        self._place = {(int(r), int(c)): i for i, (r, c) in enumerate(stage.nodes)}
        self._others = {
            **{(int(r), int(c)): "unread" for r, c in stage.unread},
            **{(int(r), int(c)): "vetoed" for r, c in stage.vetoed},
        }
        self._statuses = node_statuses(stage, last=last)
        self._ranks, self._scores = stage.ranks, stage.scores
        self._cut_rank, self._cut_attention = _cut(stage, self._ranks)

    def facts(self, y: float, x: float) -> NodeFacts:
        """What this stage found at a level-0 pixel."""
        node = self._nearest((y, x))
        i = self._place.get(node)
        if i is None:
            status = self._others.get(node, "not visited")
            return NodeFacts(self.stage.depth, self._mpp, status, node=node)
        return NodeFacts(
            self.stage.depth,
            self._mpp,
            self._statuses[i],
            float(self.stage.attention[i]),
            float(self._scores[i]),
            int(self._ranks[i]),
            len(self.stage.nodes),
            node,
            self._cut_rank,
            self._cut_attention,
        )

    def _nearest(self, point: tuple[float, float]) -> tuple[int, int]:
        """The node whose patch holds a point: of those that overlap, the one that is nearest."""
        row, column = node_at(self.grid, point)
        reach = range(self.grid.span)
        known = self._place.keys() | self._others.keys()
        near = [n for i in reach for j in reach if (n := (row - i, column - j)) in known]
        if not near:
            return row, column
        away = np.abs(self.grid.centres(np.array(near)) - point).max(axis=1)
        return near[int(away.argmin())]


def _cut(stage: Stage, ranks: NDArray[np.int64]) -> tuple[int, float]:
    """The last rank that was followed for its attention, and the attention there."""
    for_attention = stage.followed & ~stage.pinned
    if not for_attention.any():
        return 0, float("nan")
    rank = int(ranks[for_attention].max())
    return rank, float(stage.attention[ranks == rank][0])


def node_at(grid: PatchGrid, point: tuple[float, float]) -> tuple[int, int]:
    """Address of the node that holds a level-0 pixel (y, x)."""
    row, column = grid.address(point).tolist()
    return row, column


def ancestor(node: tuple[int, int], depths: int) -> tuple[int, int]:
    """Address of the node that holds a node, `depths` above it."""
    return node[0] >> depths, node[1] >> depths


def within_branch(nodes: Nodes, depth: int, branch: Branch) -> NDArray[np.bool_]:
    """Which nodes of a depth lie in a branch, (n,).

    Parameters
    ----------
    nodes : (n, 2) int64
        Addresses at `depth`.
    depth : int
        0 = coarsest; no node above the branch lies in it.
    branch : Branch
    """
    below = depth - branch.depth
    if below < 0:
        return np.zeros(len(nodes), dtype=bool)
    return np.asarray((nodes >> below == np.array(branch.node)).all(1))


def described(facts: Sequence[NodeFacts]) -> str:
    """One sentence on why the cascade followed this node or stopped here."""
    reached = [one for one in facts if one.n_nodes]
    if not facts:
        return "Run the cascade to see what it says of this place."
    if not reached:
        return _NOT_REACHED.get(
            facts[0].status, "Glass, or outside the tissue mask: not looked at."
        )
    last = reached[-1]
    if last.status == "leaf":
        return f"Looked at down to the last depth: rank {last.rank:,} of {last.n_nodes:,} there."
    if last.status == "cut":
        return (
            f"Cut: rank {last.rank:,} of {last.n_nodes:,}, and the {last.cut_rank:,} highest were "
            f"followed (attention {last.attention:.3g}; the last one followed has "
            f"{last.cut_attention:.3g})."
        )
    below = facts[len(reached)].status if len(facts) > len(reached) else "not visited"
    return _BELOW.get(below, "Followed; the depth below has not been read.")


_NOT_REACHED = {
    "unread": "The file cannot be read here: this place was not looked at.",
    "vetoed": "You left this place out.",
}
_BELOW = {
    "unread": "Followed, but the file cannot be read here at the next depth.",
    "vetoed": "Followed, but you left this place out at the next depth.",
}
