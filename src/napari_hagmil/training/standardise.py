"""Standardised features for learning, raw features for use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Standardiser:
    """(x − mean) / scale, per feature.

    Attributes
    ----------
    mean, scale : (d,)
    """

    mean: Tensor
    scale: Tensor

    @classmethod
    def fit(cls, bags: Iterable[Tensor]) -> Standardiser:
        """Statistics over all instances of all bags, (n, d) each; a constant feature keeps 1."""
        scale, mean = torch.std_mean(torch.cat(list(bags)).double(), dim=0, correction=0)
        scale = torch.where(scale > 1e-6, scale, torch.ones_like(scale))
        return cls(mean.float(), scale.float())

    def __call__(self, features: Tensor) -> Tensor:
        """(n, d) → (n, d)."""
        return (features - self.mean) / self.scale


def fold_into(linear: nn.Linear, standardiser: Standardiser) -> None:
    """Let a layer that learned on standardised features give the same for raw ones.

    W (x − μ) / σ + b = (W / σ) x + (b − (W / σ) μ), in place.
    """
    with torch.no_grad():
        weight = linear.weight.double() / standardiser.scale.double().to(linear.weight.device)
        shift = weight @ standardiser.mean.double().to(linear.weight.device)
        linear.weight.copy_(weight)
        linear.bias.copy_(linear.bias.double() - shift)
