"""How many patches a run will look at, counted before it starts; no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from napari_hagmil.cascade.result import Stage, is_same_bag
from napari_hagmil.cascade.select import CascadeConfig, descend
from napari_hagmil.quadtree import Nodes, Quadtree


@dataclass(frozen=True, slots=True)
class DepthForecast:
    """The number of patches that one depth will look at.

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


def forecast_depths(
    quadtree: Quadtree,
    config: CascadeConfig,
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
    config : CascadeConfig
        Of the run to come.
    n_missing : callable
        (depth, nodes) → how many of the nodes are not encoded yet.
    known : sequence of Stage
        Of an earlier run with the same model and features.
    """
    depths: list[DepthForecast] = []
    nodes: Nodes | None = quadtree.nodes[0]
    most = len(quadtree.nodes[0])
    for depth in range(config.last_depth + 1):
        if nodes is None:
            depths.append(DepthForecast(depth, most, most, exact=False))
        else:
            nodes = nodes[~config.steering.vetoed(quadtree.grids[depth], nodes)]
            most = len(nodes)
            depths.append(DepthForecast(depth, most, n_missing(depth, nodes), exact=True))
        if depth < config.last_depth:
            nodes = _next(quadtree, config, depth, nodes, known)
            # A pinned point opens one more branch at each depth, at most.
            most = 4 * min(config.budget[depth] + len(config.steering.follow), most)
            if config.tissue is not None:
                # Below a pinned branch glass is looked at too.
                glass = 4 * len(config.steering.follow)
                most = min(most, len(config.tissue[depth + 1]) + glass)
            most = most if nodes is None else len(nodes)
    return tuple(depths)


def _next(
    quadtree: Quadtree,
    config: CascadeConfig,
    depth: int,
    nodes: Nodes | None,
    known: Sequence[Stage],
) -> Nodes | None:
    """The nodes of the next depth, where the known stages determine them."""
    if nodes is None or depth >= len(known) or not is_same_bag(known[depth], nodes):
        return None
    stage = known[depth]
    pinned = config.steering.pinned(quadtree.grids[depth], stage.nodes)
    return descend(depth, stage.nodes, stage.attention, config, pinned).nodes
