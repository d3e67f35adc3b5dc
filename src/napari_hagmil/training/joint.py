"""The paper's schedule: all depths learn together, slide by slide.

On every slide each depth learns by an optimiser of its own, and hands the nodes that its
attention chose on to the next, as it is at that moment; no gradient crosses depths. Training ends
after some epochs without a lower validation loss of the finest depth (HAG-MIL, Xiong et al.,
IJCAI 2023, section 4).

Two additions of ours, both off unless asked for. *Narrowing*: in the first epochs every depth
hands on many nodes, so that the finer ones learn what they look for before the coarser ones know
where it is. *Feedback*: the attention of a depth below each followed node is a target for the
attention of the depth above, among the followed nodes: what turned out to matter there was worth
following.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_hagmil.cascade import CascadeConfig, descend
from napari_hagmil.evaluation.metrics import auc
from napari_hagmil.models import CascadeModel
from napari_hagmil.quadtree import Nodes, children, parents, z_codes
from napari_hagmil.training.bags import Standardiser, with_dropped_features
from napari_hagmil.training.config import TrainConfig
from napari_hagmil.training.loop import checked_against
from napari_hagmil.training.run_state import DepthEpoch, Epoch, RunState
from napari_hagmil.training.stagewise import CascadeTraining
from napari_hagmil.training.step import (
    bag_loss,
    bag_terms,
    bags_per_step,
    device_of,
    order_of_epoch,
    reduced,
)
from napari_hagmil.training.training_slide import TrainingSlide, joined_slides

#: Settings of an epoch: depths that learn at once have them in common.
_SHARED = ("epochs", "patience", "min_epochs", "validated", "keep_last", "balanced", "join")

#: Coarsest nodes per slide whose branches the standardisation is estimated on.
SAMPLED = 16


def train_jointly(
    model: CascadeModel,
    training: Sequence[TrainingSlide],
    validation: Sequence[TrainingSlide],
    config: CascadeTraining,
) -> Iterator[DepthEpoch]:
    """Train all stages of a cascade in place, at once.

    Epochs, patience and seed are those of the finest stage's config; `selection.budget` is the k
    of training, the model's own budget that of validation.

    Yields
    ------
    DepthEpoch
        One per depth after every epoch; the best epoch is that of the finest depth.
    """
    _require_joint(config)
    scales = _standardisers(model, training, config)
    last = config.stages[-1]
    stages = [model.stage(depth) for depth in range(model.config.n_depths)]
    steppers = [how.stepper(stage) for stage, how in zip(stages, config.stages, strict=True)]
    run = RunState.start(stages, steppers, last.seed, config.checkpoint(len(stages) - 1))
    try:
        yield from run.history
        while last.goes_on(run.number, run.waited):
            started = time.perf_counter()
            train_losses = _pass(model, training, config, scales, run)
            checks = _validate(model, validation, config, scales)
            if run.number <= config.selection.narrowing:
                # What was read until now was wider than in use: nothing is compared with it.
                run.waited, run.best = 0, float("inf")
            is_best = run.end_epoch(checks[-1][0], keep=last.keep_last)
            # Each depth's share, so that the seconds of a run add up to its time.
            seconds = (time.perf_counter() - started) / len(stages)
            epochs = [
                DepthEpoch(depth, Epoch(run.number, loss, *check, is_best, seconds))
                for depth, (loss, check) in enumerate(zip(train_losses, checks, strict=True))
            ]
            run.record(epochs)
            yield from epochs
        run.finish()
    finally:
        run.take_best()
        for stage, scale in zip(stages, scales, strict=True):
            if scale is not None:
                stage.absorb(scale.mean, scale.scale)


def _require_joint(config: CascadeTraining) -> None:
    """Raise where a setting has no effect on depths that learn at once."""
    own = [name for name in _SHARED if len({getattr(stage, name) for stage in config.stages}) > 1]
    ignored = [name for name in ("limits", "prefetch") if getattr(config, name)]
    if own or ignored:
        what = f"one {own[0]} for all depths" if own else f"no {ignored[0]}"
        raise ValueError(
            f"depths that learn at once have {what}; give what they share, or train stagewise"
        )


def _pass(
    model: CascadeModel,
    slides: Sequence[TrainingSlide],
    config: CascadeTraining,
    scales: Sequence[Standardiser | None],
    run: RunState,
) -> list[float]:
    """Every slide once, in random order; the mean loss of each depth."""
    model.train()
    losses: list[list[float]] = []
    device, last = device_of(model), config.stages[-1]
    background = [slide for slide in slides if slide.label == last.background]
    cascades = [_in_training(model, config, run, n_slides=n) for n in (1, 2)]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(run.rng.integers(2**31)))
        labels = [slide.label for slide in slides]
        order = order_of_epoch(labels, run.rng, balanced=last.balanced)
        sizes = _bags_per_step([slides[index].n_depths for index in order], config)
        for step, index in enumerate(order, start=1):
            slide, is_joined = slides[index], False
            others = [other for other in background if other.n_depths >= slide.n_depths]
            if last.join and others and run.rng.random() < last.join:
                other = others[int(run.rng.integers(len(others)))]
                slide, is_joined = joined_slides(slide, other, run.rng), True
            cascade = _on(slide, cascades[is_joined], model)
            lesson = _Lesson(slide, cascade, scales, sizes[:, step - 1])
            losses.append(_learn(model, lesson, config))
            for stepper, how in zip(run.steppers, config.stages, strict=True):
                if step % how.accumulate == 0 or step == len(order):
                    stepper.step()
    depths = range(model.config.n_depths)
    return [float(np.mean([row[d] for row in losses if len(row) > d])) for d in depths]


def _bags_per_step(n_depths: Sequence[int], config: CascadeTraining) -> NDArray[np.int64]:
    """How many bags each depth learns from in the step of each slide, (depths, slides)."""
    rows = [
        bags_per_step([n > depth for n in n_depths], how.accumulate)
        for depth, how in enumerate(config.stages)
    ]
    return np.array(rows)


def _on(slide: TrainingSlide, cascade: CascadeConfig, model: CascadeModel) -> CascadeConfig:
    """The cascade on one slide: over its tissue, to the deepest depth that it has."""
    last = min(slide.n_depths, model.config.n_depths) - 1
    return replace(cascade, last_depth=last, tissue=model.tissue_of(slide.tissue))


def _in_training(
    model: CascadeModel, config: CascadeTraining, run: RunState, *, n_slides: int
) -> CascadeConfig:
    """How nodes are chosen in this epoch; slides that are joined have a budget each."""
    return CascadeConfig(
        tuple(n_slides * k for k in config.selection.budget_in(run.number)),
        order=model.config.order,
        choose=config.selection.chooser(run.rng),
    )


@dataclass(frozen=True)
class _Lesson:
    """One slide's turn in an epoch: its cascade settings, loss scales, and bags per step."""

    slide: TrainingSlide
    cascade: CascadeConfig
    scales: Sequence[Standardiser | None]
    sizes: NDArray[np.int64]


@dataclass(frozen=True)
class _Look:
    """One depth's forward pass over one slide, before the backward pass."""

    loss: Tensor
    attention: Tensor
    nodes: Nodes
    followed: NDArray[np.bool_]
    size: int = 1


def _learn(model: CascadeModel, lesson: _Lesson, config: CascadeTraining) -> list[float]:
    """Gradients of every depth on one slide, coarse to fine; their losses.

    A depth hands on by the attention of this pass: no gradient crosses depths, so that when its
    optimiser takes the step makes no difference to the others.
    """
    slide, device = lesson.slide, device_of(model)
    nodes, losses = slide.nodes, []
    above: _Look | None = None
    for depth, how in enumerate(config.stages[: slide.n_depths]):
        bag, nodes = slide.bag(depth, nodes)
        scale = lesson.scales[depth]
        if scale is not None:
            bag = replace(bag, features=scale(bag.features))
        if config.guide is not None:
            bag = replace(bag, guide=config.guide(slide, depth, nodes))
        bag = with_dropped_features(bag.on(device), how.feature_dropout)
        dtype = reduced(how.precision, device)
        loss, output = bag_loss(model.stage(depth), bag, how.loss, how.guidance, dtype)
        losses.append(loss.item())
        attention = output.attention.detach().float().cpu().numpy()
        descent = descend(depth, nodes, attention, lesson.cascade)
        size = int(lesson.sizes[depth])
        look = _Look(loss, output.attention, nodes, descent.followed, size)
        if above is not None:
            _backward(above, look, 0 if slide.label == how.background else how.feedback)
        above, nodes = look, descent.nodes
    if above is not None:
        _backward(above, None, 0)
    return losses


def _backward(look: _Look, below: _Look | None, feedback: float) -> None:
    """Gradients of one depth, with what the next one found below the followed nodes."""
    loss = look.loss
    if below is not None and feedback and look.followed.sum() > 1:
        target = _found_below(look, below).to(loss.device)
        followed = torch.from_numpy(look.followed).to(loss.device)
        shares = look.attention.float()[followed].clamp_min(1e-12).log().log_softmax(0)
        loss = loss - feedback * (target @ shares)
    (loss / look.size).backward()  # type: ignore[no-untyped-call]


def _found_below(look: _Look, below: _Look) -> Tensor:
    """The attention of the next depth below each followed node, with the sum 1."""
    followed = look.nodes[look.followed]
    codes, found = z_codes(followed), z_codes(parents(below.nodes))
    order = np.argsort(codes)
    at = order[np.searchsorted(codes[order], found)]
    attention = below.attention.detach().double().cpu().numpy()
    sums = np.bincount(at, attention, minlength=len(followed))
    return torch.from_numpy((sums / sums.sum()).astype(np.float32))


def _validate(
    model: CascadeModel,
    slides: Sequence[TrainingSlide],
    config: CascadeTraining,
    scales: Sequence[Standardiser | None],
) -> list[tuple[float, float]]:
    """Mean loss and AUC of the last class at each depth, over the slides that have it.

    The cascade is run with the budget of use. Of an endpoint its `merit` stands for the AUC.
    """
    model.eval()
    n_depths, device = model.config.n_depths, device_of(model)
    cascade = CascadeConfig(model.config.budget, order=model.config.order)
    losses = np.full((len(slides), n_depths), np.nan)
    outputs: list[dict[int, Tensor]] = [{} for _ in range(n_depths)]
    with torch.inference_mode():
        for i, slide in enumerate(slides):
            nodes = slide.nodes
            cascade = _on(slide, cascade, model)
            for depth, how in enumerate(config.stages[: slide.n_depths]):
                bag, nodes = slide.bag(depth, nodes)
                scale = scales[depth]
                if scale is not None:
                    bag = replace(bag, features=scale(bag.features))
                result = bag_terms(model.stage(depth), bag.on(device), how.loss)
                losses[i, depth] = float(getattr(result, how.validated))
                outputs[depth][i] = result.output.logits.float().cpu()
                attention = result.output.attention.cpu().numpy()
                nodes = descend(depth, nodes, attention, cascade).nodes
    return [
        _check(slides, some, losses[:, depth], config.stages[depth])
        for depth, some in enumerate(outputs)
    ]


def _check(
    slides: Sequence[TrainingSlide],
    outputs: Mapping[int, Tensor],
    losses: NDArray[np.float64],
    how: TrainConfig,
) -> tuple[float, float]:
    """Loss and AUC, or `merit`, of one depth; `outputs` by the place of the slide."""
    if how.loss.endpoint is not None:
        measured = [torch.tensor(slides[i].measured) for i in outputs]
        return checked_against(how.loss.endpoint, list(outputs.values()), measured)
    labels = [int(slides[i].label == len(logits) - 1) for i, logits in outputs.items()]
    scores = [float(logits.softmax(-1)[-1]) for logits in outputs.values()]
    return float(losses[list(outputs)].mean()), auc(labels, scores)


def _standardisers(
    model: CascadeModel, slides: Sequence[TrainingSlide], config: CascadeTraining
) -> list[Standardiser | None]:
    """One per depth, from some branches of every slide; None where training takes raw features."""
    n_depths = model.config.n_depths
    if not config.standardise:
        return [None] * n_depths
    rng = np.random.default_rng(config.stages[-1].seed)
    sampled = [
        (slide, slide.nodes[np.sort(rng.permutation(len(slide.nodes))[:SAMPLED])])
        for slide in slides
    ]
    scales: list[Standardiser | None] = []
    for depth in range(n_depths):
        sampled = [(slide, some) for slide, some in sampled if slide.n_depths > depth]
        scales.append(
            Standardiser.fit(slide.bag(depth, some)[0].features for slide, some in sampled)
        )
        sampled = [(slide, children(some)) for slide, some in sampled]
    return scales
