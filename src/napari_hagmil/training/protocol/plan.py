"""The plan of a protocol: methods, splits, the features that it requires, and its endpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_hagmil.errors import FeatureStoreError, ProtocolError, TrainingError
from napari_hagmil.models import Endpoint, EndpointKind
from napari_hagmil.models.endpoint import SURVIVAL, columns_of
from napari_hagmil.training.protocol.methods import JOINT, FeatureFacts, Method

Threshold = Literal["most probable", "youden"]
Resample = Literal["split", "seed"]

#: Models whose classes are told by one forward pass and a loss on its logits alone.
_MODELS = (
    "iat", "mean_pooling", "max_pooling", "ab_mil", "gated_ab_mil", "transmil", "evidence_pooling",
)  # fmt: skip


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


_Rule = tuple[bool, str, str]
"""Whether it holds, what is wrong where it does not, and the remedy."""


def _rules_without_classes(method: Method) -> list[_Rule]:
    """What a method may not have that learns no classes."""
    loss, is_iat = method.training.loss, method.model == "iat"
    return [
        (method.model in _MODELS, f"needs a model among {', '.join(_MODELS)}", "choose one"),
        (
            not is_iat or loss.instance_loss == "none",
            "has an instance loss, whose pseudo-labels are classes",
            "give instance_loss = 'none'",
        ),
        (
            loss.label_smoothing in ((0.0, 0.1) if is_iat else (0.0,)),
            "smooths labels, which an endpoint has none of",
            "leave label_smoothing out",
        ),
        (
            method.training.background is None,
            "has a background, which is a class",
            "leave background and join out",
        ),
        (
            method.decision == "finest",
            "lets all depths decide, which only classes can",
            "leave decision out",
        ),
        (
            not method.choose_budget,
            "chooses its budget by an AUC of classes",
            "leave choose_budget out",
        ),
    ]


def _cox_rules(method: Method) -> list[_Rule]:
    """What a loss that compares slides asks of a method."""
    return [
        (
            not (method.is_cascade and method.schedule in JOINT),
            "learns all depths slide by slide, where 'cox' compares slides",
            "give the kind 'hazard', or schedule = 'stagewise'",
        ),
        (
            method.training.accumulate > 1,
            "takes a step for every slide, where 'cox' compares the slides of a step",
            "give for instance accumulate = 16",
        ),
    ]


@dataclass(frozen=True, slots=True)
class EndpointPlan:
    """The section ``[endpoint]`` of a protocol.

    Attributes
    ----------
    kind : str
        See `Endpoint`.
    targets : tuple of str
        Of "regression" and "labels": the columns ``target_NAME`` without ``target_``.
    intervals : int
        Of "hazard": how many, each with as many events of the training slides.
    """

    kind: EndpointKind = "hazard"
    targets: tuple[str, ...] = ()
    intervals: int = 4

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the cohort's table."""
        return columns_of(self.kind, self.targets)

    def require_sense(self, source: str) -> None:
        """Raise a `ProtocolError` where the section contradicts itself."""
        needs_targets = self.kind not in SURVIVAL
        checks = [
            (
                bool(self.targets) == needs_targets,
                "targets unless it is of survival, and only then",
            ),
            (len(set(self.columns)) == len(self.columns), "targets with different names"),
            (self.intervals >= 2, "two intervals or more"),
            (self.intervals == 4 or self.kind == "hazard", "intervals with the kind 'hazard' only"),
        ]
        for holds, rule in checks:
            if not holds:
                raise ProtocolError(
                    source, f"has an [endpoint] that needs {rule}", remedy="correct the section"
                )

    def require_method(self, method: Method) -> None:
        """Raise a `ProtocolError` where a method cannot learn this endpoint."""
        checks = _rules_without_classes(method)
        if self.kind == "cox":
            checks += _cox_rules(method)
        for holds, rule, remedy in checks:
            if not holds:
                raise ProtocolError(
                    f"the method {method.name!r}, which is to learn an endpoint,",
                    rule,
                    remedy=remedy,
                )

    def fitted(self, measured: ArrayLike) -> Endpoint:
        """The endpoint as training slides have it, (slides, columns).

        Raises
        ------
        TrainingError
            When they do not differ, or none has an event.
        """
        y = np.asarray(measured, dtype=np.float64)
        if self.kind in SURVIVAL:
            return self._survival(y[:, 0], y[:, 1] == 1)
        same = [name for name, values in zip(self.targets, y.T, strict=True) if np.ptp(values) == 0]
        if same:
            raise TrainingError(
                f"the target {same[0]!r}",
                "has one value on all training slides",
                remedy="leave it out, or divide the slides in another way",
            )
        if self.kind == "labels":
            return Endpoint(self.kind, self.targets)
        mean, scale = (tuple(map(float, values)) for values in (y.mean(0), y.std(0)))
        return Endpoint(self.kind, self.targets, mean, scale)

    def _survival(self, time: NDArray[np.float64], event: NDArray[np.bool_]) -> Endpoint:
        times = time[event]
        if not len(times):
            raise TrainingError(
                "the training slides",
                "have no event to learn from",
                remedy="add slides with an event, or divide them in another way",
            )
        if self.kind == "cox":
            return Endpoint(self.kind)
        shares = np.arange(1, self.intervals) / self.intervals
        edges = np.unique(np.quantile(times, shares))
        return Endpoint(self.kind, edges=tuple(map(float, edges)))


def learning(method: Method, endpoint: Endpoint | None) -> Method:
    """The method as it learns an endpoint; itself where it learns classes."""
    if endpoint is None:
        return method
    loss = replace(method.training.loss, label_smoothing=0.0, endpoint=endpoint)
    return replace(method, training=replace(method.training, loss=loss))


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
    endpoint : EndpointPlan, optional
        What is predicted instead of classes.
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
    endpoint: EndpointPlan | None = None

    def divided_by(self, seed: int) -> int:
        """The seed of the split that a run of this seed has."""
        return seed if self.resample == "split" else self.seed
