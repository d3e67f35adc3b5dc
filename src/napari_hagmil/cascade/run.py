"""The cascade: look, keep the k highest, open them, look closer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hagmil.cascade.decide import decide, weights_of
from napari_hagmil.cascade.result import Stage
from napari_hagmil.cascade.select import Choose, by_attention, with_pinned
from napari_hagmil.cascade.steering import Steering
from napari_hagmil.errors import SlideReadError
from napari_hagmil.features import FeatureSource
from napari_hagmil.models import CascadeModel
from napari_hagmil.quadtree import Nodes, Quadtree, children, is_among, z_order


class StageModels(Protocol):
    """A model with one bag classifier per depth, 0 = coarsest."""

    @property
    def stages(self) -> Sequence[torch.nn.Module] | torch.nn.ModuleList: ...  # noqa: D102


@dataclass(frozen=True)
class CascadeConfig:
    """How a cascade is run.

    Attributes
    ----------
    budget : tuple of int
        Nodes handed on at each depth but the last: the paper's k.
    last_depth : int
        Where the cascade ends; less than the model's last where the slide has no finer
        pixels. Left out: as deep as the budget goes.
    order : str
        "quadtree": children are listed along the Z-order curve, so that neighbours in the bag
        are neighbours on the glass and Nyström landmarks mean something. "attention": in
        descending attention of their parents, as the official code lists them.
    steering : Steering
        What the reader of the slide adds.
    choose : callable
        How the budget is spent: on the highest attention, but for controls.
    """

    budget: tuple[int, ...]
    last_depth: int = -1
    order: Literal["quadtree", "attention"] = "quadtree"
    steering: Steering = field(default_factory=Steering)
    choose: Choose = by_attention

    def __post_init__(self) -> None:
        if self.last_depth < 0:
            object.__setattr__(self, "last_depth", len(self.budget))
        if len(self.budget) < self.last_depth or any(k < 1 for k in self.budget):
            raise ValueError(
                f"a budget is a positive number of nodes for each of {self.last_depth} depths, "
                f"got {self.budget}; give for instance {(16,) * self.last_depth}"
            )


def iter_cascade(
    model: StageModels,
    quadtree: Quadtree,
    features: FeatureSource,
    config: CascadeConfig,
    *,
    known: Sequence[Stage] = (),
) -> Iterator[Stage]:
    """Run the cascade and yield each stage as soon as it is known.

    Depth 0 looks at every tissue node; each further depth at the four children of the nodes
    followed at the one before (HAG-MIL, Xiong et al., IJCAI 2023, section 3).

    `known` are stages of an earlier run with the same model and features: a depth whose bag
    is the same is not computed again, only its selection is made anew.

    Raises
    ------
    SlideReadError
        When not one node of a stage can be read.
    """
    nodes, said = quadtree.nodes[0], []
    for depth in range(config.last_depth + 1):
        vetoed = config.steering.vetoed(quadtree.grids[depth], nodes)
        asked = nodes[~vetoed]
        before = known[depth] if depth < len(known) else None
        if before is None or not is_same_bag(before, asked):
            before = look_at(model, features, depth, asked)
        seen, attention = before.nodes, before.attention
        said.append(before.logits)
        chosen = np.empty(0, dtype=np.intp)
        pinned = config.steering.pinned(quadtree.grids[depth], seen)
        if depth < config.last_depth:
            top = config.choose(depth, seen, attention, config.budget[depth])
            chosen = with_pinned(attention, top, pinned)
        followed = np.zeros(len(seen), dtype=bool)
        followed[chosen] = True
        yield replace(
            before,
            followed=followed,
            pinned=pinned & followed,
            vetoed=nodes[vetoed],
            decision=decide(said, weights_of(model)),
        )
        nodes = children(_ordered(seen[chosen], config.order))


def is_same_bag(stage: Stage, asked: Nodes) -> bool:
    """Whether a stage looked at exactly these nodes, in this order."""
    if len(stage.nodes) + len(stage.unread) != len(asked):
        return False
    return bool(np.array_equal(asked[~is_among(asked, stage.unread)], stage.nodes))


def look_at(model: StageModels, features: FeatureSource, depth: int, nodes: Nodes) -> Stage:
    """Look at any bag of one depth; nothing of it is followed."""
    bag, unread, seen = _readable(features(depth, nodes), nodes)
    logits, attention = _look(model.stages[depth], bag, depth)
    nothing = np.zeros(len(seen), dtype=bool)
    return Stage(depth, seen, attention, logits, nothing, nothing, unread)


def _readable(bag: torch.Tensor, nodes: Nodes) -> tuple[torch.Tensor, Nodes, Nodes]:
    """Split off the nodes whose features are NaN: (bag, unread nodes, nodes in the bag)."""
    read = ~torch.isnan(bag).any(1)
    mask = read.numpy()
    return bag[read], nodes[~mask], nodes[mask]


def _look(
    stage_model: torch.nn.Module, bag: torch.Tensor, depth: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if not len(bag):
        raise SlideReadError(
            f"depth {depth} of the cascade has nothing to look at: every place was unreadable or "
            "left out; check the file, or leave out less"
        )
    device = next((p.device for p in stage_model.parameters()), torch.device("cpu"))
    with torch.inference_mode():
        logits, attention, _ = stage_model(bag.to(device))
    return logits.float().cpu().numpy().reshape(-1), attention.float().cpu().numpy().reshape(-1)


def _ordered(nodes: Nodes, order: str) -> Nodes:
    return nodes[z_order(nodes)] if order == "quadtree" else nodes


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
    """Run the cascade over one slide, to its end.

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
        Of an earlier run with the same model and features.
    """
    config = CascadeConfig(
        model.config.budget if budget is None else budget,
        model.config.n_depths - 1 if last_depth is None else last_depth,
        model.config.order,
        choose=choose,
    )
    return list(iter_cascade(model, quadtree, features, config, known=known))
