"""What a cascade finds: one `Stage` per depth, and the whole `SlideResult`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.quadtree import Nodes, PatchGrid, is_among
from napari_hagmil.tissue import TissueMask
from napari_hagmil.uncertainty import Uncertainty

NodeStatus = Literal["followed", "pinned", "cut", "leaf", "unread", "vetoed"]
ResultState = Literal["done", "incomplete", "no_tissue", "cancelled"]

#: Above this share of unread places at any depth a slide is not called: what was lost may be what
#: matters, and a cascade does not follow what it cannot read. See docs/explanation/reliability.md.
MAX_UNREAD = 0.1

_NO_NODES = np.empty((0, 2), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Stage:
    """The cascade at one depth.

    Attributes
    ----------
    depth : int
        0 = coarsest.
    nodes : (n, 2) int64
        The nodes that were looked at, in the order of the bag.
    attention : (n,) float32
        Softmax of the attention logits over the bag; sums to 1.
    logits : (classes,) float32
        The slide-level logits of this depth alone.
    followed : (n,) bool
        The nodes handed on to the next depth; all False at the last.
    pinned : (n,) bool
        The followed ones that steering asked for, whatever their attention.
    unread : (m, 2) int64
        Nodes whose pixels could not be read: tissue, but not in the bag.
    vetoed : (v, 2) int64
        Nodes that steering left out.
    decision : (classes,) float32, optional
        See `decision_logits`; None where each depth decides alone.
    """

    depth: int
    nodes: Nodes
    attention: NDArray[np.float32]
    logits: NDArray[np.float32]
    followed: NDArray[np.bool_]
    pinned: NDArray[np.bool_]
    unread: Nodes = field(default_factory=_NO_NODES.copy)
    vetoed: Nodes = field(default_factory=_NO_NODES.copy)
    decision: NDArray[np.float32] | None = None

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Class probabilities once this depth has been read: softmax of the logits, (classes,)."""
        logits = self.logits if self.decision is None else self.decision
        shifted = np.exp(logits.astype(np.float64) - logits.max())
        return np.asarray(shifted / shifted.sum())

    @property
    def ranks(self) -> NDArray[np.int64]:
        """Rank of each node by attention, 1 = highest; ties by place in the bag, (n,)."""
        order = np.argsort(-self.attention, kind="stable")
        ranks = np.empty(len(order), dtype=np.int64)
        ranks[order] = np.arange(1, len(order) + 1)
        return ranks

    @property
    def scores(self) -> NDArray[np.float64]:
        """Attention as a percentile of its bag, 0 to 100, for the eye, (n,).

        The share of the bag whose attention is no higher; equal attention, equal score.
        """
        position = np.searchsorted(np.sort(self.attention), self.attention, side="right")
        return 100.0 * position / max(len(self.attention), 1)


def node_statuses(stage: Stage, *, last: bool) -> list[NodeStatus]:
    """What became of each node of a stage's bag: (n,) statuses."""
    if last:
        return ["leaf"] * len(stage.nodes)
    return [
        "pinned" if pinned else "followed" if followed else "cut"
        for followed, pinned in zip(stage.followed, stage.pinned, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class UnreadPlaces:
    """How much of a depth could not be read.

    Attributes
    ----------
    depth : int
    places, asked : int
        Tissue nodes that could not be read, and that were to be looked at.
    """

    depth: int
    places: int
    asked: int

    @property
    def too_many(self) -> bool:
        """Whether too much is missing to call the slide."""
        return self.places > MAX_UNREAD * self.asked

    def __str__(self) -> str:
        return f"{self.places:,} of {self.asked:,} places could not be read"


def most_unread(stages: Sequence[Stage], tissue: Sequence[Nodes]) -> UnreadPlaces | None:
    """The depth of which the largest share could not be read; None where all was read.

    Every depth counts: the last one decides, and the others choose what it sees.

    Parameters
    ----------
    stages : sequence of Stage
    tissue : sequence of (n, 2) int64
        The nodes that hold tissue, by depth: glass may be missing.
    """
    counts = [
        UnreadPlaces(
            stage.depth,
            lost := int(is_among(stage.unread, tissue[stage.depth]).sum()),
            lost + int(is_among(stage.nodes, tissue[stage.depth]).sum()),
        )
        for stage in stages
    ]
    worst = max(counts, key=lambda one: one.places / max(one.asked, 1), default=None)
    return worst if worst and worst.places else None


def is_same_bag(stage: Stage, asked: Nodes) -> bool:
    """Whether a stage looked at exactly these nodes, in this order."""
    if len(stage.nodes) + len(stage.unread) != len(asked):
        return False
    return bool(np.array_equal(asked[~is_among(asked, stage.unread)], stage.nodes))


def pooled_logits(
    logits: Sequence[NDArray[np.float32]], weights: Sequence[float]
) -> NDArray[np.float32] | None:
    """Logits of a decision to which every depth read so far contributes: Σ w_d l_d.

    The coarsest depth has seen all of the slide, the finest only what was followed. A linear
    opinion pool of their logits, its weights fitted on validation slides, can decide better than
    the finest alone.

    Parameters
    ----------
    logits : sequence of (classes,)
        Of each depth read, coarse to fine.
    weights : sequence of float
        One per depth of the model, not negative; empty: no pooling.

    Returns
    -------
    (classes,) or None
        None where the last depth of `logits` decides alone: without weights, and where no depth
        that was read has any weight.
    """
    reached = np.asarray(weights[: len(logits)], dtype=np.float32)
    if not reached.any():
        return None
    return np.asarray(reached @ np.stack(logits), dtype=np.float32)


def decision_logits(
    logits: Sequence[NDArray[np.float32]], weights: Sequence[float], temperatures: Sequence[float]
) -> NDArray[np.float32] | None:
    """Logits of the decision once the last of some depths has been read, calibrated.

    Parameters
    ----------
    logits, weights
        See `pooled_logits`.
    temperatures : sequence of float
        One per depth of the model, see `Confidence`; empty: nothing is calibrated.

    Returns
    -------
    (classes,) or None
        None where they are those of the last depth, as they are.
    """
    pooled = pooled_logits(logits, weights)
    if not temperatures:
        return pooled
    decisive = logits[-1] if pooled is None else pooled
    return np.asarray(decisive / np.float32(temperatures[len(logits) - 1]), dtype=np.float32)


def called_class(
    probabilities: NDArray[np.float64], classes: Sequence[str], thresholds: Mapping[str, float]
) -> str:
    """What a slide with these class probabilities is called.

    A class with a threshold is called when it reaches it, the most probable one first; when
    none does, the most probable of the other classes is. Without thresholds it is the most
    probable class.
    """
    order = np.argsort(-probabilities, kind="stable")
    reached = [i for i in order if probabilities[i] >= thresholds.get(classes[i], np.inf)]
    free = [i for i in order if classes[i] not in thresholds]
    return classes[int((reached or free or list(order))[0])]


@dataclass(frozen=True, slots=True)
class CascadeResult:
    """All stages of one slide, coarse to fine; the finest one decides.

    Attributes
    ----------
    stages : tuple of Stage
        At least one.
    classes : tuple of str
        Names, in the order of the logits.
    thresholds : dict of str to float
        See `called_class`.
    """

    stages: tuple[Stage, ...]
    classes: tuple[str, ...]
    thresholds: Mapping[str, float] = field(default_factory=dict)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Class probabilities of the deepest stage, (classes,)."""
        return self.stages[-1].probabilities

    @property
    def predicted_class(self) -> str:
        """What the slide is called."""
        return called_class(self.probabilities, self.classes, self.thresholds)


@dataclass(frozen=True, slots=True)
class SlideSummary:
    """What a result records about its slide; never a path, never patient data.

    Attributes
    ----------
    reader : str
        The backend that decoded it.
    canvas_origin : tuple of int
        `Slide.origin`: what to add to (y, x) for programs that count from OpenSlide's canvas.
    color_profile : str
        Name of its ICC profile; empty where it has none.
    """

    name: str
    fingerprint: str
    mpp: float
    mpp_source: str
    width: int
    height: int
    reader: str = ""
    canvas_origin: tuple[int, int] = (0, 0)
    color_profile: str = ""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a result records about its model and the encoder of its features."""

    name: str
    sha256: str
    encoder: str
    classes: tuple[str, ...]
    encoder_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """An input of a run other than slide and model: where it came from, and its hash.

    Attributes
    ----------
    source : str
        Of tissue: "detected", "drawn", "epithelium", "store" (as it was encoded). Of steering:
        "none", "given".
        Of features: "slide", "store".
    sha256 : str
        Of its content; "" where there is none.
    file_sha256 : str
        Of the file that it was read from; "" where there was none.
    """

    source: str
    sha256: str = ""
    file_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a run, and the precision, runtime and threads it was computed with.

    Attributes
    ----------
    precision : str
        What the encoder computed in: "float32", "bfloat16".
    runtime : str
        What ran the encoder: "torch" …
    threads : int
        Of torch on the CPU: another number may change the last digits.
    tissue, steering, features : Given
        Of features from a store, the hash is that of the store's manifest.
    colors : str
        What the encoder saw: "file", or "srgb" by the slide's ICC profile.
    """

    budget: tuple[int, ...]
    device: str
    seed: int = 0
    exhaustive: bool = False
    precision: str = "float32"
    runtime: str = "torch"
    threads: int = 0
    tissue: Given = Given("detected")
    steering: Given = Given("none")
    features: Given = Given("slide")
    colors: str = "file"


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a run in patches, bytes and seconds.

    Attributes
    ----------
    patches_encoded, patches_exhaustive : int
        Patches seen by the encoder, and tissue patches of all depths used.
    finest_encoded, finest_tissue : int
        The same at the deepest stage alone.
    bytes_read : int
        Encoded bytes fetched from the slide's file.
    seconds : dict
        "read", "encode", "model", "total".
    """

    patches_encoded: int
    patches_exhaustive: int
    finest_encoded: int
    finest_tissue: int
    bytes_read: int
    seconds: dict[str, float]


@dataclass(frozen=True, slots=True)
class SlideResult:
    """Everything that one analysis of one slide found.

    Attributes
    ----------
    state : str
        "done", "no_tissue", "cancelled", or "incomplete": too much could not be read to call it.
    cascade : CascadeResult or None
        None when no stage was reached.
    grids : tuple of PatchGrid
        The patch grid of each depth used, coarse to fine.
    notes : tuple of str
        Sentences for the reader: a missing magnification, unread places …
    unread : UnreadPlaces or None
        Of the depth that misses most; None where all was read.
    unfit : str
        Why the model is not for this slide, as a sentence: it stands before any class. Empty where
        nothing says so.
    uncertainty : Uncertainty
        How far its answer can be relied on.
    start : str
        When the run started, ISO 8601 in UTC; "" where that is not known.
    tissue : TissueMask or None
        Where tissue was looked for; None in a result that was read back from its folder.
    quality : mapping of str to float, or None
        Share of the tissue that each kind of artefact covers; None where it was not measured.
    """

    state: ResultState
    slide: SlideSummary
    model: ModelFacts
    settings: Settings
    grids: tuple[PatchGrid, ...]
    cascade: CascadeResult | None
    cost: Cost
    notes: tuple[str, ...] = ()
    unread: UnreadPlaces | None = None
    unfit: str = ""
    uncertainty: Uncertainty = field(default_factory=Uncertainty)
    start: str = ""
    tissue: TissueMask | None = field(default=None, repr=False)
    quality: Mapping[str, float] | None = None

    @property
    def prediction(self) -> CascadeResult | None:
        """The cascade that calls the slide; None unless all of it was read, or nearly all."""
        return self.cascade if self.state == "done" else None

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that were reached, coarse to fine."""
        return self.cascade.stages if self.cascade else ()
