"""The loss of one bag, and which bags a step is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_hagmil.encoders.device import autocast_dtype
from napari_hagmil.errors import TrainingError
from napari_hagmil.models import BagLoss, BagModel, BagOutput, Endpoint, LossConfig
from napari_hagmil.models.iat_batch import batch_losses
from napari_hagmil.training.bags import Bag

Precision = Literal["float32", "bfloat16", "auto"]


def device_of(model: nn.Module) -> torch.device:
    """Where a model's weights lie."""
    return next(model.parameters()).device


def reduced(precision: Precision, device: torch.device) -> torch.dtype | None:
    """The type that a training step's matrix products are rounded to; None: float32."""
    if precision == "auto":
        return autocast_dtype(device)
    return torch.bfloat16 if precision == "bfloat16" else None


def bags_per_step(present: Sequence[bool], accumulate: int) -> NDArray[np.int64]:
    """How many bags the step has that each slide of an epoch takes part in, 1 at least.

    What a step's gradient is the mean over: the last one of an epoch may have fewer slides than
    `accumulate`, and a slide may lack the depth that learns.

    Parameters
    ----------
    present : sequence of bool
        Whether the slides, in the order of the epoch, have a bag.
    accumulate : int
        Slides per step.
    """
    there = np.asarray(present, dtype=np.int64)
    sums = np.add.reduceat(there, np.arange(0, len(there), accumulate))
    sizes: NDArray[np.int64] = np.maximum(np.repeat(sums, accumulate)[: len(there)], 1)
    return sizes


def bag_loss(
    model: BagModel,
    bag: Bag,
    loss: LossConfig,
    guidance: float = 0.0,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, BagOutput]:
    """Return the training loss of a bag with its guidance, and the output it came from.

    With an endpoint that compares slides, the loss is the guidance alone: see `SlidesCompared`.

    With a `dtype` matrix products are rounded to it (automatic mixed precision), weights and sums
    are not.

    Guidance is the cross-entropy −Σ gᵢ log aᵢ between the guide and the attention, the
    distillation of Hinton et al. (2015) applied to where a model looks.

    Raises
    ------
    TrainingError
        When the loss is not finite.
    """
    rounded = nullcontext() if dtype is None else torch.autocast(bag.features.device.type, dtype)
    with rounded:
        total, _, _, output = bag_terms(model, bag, loss)
    if bag.guide is not None and guidance:
        attention = output.attention.float().clamp_min(1e-12).log()
        total = total - guidance * (bag.guide @ attention)
    require_finite("the training loss", total.item())
    return total, output


def batch_loss(
    model: BagModel,
    bags: Sequence[Bag],
    loss: LossConfig,
    guidance: float = 0.0,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """As `bag_loss`, of small bags that a model takes together, (bags,)."""
    rounded = (
        nullcontext() if dtype is None else torch.autocast(bags[0].features.device.type, dtype)
    )
    with rounded:
        features, labels = [bag.features for bag in bags], [bag.label for bag in bags]
        totals, attention = batch_losses(model, features, labels, loss)
    if guidance:
        guide = torch.zeros_like(attention, dtype=torch.float32)
        for row, bag in zip(guide, bags, strict=True):
            if bag.guide is not None:
                row[: len(bag.guide)] = bag.guide
        totals = totals - guidance * (guide * attention.float().clamp_min(1e-12).log()).sum(1)
    require_finite("the training loss", totals.sum().item())
    return totals


def alike(bags: Sequence[Bag]) -> Iterator[list[Bag]]:
    """The bags in groups, whose longest has at most twice the instances of the shortest.

    Self-attention pads the bags of a group to its longest.
    """
    some: list[Bag] = []
    for bag in sorted(bags, key=lambda bag: len(bag.features)):
        if some and len(bag.features) > max(_SHORT, 2 * len(some[0].features)):
            yield some
            some = []
        some.append(bag)
    if some:
        yield some


#: Instances up to which padding costs next to nothing.
_SHORT = 64


def bag_terms(model: BagModel, bag: Bag, loss: LossConfig) -> BagLoss:
    """The terms of a bag's loss: of its class, or of the endpoint that is learned instead.

    An endpoint that compares slides has none of a single one.
    """
    endpoint = loss.endpoint
    if endpoint is None:
        return model.loss(bag.features, bag.label, loss)
    output = model(bag.features)
    nothing = output.logits.new_zeros(())
    if endpoint.compares_slides:
        return BagLoss(nothing, nothing, nothing, output)
    own = endpoint.loss(output.logits[None].float(), measured_of(bag)[None])
    return BagLoss(own, own, nothing, output)


def measured_of(bag: Bag) -> Tensor:
    """What was measured of a bag's slide; raise where it is not there."""
    if bag.measured is None:
        raise ValueError("an endpoint needs bags with what was measured; give measured=")
    return bag.measured


class SlidesCompared:
    """Gathers the outputs of a step's slides for an endpoint whose loss compares them.

    Nothing is gathered for other endpoints, and for classes: their slides have a loss each.
    Attention and features of all slides of a step stay in memory until its end.
    """

    def __init__(self, endpoint: Endpoint | None) -> None:
        self._endpoint = endpoint if endpoint is not None and endpoint.compares_slides else None
        self._outputs: list[Tensor] = []
        self._measured: list[Tensor] = []
        self._own: list[Tensor] = []

    def gathers(self, loss: Tensor, output: BagOutput, bag: Bag) -> bool:
        """Keep a slide's output, and its own loss, until the step ends; whether that is needed."""
        if self._endpoint is None:
            return False
        self._outputs.append(output.logits.float())
        self._measured.append(measured_of(bag))
        self._own.append(loss)
        return True

    def backward(self) -> float:
        """Gradients of the step's slides; their loss, summed over the slides."""
        if self._endpoint is None or not self._outputs:
            return 0.0
        loss = self._endpoint.loss(torch.stack(self._outputs), torch.stack(self._measured))
        loss = loss + torch.stack(self._own).mean()
        require_finite("the training loss", loss.item())
        loss.backward()  # type: ignore[no-untyped-call]
        n = len(self._outputs)
        self._outputs, self._measured, self._own = [], [], []
        return n * loss.item()


def require_finite(subject: str, value: float) -> None:
    """Raise a `TrainingError` unless a loss is a finite number: nothing can be learned from it."""
    if not math.isfinite(value):
        raise TrainingError(
            subject,
            "must be finite",
            value=value,
            remedy="lower the learning rate, or look for features of extreme size",
        )


def order_of_epoch(
    labels: Sequence[int], rng: np.random.Generator, *, balanced: bool
) -> NDArray[np.int64]:
    """The places of an epoch's bags: each once, or as many drawn with all classes as likely.

    `balanced` draws with replacement, a bag as likely as its class is rare, as CLAM's code does
    with weighted sampling.
    """
    if not balanced:
        return rng.permutation(len(labels))
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights = 1 / counts[inverse]
    return rng.choice(len(labels), len(labels), p=weights / weights.sum())
