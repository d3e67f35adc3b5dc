"""Max and mean pooling of instances."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from napari_hagmil.models.baselines.embed import embedding
from napari_hagmil.models.interface import BagModel, BagOutput


class _PooledInstances(BagModel):
    """One value per feature, or per class's logit, over all instances.

    Parameters
    ----------
    n_features, n_classes : int
    hidden : int
        Length of h.
    dropout : float
    per_instance : bool
        Classify the instances, then pool their logits.
    """

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        *,
        hidden: int = 512,
        dropout: float = 0.25,
        per_instance: bool = False,
    ) -> None:
        super().__init__(n_features, n_classes)
        self.embed = embedding(n_features, [hidden], dropout=dropout)
        self.head = nn.Linear(hidden, n_classes)
        self.per_instance = per_instance

    def forward(self, features: Tensor) -> BagOutput:
        """Classify one bag of features, (n, n_features)."""
        self.check_bag(features)
        hidden = self.embed(features)
        pooled, attention = self._pooled(self.head(hidden) if self.per_instance else hidden)
        return BagOutput(pooled if self.per_instance else self.head(pooled), attention, pooled)

    @abstractmethod
    def _pooled(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """(n, d) → the pooled vector (d,), and each instance's share in it (n,)."""


class MaxPooling(_PooledInstances):
    """The largest value of each feature, or of each class's logit.

    Wang et al., *Revisiting Multiple Instance Neural Networks*, Pattern Recognition 2018::

        h_i = ReLU(W x_i)      z = max_i h_i      logits = Linear(z)
        per instance:          logits = max_i Linear(h_i)

    The attention of an instance is the share of the maxima that it supplies.

    Parameters
    ----------
    n_features, n_classes : int
    hidden : int
        Length of h.
    dropout : float
    per_instance : bool
        Classify the instances, then pool their logits.
    """

    def _pooled(self, values: Tensor) -> tuple[Tensor, Tensor]:
        pooled, winners = values.max(0)
        wins = torch.bincount(winners, minlength=len(values)).to(values.dtype)
        return pooled, wins / len(winners)


class MeanPooling(_PooledInstances):
    """The mean of each feature, or of each class's logit.

    Wang et al., *Revisiting Multiple Instance Neural Networks*, Pattern Recognition 2018::

        h_i = ReLU(W x_i)      z = Σ h_i / n      logits = Linear(z)
        per instance:          logits = Σ Linear(h_i) / n

    Both are the same function, since the head is linear; what differs is the embedding that is
    returned. The attention is 1 / n.

    Parameters
    ----------
    n_features, n_classes : int
    hidden : int
        Length of h.
    dropout : float
    per_instance : bool
        Classify the instances, then pool their logits.
    """

    def _pooled(self, values: Tensor) -> tuple[Tensor, Tensor]:
        return values.mean(0), values.new_full((len(values),), 1 / len(values))
