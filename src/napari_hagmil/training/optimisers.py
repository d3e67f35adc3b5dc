"""Optimisers: the paper's, and those that the authors of the baselines use."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from napari_hagmil.models import BagModel

Optimiser = Literal["adam", "sgd", "lookahead radam"]


@dataclass(frozen=True, slots=True)
class OptimiserConfig:
    """An optimiser and its settings.

    Attributes
    ----------
    name : str
        "adam" with its usual moments; "sgd" with Nesterov's momentum of 0.9; "lookahead radam",
        TransMIL's, see `LookaheadRAdam`.
    learning_rate, weight_decay : float
    clip : float
        Largest norm of the gradient of a step, of each of the model's parts by itself, see
        `BagModel.parts`.
    rate_decay : float
        After t steps the learning rate is divided by 1 + rate_decay · t.
    rate_epochs : tuple of int
        Epochs after which the learning rate is multiplied by `rate_factor`.
    rate_factor : float
    """

    name: Optimiser
    learning_rate: float
    weight_decay: float = 0.0
    clip: float = float("inf")
    rate_decay: float = 0.0
    rate_epochs: tuple[int, ...] = ()
    rate_factor: float = 0.1


class LookaheadRAdam(torch.optim.RAdam):
    """RAdam, whose weights every sixth step go half-way back to where they were six steps ago.

    RAdam: Liu et al., *On the Variance of the Adaptive Learning Rate and Beyond*, ICLR 2020, with
    decoupled weight decay. Lookahead: Zhang et al., *Lookahead Optimizer*, NeurIPS 2019, with
    k = 6 and α = 0.5. As in the code that TransMIL is trained with, the slow weights begin at the
    first k-th step, not at the start.
    """

    every = 6
    share = 0.5

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step of RAdam; at every sixth, meet the slow weights."""
        loss: float | None = super().step(closure)
        for group in self.param_groups:
            group["taken"] = group.get("taken", 0) + 1
            if group["taken"] % self.every == 0:
                self._meet(group)
        return loss

    @torch.no_grad()
    def _meet(self, group: dict[str, Any]) -> None:
        for weights in group["params"]:
            if weights.grad is None:
                continue
            state = self.state[weights]
            slow = state.setdefault("slow", weights.detach().clone())
            slow.lerp_(weights, self.share)
            weights.copy_(slow)


@dataclass(frozen=True, slots=True)
class Stepper:
    """An optimiser over one model, with a bound on the norm of its gradient.

    Attributes
    ----------
    parts : list of lists of parameters
        Each has a bound of its own.
    optimiser : torch optimiser
    config : OptimiserConfig
    parameters : list of parameters
        Of all parts.
    """

    parts: list[list[nn.Parameter]]
    optimiser: torch.optim.Optimizer
    config: OptimiserConfig
    parameters: list[nn.Parameter]

    @classmethod
    def make(cls, model: nn.Module, config: OptimiserConfig) -> Stepper:
        """Set up the optimiser."""
        parts = model.parts() if isinstance(model, BagModel) else [list(model.parameters())]
        optimiser = _MAKERS[config.name](model, config)
        # In the groups, because a checkpoint of the optimiser saves those.
        for group in optimiser.param_groups:
            group["steps"] = group["epochs"] = 0
        return cls(parts, optimiser, config, [p for part in parts for p in part])

    def step(self) -> None:
        """Update the weights, and clear the gradients; without gradients nothing changes."""
        if not any(parameter.grad is not None for parameter in self.parameters):
            return
        for part in self.parts:
            self._bound(part)
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate(group)
            group["steps"] += 1
        self.optimiser.step()
        for parameter in self.parameters:
            parameter.grad = None

    def end_epoch(self) -> None:
        """Count an epoch, for the learning rate of the next."""
        for group in self.optimiser.param_groups:
            group["epochs"] += 1

    def _bound(self, part: list[nn.Parameter]) -> None:
        if math.isinf(self.config.clip):
            return
        gradients = [parameter.grad for parameter in part if parameter.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        # Within the bound, scaling is a pass over all gradients that multiplies by one.
        if norm > self.config.clip:
            nn.utils.clip_grads_with_norm_(part, self.config.clip, norm)

    def _rate(self, group: dict[str, Any]) -> float:
        config = self.config
        drops = sum(group["epochs"] >= epoch for epoch in config.rate_epochs)
        rate: float = config.learning_rate * config.rate_factor**drops
        return rate / (1 + config.rate_decay * float(group["steps"]))


def _adam(model: nn.Module, config: OptimiserConfig) -> torch.optim.Optimizer:
    # Fused, since small models spend most of a step on overhead.
    rate, decay = config.learning_rate, config.weight_decay
    return torch.optim.Adam(model.parameters(), lr=rate, weight_decay=decay, fused=True)


def _sgd(model: nn.Module, config: OptimiserConfig) -> torch.optim.Optimizer:
    parameters = list(model.parameters())
    optimiser = torch.optim.SGD(
        parameters,
        config.learning_rate,
        momentum=0.9,
        nesterov=True,
        weight_decay=config.weight_decay,
        fused=True,
    )
    # The fused step of torch fails where a parameter has its first gradient later than others, as
    # the head of a class has that the first slides are not of.
    for parameter in parameters:
        optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimiser


def _lookahead_radam(model: nn.Module, config: OptimiserConfig) -> torch.optim.Optimizer:
    """Without decay on vectors (biases and norms), but for a class token, as TransMIL's code."""
    vectors: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_vector = parameter.ndim == 1 and not name.endswith("class_token")
        (vectors if is_vector else others).append(parameter)
    groups = [
        {"params": vectors, "weight_decay": 0.0},
        {"params": others, "weight_decay": config.weight_decay},
    ]
    return LookaheadRAdam(groups, lr=config.learning_rate, decoupled_weight_decay=True)


_MAKERS: dict[Optimiser, Callable[[nn.Module, OptimiserConfig], torch.optim.Optimizer]] = {
    "adam": _adam,
    "sgd": _sgd,
    "lookahead radam": _lookahead_radam,
}
