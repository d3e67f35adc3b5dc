"""The plan of a protocol: methods, splits, and the features that it requires."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from napari_hagmil.errors import FeatureStoreError
from napari_hagmil.training.protocol.methods import FeatureFacts, Method

Threshold = Literal["most probable", "youden"]
Resample = Literal["split", "seed"]


@dataclass(frozen=True, slots=True)
class WantedFeatures:
    """The features that a protocol is for; what is not given may be anything.

    Attributes
    ----------
    encoder : str
    n_features, patch_size : int
    mpp : tuple of float
        Of every depth, coarse to fine.
    """

    encoder: str = ""
    n_features: int = 0
    patch_size: int = 0
    mpp: tuple[float, ...] = ()

    def require(self, facts: FeatureFacts) -> None:
        """Raise a `FeatureStoreError` where a cohort's features are others."""
        checks: list[tuple[str, object, object]] = [
            ("encoder", self.encoder, facts.encoder.name),
            ("n_features", self.n_features, facts.encoder.n_features),
            ("patch_size", self.patch_size, facts.patch_size),
        ]
        wrong = [(n, want, got) for n, want, got in checks if want and want != got]
        if self.mpp and not _alike(self.mpp, facts.mpp):
            wrong.append(("mpp", list(self.mpp), list(facts.mpp)))
        if wrong:
            name, want, got = wrong[0]
            raise FeatureStoreError(
                "the stored features",
                f"are not those that the protocol is for: it wants {name} = {want!r}",
                value=repr(got),
                remedy="encode the slides as its [features] says, or change that section",
            )


def _alike(wanted: tuple[float, ...], got: tuple[float, ...]) -> bool:
    pairs = zip(wanted, got, strict=False)
    return len(wanted) == len(got) and all(math.isclose(a, b, rel_tol=0.02) for a, b in pairs)


@dataclass(frozen=True)
class Protocol:
    """The methods that are compared, and the splits and seeds they run on.

    Attributes
    ----------
    methods : tuple of Method
    sweep : tuple of tuple of int
        Budgets at which every cascade without a sweep of its own is read besides its own.
    scheme : str
        "holdout", "three-way" or "k-fold": see `cohort`.
    repeats, folds : int
        Seeds; folds of each, with "k-fold".
    seed : int
        The first.
    resample : str
        What differs between repeats: "split", which is drawn anew with each seed; or the "seed"
        alone, of the weights and of training, on the split of the first.
    threshold : str
        How a slide is called: "most probable" class, or the last of two classes from the
        threshold of "youden", which the validation slides choose.
    classes : tuple of str
        In order, the negative first; by default a known negative is recognised.
    features : WantedFeatures
    """

    methods: tuple[Method, ...]
    sweep: tuple[tuple[int, ...], ...] = ()
    scheme: str = "holdout"
    repeats: int = 5
    folds: int = 10
    seed: int = 0
    resample: Resample = "split"
    threshold: Threshold = "most probable"
    classes: tuple[str, ...] = ()
    features: WantedFeatures = WantedFeatures()

    def divided_by(self, seed: int) -> int:
        """The seed of the split that a run of this seed has."""
        return seed if self.resample == "split" else self.seed
