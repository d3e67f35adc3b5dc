"""The loss of one bag, and one step of the optimiser."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_hagmil.encoders.device import autocast_dtype
from napari_hagmil.errors import TrainingError
from napari_hagmil.models import BagModel, BagOutput, LossConfig
from napari_hagmil.training.bags import Bag

Optimiser = Literal["adam", "sgd"]
Precision = Literal["float32", "bfloat16", "auto"]


def device_of(model: nn.Module) -> torch.device:
    """Where a model's weights lie."""
    return next(model.parameters()).device


def reduced(precision: Precision, device: torch.device) -> torch.dtype | None:
    """The type that a training step's matrix products are rounded to; None: float32."""
    if precision == "auto":
        return autocast_dtype(device)
    return torch.bfloat16 if precision == "bfloat16" else None


@dataclass(frozen=True, slots=True)
class OptimiserConfig:
    """An optimiser and its settings.

    Attributes
    ----------
    name : str
        "adam" with its usual moments, or "sgd" with Nesterov's momentum of 0.9.
    learning_rate, weight_decay : float
    clip : float
        Largest norm of the gradient of a step.
    rate_decay : float
        After t steps the learning rate is divided by 1 + rate_decay · t.
    """

    name: Optimiser
    learning_rate: float
    weight_decay: float = 0.0
    clip: float = float("inf")
    rate_decay: float = 0.0


@dataclass(frozen=True, slots=True)
class Stepper:
    """An optimiser over one model, with a bound on the norm of its gradient."""

    parameters: list[nn.Parameter]
    optimiser: torch.optim.Optimizer
    clip: float
    rate_decay: float = 0.0

    @classmethod
    def make(cls, model: nn.Module, config: OptimiserConfig) -> Stepper:
        """Set up the optimiser; fused, since small models spend most of a step on overhead."""
        rate, decay = config.learning_rate, config.weight_decay
        parameters = list(model.parameters())
        optimiser: torch.optim.Optimizer
        if config.name == "adam":
            optimiser = torch.optim.Adam(parameters, lr=rate, weight_decay=decay, fused=True)
        else:
            optimiser = torch.optim.SGD(
                parameters, rate, momentum=0.9, nesterov=True, weight_decay=decay, fused=True
            )
            # The fused step of torch fails where a parameter has its first gradient later than
            # others, as the head of a class has that the first slides are not of.
            for parameter in parameters:
                optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        # In the groups, because a checkpoint of the optimiser saves those.
        for group in optimiser.param_groups:
            group["first_rate"], group["steps"] = rate, 0
        return cls(parameters, optimiser, config.clip, config.rate_decay)

    def step(self) -> None:
        """Update the weights, and clear the gradients; without gradients nothing changes."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        if not gradients:
            return
        norm = nn.utils.get_total_norm(gradients)
        # Within the bound, scaling is a pass over all gradients that multiplies by one.
        if norm > self.clip:
            nn.utils.clip_grads_with_norm_(self.parameters, self.clip, norm)
        if self.rate_decay:
            for group in self.optimiser.param_groups:
                group["lr"] = group["first_rate"] / (1 + self.rate_decay * group["steps"])
                group["steps"] += 1
        self.optimiser.step()
        for parameter in self.parameters:
            parameter.grad = None


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
