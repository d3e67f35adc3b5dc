"""The whole method on one page: slide → tissue → quadtree → cascade → result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from napari_hagmil.bags import EncodingProgress, LazyFeatures, lay_out
from napari_hagmil.bundles import find_bundle
from napari_hagmil.cascade import (
    CascadeConfig,
    CascadeResult,
    Cost,
    ModelFacts,
    Settings,
    SlideFacts,
    SlideResult,
    Stage,
    Steering,
    iter_cascade,
)
from napari_hagmil.depths import DepthPlan
from napari_hagmil.encoders import Encoder, load_encoder, resolve_device
from napari_hagmil.errors import BundleError, NoTissueError
from napari_hagmil.models import CascadeModel, load_bundle
from napari_hagmil.quadtree import Quadtree
from napari_hagmil.slide import Slide, open_slide
from napari_hagmil.tissue import TissueMask


@dataclass(frozen=True)
class Options:
    """What can be asked of an analysis; the defaults are the bundle's.

    Attributes
    ----------
    budget : tuple of int, optional
        Nodes followed at each depth but the last.
    device : str
        "auto", "cpu", "cuda", "mps".
    exhaustive : bool
        Follow every node: what the cascade is compared with.
    tissue : TissueMask, optional
        Instead of the one that `segment_tissue` finds.
    steering : Steering
        Branches to follow and places to leave out.
    """

    budget: tuple[int, ...] | None = None
    device: str = "auto"
    exhaustive: bool = False
    tissue: TissueMask | None = None
    steering: Steering = field(default_factory=Steering)


@dataclass(frozen=True)
class Reading:
    """One slide under one model, ready to be read as often as wanted.

    Features stay in `features`, so that a second run with another budget or steering
    encodes only what is new.
    """

    slide: Slide
    model: CascadeModel
    plan: DepthPlan
    tissue: TissueMask
    quadtree: Quadtree
    features: LazyFeatures
    device: str
    model_seconds: list[float] = field(default_factory=list)

    def config(self, options: Options) -> CascadeConfig:
        """The cascade's configuration for these options, on this slide."""
        budget = options.budget or self.model.config.budget
        if options.exhaustive:
            budget = tuple(grid.shape[0] * grid.shape[1] for grid in self.quadtree.grids)
        if len(budget) < self.plan.last_depth:
            raise BundleError(
                f"the budget {budget} has {len(budget)} numbers, but model "
                f"{self.model.config.name} hands nodes on at {self.plan.last_depth} depths; "
                "give one number per depth but the last"
            )
        return CascadeConfig(
            tuple(budget), self.plan.last_depth, self.model.config.order, options.steering
        )


def load_model(name: str | Path, *, device: str = "auto") -> tuple[CascadeModel, Encoder]:
    """A bundle by name or path, and the encoder that it was trained with.

    Raises
    ------
    BundleError
        When there is no such bundle, or the encoder here is not the one of its training.
    EncoderError, DeviceError
        When the encoder or the device is not there.
    """
    where = resolve_device(device)
    model = load_bundle(find_bundle(name), device=str(where))
    encoder = load_encoder(model.config.encoder.name, device=where)
    model.config.check_encoder(encoder.name, encoder.n_features, encoder.weights_sha256)
    return model, encoder


def prepare(
    slide: Slide,
    model: CascadeModel,
    encoder: Encoder,
    *,
    tissue: TissueMask | None = None,
    on_progress: Callable[[EncodingProgress], None] | None = None,
) -> Reading:
    """Find the tissue and lay the quadtree; nothing is encoded yet.

    Raises what `lay_out` raises.
    """
    layout = lay_out(slide, model.config.mpp, model.config.patch_size, tissue=tissue)
    features = LazyFeatures(slide, layout.quadtree.grids, encoder, on_progress=on_progress)
    return Reading(
        slide,
        model,
        layout.plan,
        layout.tissue,
        layout.quadtree,
        features,
        str(encoder_device(encoder)),
    )


def encoder_device(encoder: Encoder) -> str:
    """Where an encoder runs, as a name for the record."""
    return str(getattr(encoder, "device", "cpu"))


def read_stages(reading: Reading, options: Options) -> Iterator[Stage]:
    """Run the cascade over a prepared slide, one stage per depth as it is found."""
    spent = reading.features.seconds
    stages = iter_cascade(
        reading.model, reading.quadtree, reading.features, reading.config(options)
    )
    while True:
        started, waited = time.perf_counter(), sum(spent.values())
        stage = next(stages, None)
        if stage is None:
            return
        waited = sum(spent.values()) - waited
        reading.model_seconds.append(time.perf_counter() - started - waited)
        yield stage


def analyze_slide(
    slide: Slide | str | Path,
    model: str | Path = "demo",
    *,
    options: Options | None = None,
    mpp: float | None = None,
    on_stage: Callable[[Stage], None] = lambda stage: None,
    on_progress: Callable[[EncodingProgress], None] | None = None,
) -> SlideResult:
    """Read one slide with one model, coarse to fine.

    Parameters
    ----------
    slide : Slide, str or Path
        An open slide, or the path of one.
    model : str or Path
        A bundle's name or path.
    options : Options
        Budget, device, tissue, steering.
    mpp : float, optional
        µm per level-0 pixel, where the file does not say.
    on_stage, on_progress : callable
        Told of every stage, and of every batch of patches.

    Returns
    -------
    SlideResult
        Its state is "no_tissue" when there was nothing to look at.
    """
    options = options or Options()
    if not isinstance(slide, Slide):
        with open_slide(slide, mpp=mpp) as opened:
            return analyze_slide(
                opened, model, options=options, on_stage=on_stage, on_progress=on_progress
            )
    started = time.perf_counter()
    network, encoder = load_model(model, device=options.device)
    try:
        reading = prepare(slide, network, encoder, tissue=options.tissue, on_progress=on_progress)
    except NoTissueError as error:
        return _no_tissue(slide, network, options, str(error), time.perf_counter() - started)
    stages = []
    for stage in read_stages(reading, options):
        stages.append(stage)
        on_stage(stage)
    return summarize(reading, options, stages, time.perf_counter() - started)


def summarize(
    reading: Reading,
    options: Options,
    stages: list[Stage],
    seconds: float,
    *,
    complete: bool = True,
) -> SlideResult:
    """Put what the stages found, and what it cost, on record."""
    config = reading.model.config
    reached = len(stages)
    unread = sum(len(stage.unread) for stage in stages)
    notes = reading.plan.notes + reading.slide.warnings
    if unread:
        notes += (f"{unread} places could not be read: they are shown as unread, not as glass.",)
    return SlideResult(
        state="done" if complete else "cancelled",
        slide=_slide_facts(reading.slide),
        model=_model_facts(reading.model),
        settings=Settings(reading.config(options).budget, reading.device, 0, options.exhaustive),
        grids=reading.quadtree.grids,
        cascade=CascadeResult(tuple(stages), config.classes, config.thresholds) if stages else None,
        cost=_cost(reading, stages, seconds) if reached else _no_cost(seconds),
        notes=notes,
    )


def _cost(reading: Reading, stages: list[Stage], seconds: float) -> Cost:
    spent = {**reading.features.seconds, "model": sum(reading.model_seconds)}
    return Cost(
        patches_encoded=sum(len(stage.nodes) for stage in stages),
        patches_exhaustive=sum(len(nodes) for nodes in reading.quadtree.nodes),
        finest_encoded=len(stages[-1].nodes),
        finest_tissue=len(reading.quadtree.nodes[stages[-1].depth]),
        bytes_read=reading.slide.bytes_read,
        seconds={**spent, "total": seconds},
    )


def _no_cost(seconds: float) -> Cost:
    return Cost(0, 0, 0, 0, 0, {"read": 0.0, "encode": 0.0, "model": 0.0, "total": seconds})


def _slide_facts(slide: Slide) -> SlideFacts:
    height, width = slide.shape
    return SlideFacts(
        slide.name, slide.fingerprint, float(slide.mpp or 0), slide.mpp_source, width, height
    )


def _model_facts(model: CascadeModel) -> ModelFacts:
    config = model.config
    return ModelFacts(config.name, model.sha256, config.encoder.name, tuple(config.classes))


def _no_tissue(
    slide: Slide, model: CascadeModel, options: Options, why: str, seconds: float
) -> SlideResult:
    budget = tuple(options.budget or model.config.budget)
    return SlideResult(
        state="no_tissue",
        slide=_slide_facts(slide),
        model=_model_facts(model),
        settings=Settings(budget, options.device, 0, options.exhaustive),
        grids=(),
        cascade=None,
        cost=_no_cost(seconds),
        notes=(why, *slide.warnings),
    )
