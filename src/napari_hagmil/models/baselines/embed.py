"""The layer that every baseline starts with."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


def embedding(
    n_features: int, widths: Sequence[int], *, dropout: float = 0.0, bias: bool = True
) -> nn.Sequential:
    """Linear + ReLU (+ dropout) for each width, (n, n_features) → (n, widths[-1])."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise((n_features, *widths)):
        layers += [nn.Linear(inputs, outputs, bias=bias), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers)
