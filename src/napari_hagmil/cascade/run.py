"""The cascade: look, keep the k highest, open them, look closer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hagmil.cascade.result import Stage, decision_logits, is_same_bag
from napari_hagmil.cascade.select import CascadeConfig, Choose, by_attention, descend
from napari_hagmil.errors import SlideReadError
from napari_hagmil.features import FeatureSource
from napari_hagmil.models import CascadeModel
from napari_hagmil.quadtree import Nodes, Quadtree


def iter_cascade(
    model: CascadeModel,
    quadtree: Quadtree,
    features: FeatureSource,
    config: CascadeConfig,
    *,
    known: Sequence[Stage] = (),
) -> Iterator[Stage]:
    """Run the cascade and yield each stage as soon as it is known.

    Depth 0 looks at every tissue node; each further depth at the four children of the nodes
    followed at the one before (HAG-MIL, Xiong et al., IJCAI 2023, section 3), or at those of them
    with tissue.

    `known` are stages of an earlier run with the same model and features: a depth whose bag
    is the same keeps its attention, and only the nodes to follow are chosen again.

    Raises
    ------
    SlideReadError
        When not one node of a stage can be read.
    """
    nodes, logits = config.in_order(quadtree.nodes[0]), []
    for depth in range(config.last_depth + 1):
        grid = quadtree.grids[depth]
        vetoed = config.steering.vetoed(grid, nodes)
        asked = nodes[~vetoed]
        stage = known[depth] if depth < len(known) else None
        if stage is None or not is_same_bag(stage, asked):
            stage = look_at(model, features, depth, asked)
        logits.append(stage.logits)
        pinned = config.steering.pinned(grid, stage.nodes)
        descent = descend(depth, stage.nodes, stage.attention, config, pinned)
        yield replace(
            stage,
            followed=descent.followed,
            pinned=pinned & descent.followed,
            vetoed=nodes[vetoed],
            decision=decision_logits(logits, model.depth_weights, model.temperatures),
        )
        nodes = descent.nodes


def look_at(model: CascadeModel, features: FeatureSource, depth: int, nodes: Nodes) -> Stage:
    """Run the model of one depth on any of its nodes; none of them is followed."""
    bag, unread, seen = _readable(features(depth, nodes), nodes)
    logits, attention = _look(model.stages[depth], bag, depth)
    nothing = np.zeros(len(seen), dtype=bool)
    return Stage(depth, seen, attention, logits, nothing, nothing, unread)


def _readable(bag: torch.Tensor, nodes: Nodes) -> tuple[torch.Tensor, Nodes, Nodes]:
    """Split off the nodes whose features are not finite: (bag, unread nodes, nodes in the bag)."""
    read = bag.isfinite().all(1)
    mask = read.numpy()
    return bag[read], nodes[~mask], nodes[mask]


def _look(
    stage_model: torch.nn.Module, bag: torch.Tensor, depth: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if not len(bag):
        raise SlideReadError(
            f"depth {depth} of the cascade",
            "has nothing to look at: every place was unreadable or left out",
            remedy="check the file, or leave out less",
        )
    device = next((p.device for p in stage_model.parameters()), torch.device("cpu"))
    with torch.inference_mode():
        logits, attention, _ = stage_model(bag.to(device))
    return logits.float().cpu().numpy().reshape(-1), attention.float().cpu().numpy().reshape(-1)


def run_over(
    model: CascadeModel,
    quadtree: Quadtree,
    features: FeatureSource,
    budget: tuple[int, ...] | None = None,
    *,
    last_depth: int | None = None,
    choose: Choose = by_attention,
    known: Sequence[Stage] = (),
) -> list[Stage]:
    """Run the cascade over one slide with the model's own settings.

    Parameters
    ----------
    model : CascadeModel
    quadtree : Quadtree
    features : FeatureSource
    budget : tuple of int, optional
        k at every depth but the last; by default the model's own.
    last_depth : int, optional
        By default the model's.
    choose : callable
        How the budget is spent; for controls.
    known : sequence of Stage
        See `iter_cascade`.
    """
    config = CascadeConfig(
        model.config.budget if budget is None else budget,
        model.config.n_depths - 1 if last_depth is None else last_depth,
        model.config.order,
        choose=choose,
        tissue=model.tissue_of(quadtree.nodes),
    )
    return list(iter_cascade(model, quadtree, features, config, known=known))
