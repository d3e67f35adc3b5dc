"""Outlines of the quadtree's branches: which were followed, and where the cascade stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.quadtree import Nodes, PatchGrid

BranchStatus = Literal["followed", "pinned", "cut", "leaf", "unread"]


class StageLike(Protocol):
    """What the outlines need of a `cascade.Stage`, which lives above this package."""

    @property
    def depth(self) -> int: ...  # noqa: D102
    @property
    def nodes(self) -> Nodes: ...  # noqa: D102
    @property
    def followed(self) -> NDArray[np.bool_]: ...  # noqa: D102
    @property
    def pinned(self) -> NDArray[np.bool_]: ...  # noqa: D102
    @property
    def unread(self) -> Nodes: ...  # noqa: D102


@dataclass(frozen=True, slots=True, eq=False)
class BranchOutlines:
    """A rectangle per node, ready for a vector layer, coarse to fine.

    Attributes
    ----------
    rectangles : (m, 4, 2) float64
        Corners (y, x) in level-0 px, pixel centres at integers, clockwise from top left.
    depth : (m,) int64
        0 = coarsest.
    status : (m,) str
        "followed", "pinned" (followed because the reader asked), "cut", "leaf" (the last
        depth) or "unread".
    """

    rectangles: NDArray[np.float64]
    depth: NDArray[np.int64]
    status: NDArray[np.str_]

    def only(self, *statuses: BranchStatus) -> BranchOutlines:
        """Keep the outlines of some statuses: a last depth has thousands of leaves."""
        keep = np.isin(self.status, statuses)
        return BranchOutlines(self.rectangles[keep], self.depth[keep], self.status[keep])


def branch_outlines(
    grids: Sequence[PatchGrid],
    stages: Sequence[StageLike],
    *,
    slide_shape: tuple[int, int],
    inset: float = 0.02,
) -> BranchOutlines:
    """Outline every node that the stages looked at, as far as it lies on the slide.

    Parameters
    ----------
    grids : sequence of PatchGrid
        One per depth, coarse to fine; stages may be fewer while the cascade runs.
    stages : sequence of Stage
        Coarse to fine.
    slide_shape : tuple of int
        Rows and columns of level 0. A child of a patch at the slide's edge may lie beyond it, and
        then has no outline.
    inset : float
        How far each depth's outlines stay inside those of the depth before, as a share of
        the finest patch: else a parent's outline is hidden under its children's.
        0 draws them on the patch edges.
    """
    if not 0 <= inset * len(grids) < 0.5:
        raise ValueError(
            f"insets of {len(grids)} depths must stay below half a patch, got {inset} each; "
            "give for instance 0.02"
        )
    step = inset * grids[-1].side if grids else 0.0
    rectangles, depths, statuses = [np.empty((0, 4, 2))], [np.empty(0, np.int64)], []
    for stage in stages:
        grid, last = grids[stage.depth], stage.depth == len(grids) - 1
        for status, nodes in _by_status(stage, last=last):
            edges = grid.edges_on(nodes, slide_shape)
            rectangles.append(_rectangles(edges, step * (stage.depth + 1)))
            depths.append(np.full(len(edges), stage.depth, np.int64))
            statuses += [status] * len(edges)
    return BranchOutlines(
        np.concatenate(rectangles), np.concatenate(depths), np.array(statuses, dtype="<U8")
    )


def _by_status(stage: StageLike, *, last: bool) -> Iterator[tuple[BranchStatus, Nodes]]:
    if last:
        yield "leaf", stage.nodes
    else:
        yield "cut", stage.nodes[~stage.followed]
        yield "followed", stage.nodes[stage.followed & ~stage.pinned]
        yield "pinned", stage.nodes[stage.followed & stage.pinned]
    yield "unread", stage.unread


def _rectangles(edges: NDArray[np.int64], inset: float) -> NDArray[np.float64]:
    # Of a patch of which the slide has a few rows only, the inset must not take all of them.
    insets = np.minimum(inset, (edges[:, 2:] - edges[:, :2]) / 4)
    # A pixel reaches half a pixel beyond its centre: the first edge lies at y0 - 0.5.
    y0, x0, y1, x1 = (edges - 0.5 + np.concatenate([insets, -insets], axis=1)).T
    return np.stack([y0, x0, y0, x1, y1, x1, y1, x0], axis=1).reshape(-1, 4, 2)
