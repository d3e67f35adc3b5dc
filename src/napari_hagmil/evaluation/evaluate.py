"""Evaluate a trained cascade on labelled slides: predictions, localisation and cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.cascade import (
    Choose,
    Given,
    SlideSummary,
    Stage,
    at_random,
    by_attention,
    called_class,
    most_unread,
)
from napari_hagmil.cascade.run import run_over
from napari_hagmil.cohort import SlideRecord
from napari_hagmil.encoders import Encoder
from napari_hagmil.errors import (
    CancelledError,
    DeviceError,
    FeatureStoreError,
    HagmilError,
    SlideReadError,
)
from napari_hagmil.evaluation.localisation import attention_auc, diameter, lesions_met
from napari_hagmil.export.geojson_reader import read_polygons
from napari_hagmil.export.xml_annotations import XML_SUFFIXES, read_xml_areas
from napari_hagmil.features import (
    FeatureSource,
    FeatureStore,
    FromDepth,
    feature_tree,
    in_context,
    open_store,
)
from napari_hagmil.ledger import SlideState, state_after
from napari_hagmil.models import CascadeModel
from napari_hagmil.polygons import Rings
from napari_hagmil.prepare import prepare, slide_summary
from napari_hagmil.quadtree import Quadtree
from napari_hagmil.slide import open_slide
from napari_hagmil.slide.canvas import canvas_origin
from napari_hagmil.untrusted import well_formed


@dataclass(frozen=True)
class EvaluableSlide:
    """A slide that a cascade can be run on.

    Attributes
    ----------
    quadtree : Quadtree
    features : FeatureSource
    last_depth : int
        The finest that slide and model have in common.
    about : SlideSummary
        Of imported features the fingerprint is that of their files.
    is_placed : bool
        Whether nodes have places on the slide, to be compared with outlines.
    precision : str
        What its features were computed in.
    origin : Given
        Where they are from.
    """

    quadtree: Quadtree
    features: FeatureSource
    last_depth: int
    about: SlideSummary
    is_placed: bool = True
    precision: str = "float32"
    origin: Given = field(default_factory=lambda: Given("slide"))


Source = Callable[[SlideRecord], AbstractContextManager[EvaluableSlide]]
"""Where the slides of a cohort are read from."""


@dataclass(frozen=True, slots=True)
class BudgetRun:
    """One run of the cascade over a slide.

    Attributes
    ----------
    factor : float
        The budget as a multiple of the model's.
    probabilities : tuple of (classes,)
        One per depth reached; the last decides.
    encoded : tuple of int
        Patches looked at, by depth.
    lesions : tuple of tuple of bool
        For each depth, which lesions a patch of it met.
    """

    factor: float
    probabilities: tuple[NDArray[np.float64], ...]
    encoded: tuple[int, ...]
    lesions: tuple[tuple[bool, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class SlideEvaluation:
    """A model's results on one slide.

    Attributes
    ----------
    record : SlideRecord
    called : str
        The class, by the model's thresholds.
    runs : tuple of BudgetRun
        One per factor of the budget.
    tissue : tuple of int
        Patches with tissue that a cascade can reach, by depth: what reading everything costs.
    seconds : float
        For the run with the model's own budget, with reading and encoding where it was done.
    attention_auc : tuple of float
        By depth, see `localisation.attention_auc`; empty without outlines.
    diameters_um : tuple of float
        Of each lesion: that of the circle of the same area, µm.
    chance : BudgetRun or None
        With the model's own budget spent at random, where that was asked for.
    note : str
        A remark for the user.
    fingerprint : str
        Of the slide's content.
    distance : float or None
        How far it lies from the slides of the model's training; None where that is not known.
    outputs : tuple of float
        Logits of the deciding depth: what a model of an endpoint says.
    """

    record: SlideRecord
    called: str
    runs: tuple[BudgetRun, ...]
    tissue: tuple[int, ...]
    seconds: float
    attention_auc: tuple[float, ...] = ()
    diameters_um: tuple[float, ...] = ()
    chance: BudgetRun | None = None
    note: str = ""
    fingerprint: str = ""
    distance: float | None = None
    outputs: tuple[float, ...] = ()

    @property
    def own(self) -> BudgetRun:
        """The run with the model's own budget."""
        return next(run for run in self.runs if run.factor == 1)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Of the deciding depth, (classes,)."""
        return self.own.probabilities[-1]


@dataclass(frozen=True, slots=True)
class SlideFailure:
    """A slide that could not be evaluated, with the reason."""

    record: SlideRecord
    why: str
    state: SlideState = "failed"


def stored(store: Path, model: CascadeModel) -> Source:
    """Slides as their features are kept in a store."""

    @contextmanager
    def read(record: SlideRecord) -> Iterator[EvaluableSlide]:
        features = open_store(store, record)
        first = _first_depth(features, model)
        tree = Quadtree(features.quadtree.grids[first:], features.quadtree.nodes[first:])
        source = in_context(FromDepth(features, first), model.config.context)
        last = min(tree.n_depths, model.config.n_depths) - 1
        about = _about(record, features, model, first)
        origin = Given("store", features.sha256)
        precision = features.key.precision
        yield EvaluableSlide(tree, source, last, about, features.is_placed, precision, origin)

    return read


def live(model: CascadeModel, encoder: Encoder, *, mpp: float | None = None) -> Source:
    """Slides read and encoded where the cascade looks; `mpp` where their files are silent."""

    @contextmanager
    def read(record: SlideRecord) -> Iterator[EvaluableSlide]:
        with open_slide(record.path, mpp=mpp) as slide:
            prepared = prepare(slide, model, encoder)
            last, about = prepared.plan.last_depth, slide_summary(slide)
            yield EvaluableSlide(prepared.quadtree, prepared.source, last, about)
            slide.require_unchanged()

    return read


def evaluate_cohort(
    records: Sequence[SlideRecord],
    model: CascadeModel,
    source: Source,
    *,
    factors: Sequence[float] = (1.0,),
    chance: int | None = None,
) -> Iterator[SlideEvaluation | SlideFailure]:
    """Run a cascade over slides; a slide that fails becomes a `SlideFailure`, and the rest goes on.

    Parameters
    ----------
    records : sequence of SlideRecord
    model : CascadeModel
    source : Source
        `stored` or `live`.
    factors : sequence of float
        Multiples of the model's budget to run with; 1 is always among them.
    chance : int, optional
        Also run with places drawn at random, from this seed: what attention is compared with.
    """
    for n, record in enumerate(records):
        seed = None if chance is None else (chance, n)
        yield try_slide(record, model, source, factors=factors, seed=seed)


def try_slide(
    record: SlideRecord,
    model: CascadeModel,
    source: Source,
    *,
    factors: Sequence[float] = (1.0,),
    seed: tuple[int, int] | None = None,
) -> SlideEvaluation | SlideFailure:
    """As `evaluate_slide`, but return the failure of a slide instead of raising it.

    Parameters
    ----------
    seed : (int, int), optional
        Of the run by chance, and the slide's place in its cohort.
    """
    draw = None if seed is None else at_random(seed)
    try:
        return evaluate_slide(record, model, source, factors=factors, chance=draw)
    except (CancelledError, DeviceError):
        raise
    except (HagmilError, OSError, ValueError) as error:
        return SlideFailure(record, " ".join(str(error).split()), state_after(error))


def evaluate_slide(
    record: SlideRecord,
    model: CascadeModel,
    source: Source,
    *,
    factors: Sequence[float] = (1.0,),
    chance: Choose | None = None,
) -> SlideEvaluation:
    """Run a cascade over one slide: its own budget, multiples of it, and that by `chance`."""
    started = time.perf_counter()
    with source(record) as readable:
        stages = _stages(model, readable, 1.0)
        seconds = time.perf_counter() - started
        _require_read(record, stages, readable.quadtree)
        lesions = _lesions(record, readable)
        runs = [_run(1.0, stages, readable, lesions)]
        for factor in sorted(set(factors) - {1.0}):
            other = _stages(model, readable, factor, known=stages)
            runs.append(_run(factor, other, readable, lesions))
        drawn = _by_chance(model, readable, stages, lesions, chance)
        distance = distance_of(model, readable, stages)
    grids, config = readable.quadtree.grids, model.config
    mpp = config.mpp[0] / grids[0].downsample  # µm per level-0 px
    return SlideEvaluation(
        record=record,
        called=called_class(stages[-1].probabilities, config.classes, config.thresholds),
        runs=tuple(sorted(runs, key=lambda run: run.factor)),
        tissue=tuple(int(held.sum()) for held in feature_tree(readable.quadtree).tissue),
        seconds=seconds,
        attention_auc=tuple(attention_auc(s, grids[s.depth], lesions) for s in stages)
        if lesions
        else (),
        diameters_um=tuple(diameter(lesion) * mpp for lesion in lesions),
        chance=drawn,
        note="" if readable.is_placed or record.truth is None else _UNPLACED,
        fingerprint=readable.about.fingerprint,
        distance=distance,
        outputs=tuple(map(float, stages[-1].logits)),
    )


def distance_of(
    model: CascadeModel, readable: EvaluableSlide, stages: Sequence[Stage]
) -> float | None:
    """Measure how far a slide lies from those of a model's training; None without a summary."""
    seen = model.config.familiarity
    if seen is None:
        return None
    return seen.distance(readable.features(0, stages[0].nodes).numpy())


def _require_read(record: SlideRecord, stages: Sequence[Stage], quadtree: Quadtree) -> None:
    """Raise when too much of a slide is missing to call it."""
    unread = most_unread(stages, quadtree.nodes)
    if unread is not None and unread.too_many:
        raise SlideReadError(
            record.name, f"is incomplete: {unread}", remedy="copy or export the file again"
        )


_UNPLACED = "Its features have no places, so that they cannot be compared with its outlines."


def _stages(
    model: CascadeModel,
    readable: EvaluableSlide,
    factor: float,
    *,
    known: Sequence[Stage] = (),
    choose: Choose = by_attention,
) -> list[Stage]:
    budget = tuple(max(1, round(k * factor)) for k in model.config.budget)
    seen, last = (readable.quadtree, readable.features), readable.last_depth
    return run_over(model, *seen, budget, last_depth=last, choose=choose, known=known)


def _by_chance(
    model: CascadeModel,
    readable: EvaluableSlide,
    known: Sequence[Stage],
    lesions: Sequence[Rings],
    chance: Choose | None,
) -> BudgetRun | None:
    if chance is None:
        return None
    stages = _stages(model, readable, 1.0, known=known, choose=chance)
    return _run(1.0, stages, readable, lesions)


def _run(
    factor: float, stages: Sequence[Stage], readable: EvaluableSlide, lesions: Sequence[Rings]
) -> BudgetRun:
    grids = readable.quadtree.grids
    return BudgetRun(
        factor,
        tuple(stage.probabilities for stage in stages),
        tuple(len(stage.nodes) for stage in stages),
        tuple(lesions_met(lesions, grids[s.depth], s.nodes) for s in stages) if lesions else (),
    )


def _lesions(record: SlideRecord, readable: EvaluableSlide) -> list[Rings]:
    if record.truth is None or not readable.is_placed:
        return []
    if record.truth.suffix.lower() in XML_SUFFIXES:
        return read_xml_areas(record.truth, canvas_origin(record.path))
    return read_polygons(record.truth)


def _about(
    record: SlideRecord, features: FeatureStore, model: CascadeModel, first: int
) -> SlideSummary:
    """What stored features say of their slide."""
    key, grid = features.key, features.quadtree.grids[first]
    height, width = features.slide_shape
    if key.slide_mpp is not None:
        mpp, source = key.slide_mpp, "stored features"
    else:
        mpp, source = model.config.mpp[0] / grid.downsample, "model"
    name = well_formed(record.name)
    return SlideSummary(name, key.fingerprint, mpp, source, width, height, key.reader)


def _first_depth(features: FeatureStore, model: CascadeModel) -> int:
    """The stored depth that is the model's first; raises unless they are of one kind."""
    config, mine = model.config, features.encoder
    config.check_encoder(mine)
    for first in range(len(features.mpp)):
        shared = min(len(features.mpp) - first, config.n_depths)
        whole = first == 0 or shared == config.n_depths
        stored = features.mpp[first : first + shared]
        if whole and np.allclose(stored, config.mpp[:shared], rtol=0.01):
            if features.patch_size == config.patch_size:
                return first
            break
    raise FeatureStoreError(
        f"the features of {features.name}",
        f"must be of {config.patch_size} px patches at {list(config.mpp)} µm per pixel, which "
        f"model {config.name} reads",
        value=f"{features.patch_size} px at {list(features.mpp)}",
        remedy="encode with the model's depths",
    )
