"""Standardised features for learning, raw features for use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


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
