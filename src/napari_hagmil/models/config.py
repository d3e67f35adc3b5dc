"""The configuration of a model bundle."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, Literal, get_args

from napari_hagmil.errors import BundleError
from napari_hagmil.models.endpoint import Endpoint
from napari_hagmil.models.stage import StageConfig
from napari_hagmil.uncertainty import Confidence, Familiarity

#: px a side: a batch of larger patches fills the memory.
MAX_PATCH = 4096

BagOrder = Literal["quadtree", "attention", "columns"]
Context = Literal["none", "ancestors"]
Children = Literal["tissue", "all"]
MadeFor = Literal["", "phantoms"]
PatientsBy = Literal["", "mean", "max", "bag"]
PixelColors = Literal["", "file", "srgb"]


@dataclass(frozen=True, slots=True)
class EncoderFacts:
    """The encoder whose features a model was trained on.

    Attributes
    ----------
    name : str
    weights_sha256 : str or None
        Of the file its weights came from; None where that is unknown.
    n_features : int
    mean, std : tuple of float
        Of its normalisation, in units of a byte; empty where that is unknown.
    mpp : tuple of float
        µm per pixel that it is meant for; empty where it does not say. Two facts of which one
        does not know these are equal: see `difference`.
    colors : "", "file" or "srgb"
        Of the pixels that it is given: the numbers of the file, which is meant where nothing is
        said, or those in sRGB by the slide's ICC profile.
    """

    name: str
    weights_sha256: str | None
    n_features: int
    mean: tuple[float, ...] = field(default=(), compare=False)
    std: tuple[float, ...] = field(default=(), compare=False)
    mpp: tuple[float, ...] = field(default=(), compare=False)
    colors: PixelColors = field(default="", compare=False)

    def __post_init__(self) -> None:
        for name in _OF_INPUT:
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def as_json(self) -> dict[str, Any]:
        """The facts that are known, as JSON has them."""
        facts = asdict(self)
        unknown = [name for name in _OF_INPUT if not facts[name]]
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in facts.items()
            if name not in unknown and (name, value) != ("colors", "")
        }

    def difference(self, other: EncoderFacts) -> str:
        """How another differs, in words; empty where nothing that both know does."""
        if (self.name, self.n_features) != (other.name, other.n_features):
            return f"{other.name!r} with {other.n_features} features"
        hashes = (self.weights_sha256, other.weights_sha256)
        if all(hashes) and hashes[0] != hashes[1]:
            return f"other weights of it (sha256 {str(hashes[1])[:12]}…)"
        for name, what in _OF_INPUT.items():
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine and theirs and not _are_close(mine, theirs):
                return f"it with another {what} ({_listed(theirs)}, not {_listed(mine)})"
        if self.sees_srgb != other.sees_srgb:
            return f"it on colours {'in sRGB' if other.sees_srgb else 'as files have them'}"
        return ""

    @property
    def sees_srgb(self) -> bool:
        """Whether it is given pixels in sRGB."""
        return self.colors == "srgb"


#: What encoders and stores of earlier versions do not say, and what it is.
_OF_INPUT = {
    "mean": "mean of its normalisation",
    "std": "deviation of its normalisation",
    "mpp": "µm per pixel that it is meant for",
}


def _are_close(some: tuple[float, ...], others: tuple[float, ...]) -> bool:
    same_length = len(some) == len(others)
    return same_length and all(
        math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-3) for a, b in zip(some, others, strict=True)
    )


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


@dataclass(frozen=True, slots=True)
class BundleConfig:
    """The configuration of a bundle: everything but its weights.

    Attributes
    ----------
    name : str
    encoder : EncoderFacts
    patch_size : int
        Pixels a side, at the mpp of the depth.
    mpp : tuple of float
        µm per pixel of each depth, coarse to fine; each half of the one before.
    classes : tuple of str
        In the order of the logits; names of the outputs where there is an `endpoint`.
    stages : tuple of IATConfig or BaselineConfig
        One per depth, coarse to fine.
    budget : tuple of int
        k of every depth but the finest.
    order : "quadtree", "attention" or "columns"
        Of a bag: Z-order of the nodes; the children in descending attention of their parents
        (as the official code has it); or down one column of the slide after the other (as CLAM
        and TRIDENT list patches).
    context : "none" or "ancestors"
        Features that an instance carries besides its own: with "ancestors", those of its parent,
        its grandparent and so on follow.
    children : "tissue" or "all"
        Which children of a followed node are looked at: those with tissue, or all four, bare glass
        too (as the paper and its official code have it).
    depth_weights : tuple of float
        How much the logits of each depth count in the decision, see
        `cascade.result.pooled_logits`; empty: the finest one decides alone, as in the paper.
    thresholds : dict of str to float
        Class name → probability from which the class is called; empty: the most probable one.
    patients : "", "mean", "max" or "bag"
        How patients with several slides are called, as validation patients chose it, see
        `evaluation.patients`; empty: nothing was chosen.
    confidence : Confidence, optional
        What validation slides say of its answers; None: its probabilities are not calibrated.
    familiarity : Familiarity, optional
        What tells slides that are unlike those of its training; None: nothing does.
    training : dict
        Summary of the training data and run, for people.
    licence, intended_use : str
    made_for : "" or "phantoms"
        The only slides it fits: "phantoms" are synthetic; empty where `intended_use` alone says.
    endpoint : Endpoint, optional
        What it predicts instead of classes.
    """

    name: str
    encoder: EncoderFacts
    patch_size: int
    mpp: tuple[float, ...]
    classes: tuple[str, ...]
    stages: tuple[StageConfig, ...]
    budget: tuple[int, ...]
    order: BagOrder = "quadtree"
    context: Context = "none"
    children: Children = "tissue"
    depth_weights: tuple[float, ...] = ()
    thresholds: dict[str, float] = field(default_factory=dict)
    patients: PatientsBy = ""
    confidence: Confidence | None = None
    familiarity: Familiarity | None = None
    training: dict[str, Any] = field(default_factory=dict)
    licence: str = ""
    intended_use: str = ""
    made_for: MadeFor = ""
    endpoint: Endpoint | None = None

    def __post_init__(self) -> None:
        for name in ("mpp", "classes", "stages", "budget", "depth_weights"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for broken in self._broken_rules():
            raise BundleError(
                f"the model bundle {self.name!r}", broken, remedy="correct its configuration"
            )

    @property
    def n_depths(self) -> int:
        """Number of depths, coarse to fine."""
        return len(self.stages)

    def n_inputs(self, depth: int) -> int:
        """Features that the model of a depth sees: its own, and its ancestors' if it has them."""
        return self.encoder.n_features * (depth + 1 if self.context == "ancestors" else 1)

    def check_encoder(self, other: EncoderFacts) -> None:
        """Raise a `BundleError` unless this encoder is the one the model was trained with."""
        mine = self.encoder
        theirs = mine.difference(other)
        if not theirs:
            return
        raise BundleError(
            f"the model bundle {self.name!r}",
            f"was trained on features of the encoder {mine.name!r} ({mine.n_features} features) "
            f"and cannot use {theirs}",
            remedy="choose the encoder that the bundle names",
        )

    def _broken_rules(self) -> list[str]:
        checks = (
            *self._depth_rules(),
            *self._choice_rules(),
            *self._use_rules(),
            *self._uncertainty_rules(),
            *self._class_rules(),
        )
        return [broken for holds, broken in checks if not holds]

    def _depth_rules(self) -> list[tuple[bool, str]]:
        depths = len(self.stages)
        halves = all(math.isclose(a, 2 * b, rel_tol=0.01) for a, b in pairwise(self.mpp))
        return [
            (depths > 0, "has no stages; it needs one per depth"),
            (
                0 < self.patch_size <= MAX_PATCH,
                f"needs a patch_size of 1 to {MAX_PATCH}, not {self.patch_size}",
            ),
            (
                len(self.mpp) == depths and halves and min(self.mpp, default=1) > 0,
                f"needs mpp of its {depths} depths, each half of the one before, "
                f"not {list(self.mpp)}",
            ),
            (
                len(self.budget) == depths - 1 and min(self.budget, default=1) >= 1,
                f"needs a budget of {depths - 1} positive numbers, one for every depth but the "
                f"finest, not {list(self.budget)}",
            ),
            (
                not self.depth_weights
                or (len(self.depth_weights) == depths and min(self.depth_weights) >= 0),
                f"needs no depth_weights or {depths} that are not negative, one per depth, "
                f"not {list(self.depth_weights)}",
            ),
        ]

    def _choice_rules(self) -> list[tuple[bool, str]]:
        return [
            (
                self.order in get_args(BagOrder),
                f"needs the order 'quadtree', 'attention' or 'columns', not {self.order!r}",
            ),
            (
                self.context in ("none", "ancestors"),
                f"needs the context 'none' or 'ancestors', not {self.context!r}",
            ),
            (
                self.children in get_args(Children),
                f"needs the children 'tissue' or 'all', not {self.children!r}",
            ),
        ]

    def _use_rules(self) -> list[tuple[bool, str]]:
        return [
            (
                self.encoder.colors in get_args(PixelColors),
                f"needs encoder.colors to be empty, 'file' or 'srgb', not {self.encoder.colors!r}",
            ),
            (
                self.made_for in get_args(MadeFor),
                f"needs made_for to be empty or 'phantoms', not {self.made_for!r}",
            ),
            (
                self.patients in get_args(PatientsBy),
                f"needs patients to be empty, 'mean', 'max' or 'bag', not {self.patients!r}",
            ),
        ]

    def _uncertainty_rules(self) -> list[tuple[bool, str]]:
        known, seen = self.confidence, self.familiarity
        return [
            *(known.broken_rules(len(self.stages)) if known else []),
            *(seen.broken_rules(self.encoder.n_features) if seen else []),
        ]

    def _output_rule(self) -> tuple[bool, str]:
        """What its outputs are: classes that exclude each other, or those of its endpoint."""
        names = self.classes
        if self.endpoint is None:
            return (
                len(set(names)) == len(names) >= 2,
                f"needs at least two classes with different names, not {list(names)}",
            )
        return (
            names == self.endpoint.outputs and not (self.thresholds or self.depth_weights),
            f"needs the outputs of its endpoint, {list(self.endpoint.outputs)}, without thresholds "
            f"and depth_weights, not {list(names)}",
        )

    def _class_rules(self) -> list[tuple[bool, str]]:
        classes = list(self.classes)
        expected = [self.n_inputs(depth) for depth in range(len(self.stages))]
        inputs = [stage.n_features for stage in self.stages]
        outputs = [stage.n_classes for stage in self.stages]
        return [
            self._output_rule(),
            (
                all(n == len(classes) for n in outputs),
                f"names {len(classes)} classes where its stages give {outputs}; they must agree",
            ),
            (
                inputs == expected,
                f"has stages for {inputs} features where its encoder {self.encoder.name!r} gives "
                f"{expected}; they must agree",
            ),
            (
                set(self.thresholds) <= set(classes),
                f"has thresholds for {sorted(self.thresholds)} but the classes {classes}",
            ),
        ]
