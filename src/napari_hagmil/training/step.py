"""The loss of one bag, and which bags a step is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_hagmil.encoders.device import autocast_dtype
from napari_hagmil.errors import TrainingError
from napari_hagmil.models import BagModel, BagOutput, LossConfig
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

    With a `dtype` matrix products are rounded to it (automatic mixed precision), weights and sums
    are not.

    Guidance is the cross-entropy −Σ gᵢ log aᵢ between the guide and the attention, the
    distillation of Hinton et al. (2015) applied to where a model looks.

    Raises
    ------
    TrainingError
        When the loss is not finite.
    """
    if dtype is None:
        result = model.loss(bag.features, bag.label, loss)
    else:
        with torch.autocast(bag.features.device.type, dtype):
            result = model.loss(bag.features, bag.label, loss)
    total = result.total
    if bag.guide is not None and guidance:
        attention = result.output.attention.float().clamp_min(1e-12).log()
        total = total - guidance * (bag.guide @ attention)
    require_finite("the training loss", total.item())
    return total, result.output


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
