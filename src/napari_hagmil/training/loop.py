"""Training of one model on bags: one Adam, one bag a step, stopped by the validation loss.

HAG-MIL, Xiong et al., IJCAI 2023, section 4: the loss of a depth is its bag's cross-entropy,
smoothed at every depth but the finest, plus its instance loss; training ends after some epochs
without a lower validation loss, and the weights of the best epoch are kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_hagmil.evaluation.endpoints import merit
from napari_hagmil.evaluation.metrics import auc
from napari_hagmil.models import BagModel, Endpoint
from napari_hagmil.models.iat_batch import takes_together
from napari_hagmil.training.bags import Bag, join_bags, with_dropped_features
from napari_hagmil.training.checkpoint import Checkpoint
from napari_hagmil.training.config import TrainConfig
from napari_hagmil.training.optimisers import Stepper
from napari_hagmil.training.run_state import DepthEpoch, Epoch, RunState
from napari_hagmil.training.step import (
    SlidesCompared,
    alike,
    bag_loss,
    bag_terms,
    batch_loss,
    device_of,
    measured_of,
    order_of_epoch,
    reduced,
)


def train_stage(
    model: BagModel,
    training: Sequence[Bag],
    validation: Sequence[Bag],
    config: TrainConfig,
    checkpoint: Checkpoint | None = None,
) -> Iterator[Epoch]:
    """Train a model in place; it is left in eval mode with the weights of its best epoch.

    The same holds when the caller stops iterating (and closes the iterator) early. The global
    torch generator is seeded and put back, so that a seed gives the same weights each time. With
    a checkpoint, a run that was killed goes on; its finished epochs are yielded again.

    Yields
    ------
    Epoch
        As soon as it is over.
    """
    if not training or not (validation or config.keep_last):
        raise ValueError(
            f"training needs bags on both sides, got {len(training)} to learn from and "
            f"{len(validation)} to validate with; give some of each"
        )
    run = RunState.start([model], [config.stepper(model)], config.seed, checkpoint)
    try:
        yield from (one.epoch for one in run.history)
        while config.goes_on(run.number, run.waited):
            started = time.perf_counter()
            train_loss = _pass(model, training, run.steppers[0], config, run.rng)
            val_loss, val_auc = validate(model, validation, config)
            is_best = run.end_epoch(val_loss, keep=config.keep_last)
            seconds = time.perf_counter() - started
            epoch = Epoch(run.number, train_loss, val_loss, val_auc, is_best, seconds)
            run.record([DepthEpoch(0, epoch)])
            yield epoch
        run.finish()
    finally:
        run.take_best()


def predict(model: BagModel, bags: Sequence[Bag]) -> NDArray[np.float64]:
    """Class probabilities of each bag, (bags, classes)."""
    model.eval()
    device = device_of(model)
    with torch.inference_mode():
        rows = [model(bag.on(device).features).logits.cpu().double().softmax(-1) for bag in bags]
    return np.asarray(torch.stack(rows).numpy())


def validate(
    model: BagModel, validation: Sequence[Bag], config: TrainConfig
) -> tuple[float, float]:
    """Mean loss, and AUC of the last class against all others; NaN of no bags.

    Of an endpoint its `merit` stands for the AUC.
    """
    model.eval()
    if not validation:
        return float("nan"), float("nan")
    device, endpoint = device_of(model), config.loss.endpoint
    with torch.inference_mode():
        terms = [bag_terms(model, bag.on(device), config.loss) for bag in validation]
    outputs = [term.output.logits.float().cpu() for term in terms]
    if endpoint is not None:
        return checked_against(endpoint, outputs, [measured_of(bag) for bag in validation])
    scores = [float(logits.softmax(-1)[-1]) for logits in outputs]
    labels = [int(bag.label == model.n_classes - 1) for bag in validation]
    losses = [float(getattr(term, config.validated)) for term in terms]
    return float(np.mean(losses)), auc(labels, scores)


def checked_against(
    endpoint: Endpoint, outputs: Sequence[Tensor], measured: Sequence[Tensor]
) -> tuple[float, float]:
    """Loss and `merit` of the outputs of some slides, against what was measured of them."""
    x, y = torch.stack(list(outputs)), torch.stack(list(measured))
    return float(endpoint.loss(x, y)), merit(endpoint, x.numpy(), y.numpy())


def _pass(
    model: BagModel,
    training: Sequence[Bag],
    stepper: Stepper,
    config: TrainConfig,
    rng: np.random.Generator,
) -> float:
    """Every bag once, in random order; the mean loss."""
    model.train()
    total = 0.0
    background = [bag for bag in training if bag.label == config.background]
    device = device_of(model)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(rng.integers(2**31)))
        order = order_of_epoch([bag.label for bag in training], rng, balanced=config.balanced)
        for start in range(0, len(order), config.accumulate):
            some = [training[index] for index in order[start : start + config.accumulate]]
            varied = (_varied(bag, background, config, rng).on(device) for bag in some)
            total += _learn(model, varied, len(some), config)
            stepper.step()
    return total / len(training)


def _learn(model: BagModel, bags: Iterable[Bag], n: int, config: TrainConfig) -> float:
    """Gradients of a step's `n` bags, small ones of like size at once; the sum of their losses."""
    total, small = 0.0, []
    compared = SlidesCompared(config.loss.endpoint)
    dtype = reduced(config.precision, device_of(model))

    def learn_from(bag: Bag) -> float:
        loss, output = bag_loss(model, bag, config.loss, config.guidance, dtype)
        if compared.gathers(loss, output, bag):
            return 0.0
        (loss / n).backward()  # type: ignore[no-untyped-call]
        return loss.item()

    for bag in bags:
        if n > 1 and takes_together(model, len(bag.features), config.loss):
            small.append(bag)
        else:
            total += learn_from(bag)
    for some in alike(small):
        if len(some) == 1:
            total += learn_from(some[0])
            continue
        losses = batch_loss(model, some, config.loss, config.guidance, dtype).sum()
        (losses / n).backward()  # type: ignore[no-untyped-call]
        total += losses.item()
    return total + compared.backward()


def _varied(
    bag: Bag, background: Sequence[Bag], config: TrainConfig, rng: np.random.Generator
) -> Bag:
    if background and rng.random() < config.join:
        bag = join_bags(bag, background, rng)
    return with_dropped_features(bag, config.feature_dropout)
