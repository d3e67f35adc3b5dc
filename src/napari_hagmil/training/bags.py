"""Training bags: label, guide, standardised features, and augmentation by joining bags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Bag:
    """All instances of one slide at one depth.

    Attributes
    ----------
    features : (n, d) float32
    label : int
        Class of the slide.
    guide : (n,) float32, optional
        Attention that a teacher would have, with the sum 1: see `training.guide`.
    measured : (columns,) float32, optional
        What was measured of the slide, where a model learns an endpoint and no classes.
    """

    features: Tensor
    label: int
    guide: Tensor | None = None
    measured: Tensor | None = None

    def on(self, device: torch.device) -> Bag:
        """The bag on a device; itself where it lies there already."""
        if self.features.device == device:
            return self
        guide, measured = (
            None if found is None else found.to(device) for found in (self.guide, self.measured)
        )
        return replace(self, features=self.features.to(device), guide=guide, measured=measured)


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


def standardised(bags: Sequence[Bag], standardiser: Standardiser) -> list[Bag]:
    """The bags with standardised features."""
    return [replace(bag, features=standardiser(bag.features)) for bag in bags]


def join_bags(bag: Bag, others: Sequence[Bag], rng: np.random.Generator) -> Bag:
    """The bag with all instances of one of `others`, before or after its own.

    Where one class means that nothing else was found (normal), a bag of it can be added to
    any other without changing that one's label: more slides, and larger ones, at no cost.
    The guide is 0 on the added instances.
    """
    other = others[int(rng.integers(len(others)))]
    after = rng.random() < 0.5
    pairs = [(bag.features, other.features)]
    if bag.guide is not None:
        pairs.append((bag.guide, bag.guide.new_zeros(len(other.features))))
    features, *guide = [torch.cat(pair if after else pair[::-1]) for pair in pairs]
    return replace(bag, features=features, guide=guide[0] if guide else None)


def with_dropped_features(bag: Bag, chance: float) -> Bag:
    """The bag without some of its features, the same ones of every instance; the rest rescaled.

    Which ones is drawn from torch's generator. What is left is divided by 1 − chance, so that a
    sum over features keeps its expectation.
    """
    if not chance:
        return bag
    keep = 1 - chance
    mask = torch.rand(bag.features.shape[1], device=bag.features.device) < keep
    return replace(bag, features=bag.features * mask / keep)
