"""Build a method's model, and train it by the method's schedule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from napari_hagmil.errors import BundleError, TrainingError, statement_of
from napari_hagmil.models import (
    BaselineConfig,
    BundleConfig,
    CascadeModel,
    IATConfig,
    StageConfig,
    build_stage,
)
from napari_hagmil.models.initialisation import start_glorot, start_unmixed
from napari_hagmil.training.checkpoint import CheckpointFolder
from napari_hagmil.training.config import TrainConfig
from napari_hagmil.training.depth_weights import fit_depth_weights
from napari_hagmil.training.guide import Guide, guide_from
from napari_hagmil.training.joint import train_jointly
from napari_hagmil.training.predictions import predict_slides
from napari_hagmil.training.protocol.idle import require_settings_that_work
from napari_hagmil.training.protocol.methods import GUIDED, JOINT, FeatureFacts, Method
from napari_hagmil.training.run_state import DepthEpoch
from napari_hagmil.training.stagewise import (
    CascadeTraining,
    Selection,
    fit_stage,
    train_cascade,
)
from napari_hagmil.training.step import device_of
from napari_hagmil.training.training_slide import CohortSlide, TrainingSlide


def build(method: Method, facts: FeatureFacts, seed: int) -> CascadeModel:
    """Make a method's untrained model, the same one for the same seed.

    Of a method that learns an endpoint it has the endpoint's outputs, whatever the classes.

    Raises
    ------
    ProtocolError
        When a setting would do nothing, or does not go with another.
    BundleError
        When depths, budget, options and features do not fit each other.
    """
    require_settings_that_work(method)
    _require_background(method, facts)
    depths = method.on(len(facts.mpp), facts.n_shared)
    if not set(depths) <= set(range(len(facts.mpp))):
        raise BundleError(
            f"method {method.name!r}",
            f"may work on the {len(facts.mpp)} depths that the features have",
            value=f"depths = {list(depths)}",
            remedy=f"choose among 0 … {len(facts.mpp) - 1}",
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model = CascadeModel(_bundle_config(method, facts, depths))
            if method.glorot:
                start_glorot(model)
        except (TypeError, ValueError) as error:
            raise BundleError(
                f"method {method.name!r}",
                f"cannot be made: {statement_of(error)}",
                remedy="correct its options in the protocol",
            ) from error
    if method.unmixed:
        for depth in range(len(depths)):
            start_unmixed(model.stage(depth))
    return model


def _require_background(method: Method, facts: FeatureFacts) -> None:
    background = method.training.background
    if background is not None and not 0 <= background < len(facts.classes):
        raise BundleError(
            f"method {method.name!r}",
            f"names a background that is none of the classes {', '.join(facts.classes)}",
            value=background,
            remedy=f"give the place of one of them, 0 … {len(facts.classes) - 1}",
        )


def _bundle_config(method: Method, facts: FeatureFacts, depths: tuple[int, ...]) -> BundleConfig:
    endpoint = method.training.loss.endpoint
    outputs = facts.classes if endpoint is None else endpoint.outputs
    inputs = [
        facts.encoder.n_features * (i + 1 if method.context == "ancestors" else 1)
        for i in range(len(depths))
    ]
    return BundleConfig(
        name=method.name,
        encoder=facts.encoder,
        patch_size=facts.patch_size,
        mpp=tuple(facts.mpp[depth] for depth in depths),
        classes=outputs,
        stages=tuple(_stage(method, n, len(outputs)) for n in inputs),
        budget=method.budget[: len(depths) - 1],
        context=method.context,
        children=method.children,
        intended_use="Research use only.",
        endpoint=endpoint,
    )


def _stage(method: Method, n_features: int, n_classes: int) -> StageConfig:
    if method.model == "iat":
        head = "classes" if method.training.loss.instance_loss == "paper" else "binary"
        options = {"patch_head": head, **method.options}
        return IATConfig(n_features=n_features, n_classes=n_classes, **options)
    return BaselineConfig(method.model, n_features, n_classes, dict(method.options))


@dataclass(frozen=True, slots=True)
class FitSettings:
    """The seed of one run of a method, and its checkpoints.

    Attributes
    ----------
    seed : int
    checkpoints : CheckpointFolder, optional
        By default a killed run starts again.
    depths : tuple of int
        Those of the cohort that the method works on; by default of these slides' depths.
    """

    seed: int
    checkpoints: CheckpointFolder | None = None
    depths: tuple[int, ...] = ()


def fit(
    method: Method,
    model: CascadeModel,
    training: Sequence[CohortSlide],
    validation: Sequence[CohortSlide],
    settings: FitSettings,
) -> Iterator[DepthEpoch]:
    """Train a method's model in place.

    Yields
    ------
    DepthEpoch
        After every epoch of every depth; a teacher's count as depth −1.

    Raises
    ------
    TrainingError
        When no slide of a side has one of the depths, or a loss is not finite.
    """
    seed = settings.seed
    depths = settings.depths or _depths_of(method, [*training, *validation])
    _require_depths(method, model, depths, (training, validation))
    sides = [
        [slide.at(depths, method.context) for slide in side] for side in (training, validation)
    ]
    k = method.training_budget or model.config.budget
    config = CascadeTraining(
        stages=tuple(stage_training(method, d, len(depths), seed) for d in range(len(depths))),
        selection=Selection(
            k[: len(depths) - 1],
            _random(method, len(depths)),
            seed,
            method.first_budget[: len(depths) - 1],
            method.narrowing,
        ),
        standardise=method.standardise,
        checkpoints=settings.checkpoints,
    )
    if method.schedule in GUIDED and len(depths) > 1:
        teacher = _Teacher(method, model, depths, config)
        yield from teacher.train(training, validation)
        config = replace(config, guide=teacher.guide(training))
    is_joint = method.schedule in JOINT and len(depths) > 1
    train = train_jointly if is_joint else train_cascade
    yield from train(model, sides[0], sides[1], config)
    if method.decision == "all depths" and len(depths) > 1:
        weigh_depths(model, sides[1])


def weigh_depths(model: CascadeModel, slides: Sequence[TrainingSlide]) -> None:
    """Let all depths of a trained cascade decide, in place; `slides` are validation slides."""
    predictions = predict_slides(model, slides)
    # A depth that a slide does not have adds nothing to its decision.
    weights = fit_depth_weights(np.nan_to_num(predictions.logits), predictions.labels)
    model.config = replace(model.config, depth_weights=weights)


def stage_training(method: Method, depth: int, n_depths: int, seed: int) -> TrainConfig:
    """How one depth is trained: its own seed, and smoothed labels at all but the finest."""
    base = method.training
    smoothing = base.loss.label_smoothing if depth < n_depths - 1 else 0.0
    loss = replace(base.loss, label_smoothing=smoothing)
    return replace(base, loss=loss, seed=1000 * seed + base.seed + depth)


def _random(method: Method, n_depths: int) -> tuple[int, ...]:
    return (method.random or (0,) * n_depths)[: n_depths - 1]


def _depths_of(method: Method, slides: Sequence[CohortSlide]) -> tuple[int, ...]:
    have = [len(slide.nodes) for slide in slides]
    return method.on(max(have), min(have))


def _require_depths(
    method: Method,
    model: CascadeModel,
    depths: tuple[int, ...],
    sides: tuple[Sequence[CohortSlide], Sequence[CohortSlide]],
) -> None:
    """Raise unless the model has these depths, and each of them slides on both sides."""
    if len(depths) != model.config.n_depths:
        raise BundleError(
            f"method {method.name!r}",
            f"needs features of {model.config.n_depths} depths",
            value=len(depths),
            remedy="encode the slides again",
        )
    for side, slides in zip(("training", "validation"), sides, strict=True):
        if side == "validation" and method.training.keep_last and not slides:
            continue
        if not any(len(slide.nodes) > depths[-1] for slide in slides):
            raise TrainingError(
                f"method {method.name!r}",
                f"needs a {side} slide with depth {depths[-1]}, and this split has none",
                remedy="leave that depth out with depths = [...], or add slides that have it",
            )


class _Teacher:
    """A model of all finest instances, by default each with its ancestors' features."""

    def __init__(
        self,
        method: Method,
        model: CascadeModel,
        depths: tuple[int, ...],
        config: CascadeTraining,
    ) -> None:
        self.method, self.depths, self.config = method, depths, config
        self.finest = len(depths) - 1
        seen = len(depths) if method.teacher_context == "ancestors" else 1
        n_inputs = model.config.encoder.n_features * seen
        stage = _stage(method, n_inputs, len(model.config.classes))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.stages[-1].seed)
            self.model = build_stage(stage).to(device_of(model))
            if method.glorot:
                start_glorot(self.model)
        if method.unmixed:
            start_unmixed(self.model)

    def train(
        self, training: Sequence[CohortSlide], validation: Sequence[CohortSlide]
    ) -> Iterator[DepthEpoch]:
        sides = [
            [
                slide.bag(self.finest, nodes)[0]
                for slide, nodes in zip(*self._seen(side), strict=True)
            ]
            for side in (training, validation)
        ]
        last = self.config.stages[-1]
        epochs = fit_stage(
            self.model,
            sides[0],
            sides[1],
            replace(last, loss=replace(last.loss, instance_loss="none")),
            standardise=self.config.standardise,
            checkpoint=self.config.checkpoint(-1),
        )
        yield from (DepthEpoch(-1, epoch) for epoch in epochs)

    def guide(self, training: Sequence[CohortSlide]) -> Guide:
        slides, nodes = self._seen(training)
        return guide_from(self.model, slides, nodes, self.finest, self.method.training.background)

    def _seen(self, slides: Sequence[CohortSlide]) -> tuple[list[TrainingSlide], list[Any]]:
        whole = [slide for slide in slides if len(slide.nodes) > self.depths[-1]]
        seen = [slide.at(self.depths, self.method.teacher_context) for slide in whole]
        return seen, [slide.nodes[self.depths[-1]] for slide in whole]
