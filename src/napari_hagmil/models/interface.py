"""The interface of every bag model: one forward, one loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from napari_hagmil.models.losses import LossConfig, bag_cross_entropy


class BagOutput(NamedTuple):
    """The result of every forward.

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

    Training, evaluation and attention maps need nothing else, so they treat all models alike.

    Attributes
    ----------
    n_features, n_classes : int
    default_loss : LossConfig
        How the model's paper trains it.
    """

    default_loss: ClassVar[LossConfig] = LossConfig(instance_loss="none")

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.n_features, self.n_classes = n_features, n_classes

    @abstractmethod
    def forward(self, features: Tensor) -> BagOutput:
        """Classify one bag of features, (n, n_features)."""

    def __call__(self, features: Tensor) -> BagOutput:
        """Run `forward` with the module's hooks, typed."""
        output: BagOutput = super().__call__(features)
        return output

    def loss(self, features: Tensor, label: int, config: LossConfig | None = None) -> BagLoss:
        """Training loss of one bag; models with instance terms or tiers add theirs.

        `config`: `default_loss` unless given.
        """
        config = config or self.default_loss
        output = self(features)
        bag = bag_cross_entropy(output.logits, label, config.label_smoothing)
        return BagLoss(config.bag_weight * bag, bag, bag.new_zeros(()), output)

    def parts(self) -> list[list[nn.Parameter]]:
        """Return the parameters in parts, each with a bound of its own on its gradient's norm."""
        return [list(self.parameters())]

    def input_layer(self) -> nn.Linear:
        """Return the layer that sees the features: the first Linear of the model."""
        return next(module for module in self.modules() if isinstance(module, nn.Linear))

    def absorb(self, mean: Tensor, scale: Tensor) -> None:
        """Let a model that learned on (x − mean) / scale give the same for raw x, in place.

        W (x − μ) / σ + b = (W / σ) x + (b − (W / σ) μ).

        Parameters
        ----------
        mean, scale : (n_features,)
        """
        layer = self.input_layer()
        if layer.bias is None:
            raise ValueError(
                f"{type(self).__name__} has no bias in its first layer to absorb a mean; make it "
                "with bias=True, or train it on raw features"
            )
        with torch.no_grad():
            # On the CPU, since not every device has float64.
            weight = layer.weight.cpu().double() / scale.cpu().double()
            shift = weight @ mean.cpu().double()
            layer.weight.copy_(weight)
            layer.bias.copy_(layer.bias.cpu().double() - shift)

    def check_bag(self, features: Tensor) -> None:
        """Raise a ValueError unless `features` is a bag for this model."""
        if features.ndim != 2 or len(features) == 0 or features.shape[1] != self.n_features:
            raise ValueError(
                f"a bag has features of shape (n ≥ 1, {self.n_features}), not "
                f"{tuple(features.shape)}; take the encoder that the model was trained with"
            )
