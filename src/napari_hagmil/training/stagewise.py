"""Training of a cascade stage by stage, coarse to fine, from slide labels only.

A stage is trained on the nodes that the finished stages before it hand on, then frozen: one
optimiser per depth, no gradient across depths. Features are asked for along followed branches
only, so that training, too, reads and encodes a fraction of the finest patches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hagmil.cascade import CascadeConfig, Choose, descend, select_top
from napari_hagmil.models import BagModel, CascadeModel
from napari_hagmil.quadtree import Nodes
from napari_hagmil.training.bags import Bag, Standardiser, standardised
from napari_hagmil.training.checkpoint import Checkpoint, CheckpointFolder
from napari_hagmil.training.config import TrainConfig
from napari_hagmil.training.guide import Guide
from napari_hagmil.training.loop import train_stage
from napari_hagmil.training.run_state import DepthEpoch, Epoch
from napari_hagmil.training.step import device_of
from napari_hagmil.training.training_slide import TrainingSlide

T = TypeVar("T")

Requests = Sequence[tuple[TrainingSlide, Nodes]]


@dataclass(frozen=True)
class Selection:
    """Which nodes a finished stage hands on while the next one is trained.

    Attributes
    ----------
    budget : tuple of int
        Nodes of highest attention, at each depth but the last.
    random : tuple of int
        Further ones, drawn from the rest: the next stage sees what the attention passes over.
        Of the training slides alone; validation slides are read as in use.
    seed : int
    first_budget : tuple of int
        Of the first epoch of a joint training, from which `budget` is reached in `narrowing`
        epochs, geometrically; by default `budget` from the start.
    narrowing : int
    """

    budget: tuple[int, ...]
    random: tuple[int, ...]
    seed: int = 0
    first_budget: tuple[int, ...] = ()
    narrowing: int = 0

    def budget_in(self, epoch: int) -> tuple[int, ...]:
        """The budget of an epoch of a joint training, 0 the first."""
        if not self.first_budget or epoch >= self.narrowing:
            return self.budget
        share = epoch / self.narrowing
        pairs = zip(self.first_budget, self.budget, strict=True)
        return tuple(round(first * (last / first) ** share) for first, last in pairs)

    def __post_init__(self) -> None:
        if len(self.budget) != len(self.random) or min(self.budget, default=1) < 1:
            raise ValueError(
                f"a Selection has a positive budget and a random share for the same depths, got "
                f"{self.budget} and {self.random}; give for instance (16, 32) and (2, 4)"
            )

    def chooser(self, rng: np.random.Generator) -> Choose:
        """How training slides spend the budget: by attention, then at random besides."""

        def choose(
            depth: int, nodes: Nodes, attention: NDArray[np.float32], budget: int
        ) -> NDArray[np.intp]:
            top = select_top(attention, budget)
            if not self.random[depth]:
                return top
            rest = np.setdiff1d(np.arange(len(attention)), top)
            return np.concatenate([top, rng.permutation(rest)[: self.random[depth]]])

        return choose


@dataclass(frozen=True)
class CascadeTraining:
    """How a cascade is trained.

    Attributes
    ----------
    stages : tuple of TrainConfig
        One per depth.
    selection : Selection
    limits : tuple of (int, int)
        Stagewise only: most training and validation slides, the first ones, that each depth
        uses; none given: all. A finer depth uses no slide that a coarser one did not: instances
        are few at the coarsest depth, and many at the finest.
    prefetch : callable, optional
        Called once per depth with all (slide, nodes) that will be asked for there, before the
        first is: the place to encode many slides at once.
    guide : Guide, optional
        The attention of a teacher on the training slides.
    standardise : bool
        Learn on features of mean 0 and standard deviation 1; the finished model takes raw ones.
    checkpoints : CheckpointFolder, optional
    """

    stages: tuple[TrainConfig, ...]
    selection: Selection
    limits: tuple[tuple[int, int], ...] = ()
    prefetch: Callable[[int, Requests], None] | None = None
    guide: Guide | None = None
    standardise: bool = True
    checkpoints: CheckpointFolder | None = None

    def checkpoint(self, depth: int) -> Checkpoint | None:
        """The checkpoint of one depth."""
        return self.checkpoints.of_depth(depth) if self.checkpoints else None


def train_cascade(
    model: CascadeModel,
    training: Sequence[TrainingSlide],
    validation: Sequence[TrainingSlide],
    config: CascadeTraining,
) -> Iterator[DepthEpoch]:
    """Train the stages of a cascade in place, one after the other.

    Each stage learns on standardised features; the standardisation is absorbed by its first
    layer after training, so that the finished model takes raw ones.

    Yields
    ------
    DepthEpoch
        After every epoch of every depth.
    """
    if config.selection.first_budget or any(stage.feedback for stage in config.stages):
        raise ValueError(
            "stages that learn one after the other have no feedback and no budget that narrows; "
            "leave first_budget and feedback out, or train them jointly"
        )
    sides: list[Sequence[TrainingSlide]] = [training, validation]
    nodes: list[Sequence[Nodes]] = [[slide.nodes for slide in side] for side in sides]
    for depth in range(model.config.n_depths):
        sides, nodes = _reaching(sides, nodes, depth)
        sides, nodes = _limited(sides, depth, config), _limited(nodes, depth, config)
        requests = [
            pair for some in zip(sides, nodes, strict=True) for pair in zip(*some, strict=True)
        ]
        if config.prefetch is not None:
            config.prefetch(depth, requests)
        bags, nodes = _bags(sides, depth, nodes, config.guide)
        epochs = fit_stage(
            model.stage(depth),
            bags[0],
            bags[1],
            config.stages[depth],
            standardise=config.standardise,
            checkpoint=config.checkpoint(depth),
        )
        yield from (DepthEpoch(depth, epoch) for epoch in epochs)
        if depth < model.config.n_depths - 1:
            opened = [_Side(*side) for side in zip(sides, bags, nodes, strict=True)]
            nodes = _opened(model, depth, opened, config.selection)


def _reaching(
    sides: Sequence[Sequence[TrainingSlide]], nodes: Sequence[Sequence[Nodes]], depth: int
) -> tuple[list[Sequence[TrainingSlide]], list[Sequence[Nodes]]]:
    """Both sides without the slides that end before a depth: each learns to the depth it has."""
    kept = [[slide.n_depths > depth for slide in side] for side in sides]
    slides = [list(compress(side, keep)) for side, keep in zip(sides, kept, strict=True)]
    return [*slides], [list(compress(some, keep)) for some, keep in zip(nodes, kept, strict=True)]


def _limited(
    sides: Sequence[Sequence[T]], depth: int, config: CascadeTraining
) -> list[Sequence[T]]:
    """The first entries of both sides, as many as a depth uses."""
    limits = config.limits[depth] if config.limits else map(len, sides)
    return [side[:n] for side, n in zip(sides, limits, strict=True)]


@dataclass(frozen=True)
class _Side:
    """Training or validation slides at one depth: their bags, and the nodes of these."""

    slides: Sequence[TrainingSlide]
    bags: Sequence[Bag]
    nodes: Sequence[Nodes]


def _opened(
    model: CascadeModel, depth: int, sides: Sequence[_Side], selection: Selection
) -> list[Sequence[Nodes]]:
    """What both sides look at next; validation without random nodes, as in use."""
    in_use = CascadeConfig(model.config.budget, order=model.config.order)
    last = in_use.last_depth
    rng = np.random.default_rng((selection.seed, depth))
    in_training = replace(in_use, budget=selection.budget, choose=selection.chooser(rng))
    return [
        next_nodes(
            model.stage(depth),
            depth,
            side.bags,
            side.nodes,
            [
                replace(
                    how,
                    last_depth=min(slide.n_depths - 1, last),
                    tissue=model.tissue_of(slide.tissue),
                )
                for slide in side.slides
            ],
        )
        for side, how in zip(sides, (in_training, in_use), strict=True)
    ]


def fit_stage(
    stage: BagModel,
    training: Sequence[Bag],
    validation: Sequence[Bag],
    config: TrainConfig,
    *,
    standardise: bool = True,
    checkpoint: Checkpoint | None = None,
) -> Iterator[Epoch]:
    """Train one stage, by default on standardised features; the trained stage takes raw ones.

    Yields
    ------
    Epoch
        As `train_stage` does.
    """
    if not standardise:
        yield from train_stage(stage, training, validation, config, checkpoint)
        return
    standardiser = Standardiser.fit(bag.features for bag in training)
    sides = (standardised(training, standardiser), standardised(validation, standardiser))
    yield from train_stage(stage, *sides, config, checkpoint)
    stage.absorb(standardiser.mean, standardiser.scale)


def next_nodes(
    stage: BagModel,
    depth: int,
    bags: Sequence[Bag],
    nodes: Sequence[Nodes],
    cascades: Sequence[CascadeConfig],
) -> list[Nodes]:
    """The nodes of the next depth on every slide, each by its own configuration."""
    below, device = [], device_of(stage)
    with torch.inference_mode():
        for bag, places, cascade in zip(bags, nodes, cascades, strict=True):
            attention = stage(bag.on(device).features).attention.cpu().numpy()
            below.append(descend(depth, places, attention, cascade).nodes)
    return below


def _bags(
    sides: Sequence[Sequence[TrainingSlide]],
    depth: int,
    nodes: Sequence[Sequence[Nodes]],
    guide: Guide | None,
) -> tuple[list[list[Bag]], list[Sequence[Nodes]]]:
    """Bags of both sides, those of the training slides with their guide, and the nodes read."""
    pairs = [
        [slide.bag(depth, some) for slide, some in zip(side, places, strict=True)]
        for side, places in zip(sides, nodes, strict=True)
    ]
    bags = [[bag for bag, _ in side] for side in pairs]
    read: list[Sequence[Nodes]] = [[some for _, some in side] for side in pairs]
    if guide is not None:
        bags[0] = [
            replace(bag, guide=guide(slide, depth, some))
            for bag, slide, some in zip(bags[0], sides[0], read[0], strict=True)
        ]
    return bags, read
