"""What a run will cost, before it is made; no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from napari_hagmil.cascade.result import Stage
from napari_hagmil.cascade.select import select_followed
from napari_hagmil.cascade.steering import Steering
from napari_hagmil.quadtree import Nodes, Quadtree, children, is_among, z_order


@dataclass(frozen=True)
class Plan:
    """What is going to be run.

    Attributes
    ----------
    budget : tuple of int
        Nodes handed on at each depth but the last.
    last_depth : int
        Where it ends.
    steering : Steering
        Branches to follow, places to leave out.
    """

    budget: tuple[int, ...]
    last_depth: int
    steering: Steering = field(default_factory=Steering)


@dataclass(frozen=True, slots=True)
class DepthForecast:
    """What one depth will cost.

    Attributes
    ----------
    depth : int
        0 = coarsest.
    nodes : int
        Nodes that will be looked at.
    new : int
        Those of them that are still to be read and encoded.
    exact : bool
        False where the branches to follow are not known yet: both numbers are then upper
        bounds.
    """

    depth: int
    nodes: int
    new: int
    exact: bool


def forecast(
    quadtree: Quadtree,
    plan: Plan,
    n_missing: Callable[[int, Nodes], int],
    known: Sequence[Stage] = (),
) -> tuple[DepthForecast, ...]:
    """Count the patches of a run, depth by depth.

    Exact as far as the attention is known from an earlier run with the same bags; an upper
    bound below that.

    Parameters
    ----------
    quadtree : Quadtree
        Of the slide.
    plan : Plan
        What is going to be run.
    n_missing : callable
        (depth, nodes) → how many of the nodes are not encoded yet.
    known : sequence of Stage
        Of an earlier run with the same model and features.
    """
    found: list[DepthForecast] = []
    nodes: Nodes | None = quadtree.nodes[0]
    most = len(quadtree.nodes[0])
    for depth in range(plan.last_depth + 1):
        if nodes is None:
            found.append(DepthForecast(depth, most, most, exact=False))
        else:
            nodes = nodes[~plan.steering.vetoed(quadtree.grids[depth], nodes)]
            most = len(nodes)
            found.append(DepthForecast(depth, most, n_missing(depth, nodes), exact=True))
        if depth < plan.last_depth:
            nodes = _next(quadtree, plan, depth, nodes, known)
            # A pinned point opens one more branch at each depth, at most.
            most = 4 * min(plan.budget[depth] + len(plan.steering.follow), most)
            most = most if nodes is None else len(nodes)
    return tuple(found)


def _next(
    quadtree: Quadtree, plan: Plan, depth: int, nodes: Nodes | None, known: Sequence[Stage]
) -> Nodes | None:
    """The nodes of the next depth, where they follow from what is known."""
    if nodes is None or depth >= len(known):
        return None
    stage = known[depth]
    if not _same_nodes(stage, nodes):
        return None
    pinned = plan.steering.pinned(quadtree.grids[depth], stage.nodes)
    chosen = select_followed(stage.attention, plan.budget[depth], pinned)
    opened = children(stage.nodes[chosen])
    return opened[z_order(opened)]


def _same_nodes(stage: Stage, nodes: Nodes) -> bool:
    """Whether a stage looked at these nodes, in any order."""
    if len(stage.nodes) + len(stage.unread) != len(nodes):
        return False
    return bool(is_among(nodes, np.concatenate([stage.nodes, stage.unread])).all())
