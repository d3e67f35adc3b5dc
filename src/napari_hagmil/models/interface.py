"""What every bag model here has in common: one forward, one loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from napari_hagmil.models.losses import LossConfig, bag_cross_entropy


class BagOutput(NamedTuple):
    """What every forward returns.

    Attributes
    ----------
    logits : (classes,)
        Of the bag, before the softmax.
    attention : (n,)
        Weight of each instance; sums to 1.
    embedding : (d,)
        The vector that the bag was classified by.
    """

    logits: Tensor
    attention: Tensor
    embedding: Tensor


class BagLoss(NamedTuple):
    """A training loss and the output it was computed from.

    Attributes
    ----------
    total : ()
        What to call backward on.
    bag : ()
        Its cross-entropy, unweighted.
    instance : ()
        Its instance term, unweighted; 0 where the model has none.
    output : BagOutput
    """

    total: Tensor
    bag: Tensor
    instance: Tensor
    output: BagOutput


class BagModel(nn.Module, ABC):
    """A classifier of bags, (n, n_features) → `BagOutput`, for any n ≥ 1.

    Attributes
    ----------
    n_features, n_classes : int
    """

    n_features: int
    n_classes: int

    @abstractmethod
    def forward(self, features: Tensor) -> BagOutput:
        """Classify one bag of features, (n, n_features)."""

    def __call__(self, features: Tensor) -> BagOutput:
        """Run `forward` with the module's hooks, typed."""
        output: BagOutput = super().__call__(features)
        return output

    def loss(self, features: Tensor, label: int, config: LossConfig) -> BagLoss:
        """Training loss of one bag; models with instance terms or tiers add theirs."""
        output = self(features)
        bag = bag_cross_entropy(output.logits, label, config.label_smoothing)
        return BagLoss(config.bag_weight * bag, bag, bag.new_zeros(()), output)
