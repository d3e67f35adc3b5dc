"""The whole method on one page: slide → tissue → quadtree → cascade → result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from napari_hagmil.cascade import (
    MAX_UNREAD,
    CascadeResult,
    Cost,
    Settings,
    SlideResult,
    Stage,
    UnreadPlaces,
    iter_cascade,
    most_unread,
    uncertainty_of,
)
from napari_hagmil.cascade.result import ResultState
from napari_hagmil.encoders import computation_of
from napari_hagmil.errors import NoTissueError
from napari_hagmil.features import EncodingProgress
from napari_hagmil.geometry import magnification_label
from napari_hagmil.models import CascadeModel
from napari_hagmil.prepare import (
    LoadedModel,
    Options,
    PreparedSlide,
    load_for,
    model_facts,
    prepare,
    prepare_given,
    run_settings,
    slide_summary,
    why_unfit,
)
from napari_hagmil.slide import Slide, open_slide


def read_stages(
    prepared: PreparedSlide, options: Options, *, known: Sequence[Stage] = ()
) -> Iterator[Stage]:
    """Run the cascade over a prepared slide, one stage per depth as it is found.

    `known`: see `iter_cascade`.
    """
    spent = prepared.features.seconds
    stages = iter_cascade(
        prepared.model, prepared.quadtree, prepared.source, prepared.config(options), known=known
    )
    while True:
        started, waited = time.perf_counter(), sum(spent.values())
        stage = next(stages, None)
        if stage is None:
            return
        waited = sum(spent.values()) - waited
        prepared.model_seconds.append(time.perf_counter() - started - waited)
        if stage.depth == 0:
            prepared.compare(stage)
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
        Called with every stage, and after every batch of patches.

    Returns
    -------
    SlideResult
        Its state is "no_tissue" when no tissue is found, and "incomplete" when too much could not
        be read.
    """
    options = options or Options()
    if not isinstance(slide, Slide):
        with open_slide(slide, mpp=mpp) as opened:
            return analyze_slide(
                opened, model, options=options, on_stage=on_stage, on_progress=on_progress
            )
    loaded = load_for(options.features, model, device=options.device)
    return analyze_with(loaded, slide, options, on_stage=on_stage, on_progress=on_progress)


def analyze_with(
    loaded: LoadedModel | CascadeModel,
    slide: Slide,
    options: Options,
    *,
    on_stage: Callable[[Stage], None] = lambda stage: None,
    on_progress: Callable[[EncodingProgress], None] | None = None,
) -> SlideResult:
    """As `analyze_slide`, with a model that is loaded already: for many slides in a row.

    On stored features it needs no encoder.
    """
    started = time.perf_counter()
    network, encoder = loaded if isinstance(loaded, LoadedModel) else (loaded, None)
    try:
        if encoder is None:
            prepared = prepare_given(slide, network, options.features, tissue=options.tissue)
        else:
            keep = options.keep_features
            prepared = prepare(slide, network, encoder, tissue=options.tissue, keep_features=keep)
        prepared.features.on_progress = on_progress
    except NoTissueError as error:
        return _no_tissue(slide, network, options, str(error), time.perf_counter() - started)
    stages = []
    for stage in read_stages(prepared, options):
        stages.append(stage)
        on_stage(stage)
    return slide_result(prepared, options, stages, time.perf_counter() - started)


def asked_result(slide: Slide, network: CascadeModel, options: Options) -> SlideResult:
    """The part of a result that is known before the run: slide, model and settings."""
    return SlideResult(
        state="cancelled",
        slide=slide_summary(slide),
        model=model_facts(network),
        settings=run_settings(network, options),
        grids=(),
        cascade=None,
        cost=_no_cost(0.0),
    )


def slide_result(
    prepared: PreparedSlide,
    options: Options,
    stages: list[Stage],
    seconds: float,
    *,
    complete: bool = True,
) -> SlideResult:
    """Assemble the result of an analysis from its stages and its cost."""
    config = prepared.model.config
    reached = len(stages)
    unread = most_unread(stages, prepared.quadtree.nodes)
    too_many = unread is not None and unread.too_many
    cascade = CascadeResult(tuple(stages), config.classes, config.thresholds) if stages else None
    state: ResultState = "cancelled" if not complete else "incomplete" if too_many else "done"
    return SlideResult(
        state=state,
        slide=slide_summary(prepared.slide),
        model=model_facts(prepared.model),
        settings=_settings(prepared, options),
        grids=prepared.quadtree.grids[: prepared.last_depth(options) + 1],
        cascade=cascade,
        cost=_cost(prepared, stages, seconds, prepared.last_depth(options))
        if reached
        else _no_cost(seconds),
        notes=_notes(prepared, stages, unread),
        unread=unread,
        unfit=prepared.unfit,
        uncertainty=uncertainty_of(
            config,
            cascade if state == "done" else None,
            distance=prepared.distance,
            error_rate=options.error_rate,
        ),
        start=_start(seconds),
        tissue=prepared.tissue,
        quality=options.quality,
    )


def _settings(prepared: PreparedSlide, options: Options) -> Settings:
    """The settings of the run, completed by what the run has determined."""
    asked = run_settings(prepared.model, options, device=prepared.device)
    encoder = prepared.features.encoder
    how = computation_of(encoder) if encoder else asked
    return replace(
        asked,
        budget=prepared.config(options).budget,
        precision=how.precision,
        runtime=how.runtime,
        tissue=replace(asked.tissue, sha256=prepared.tissue.sha256),
    )


def _start(seconds: float) -> str:
    """The time at which a run that has taken this long was started."""
    begun = datetime.now(UTC) - timedelta(seconds=seconds)
    return begun.isoformat(timespec="seconds")


def _notes(
    prepared: PreparedSlide, stages: Sequence[Stage], unread: UnreadPlaces | None
) -> tuple[str, ...]:
    notes = prepared.plan.notes + prepared.tissue.notes + prepared.slide.warnings
    lost = sum(len(stage.unread) for stage in stages)
    if lost:
        notes += (f"{lost} places could not be read: they are shown as unread, not as glass.",)
    if unread is not None and unread.too_many:
        label = magnification_label(
            prepared.quadtree.grids[unread.depth].downsample * prepared.slide.require_mpp()
        )
        why = f"{unread} at {label}, and no class is given above {MAX_UNREAD:.0%} at any depth"
        notes = (f"Incomplete: {why}. Copy or export the file again.", *notes)
    if prepared.slide.has_changed():
        notes = ("The slide's file changed while it was open: analyze it again.", *notes)
    return notes


def _cost(prepared: PreparedSlide, stages: list[Stage], seconds: float, last_depth: int) -> Cost:
    spent = {**prepared.features.seconds, "model": sum(prepared.model_seconds)}
    return Cost(
        patches_encoded=sum(len(stage.nodes) for stage in stages)
        if prepared.features.encoder
        else 0,
        patches_exhaustive=sum(len(nodes) for nodes in prepared.quadtree.nodes[: last_depth + 1]),
        finest_encoded=len(stages[-1].nodes),
        finest_tissue=len(prepared.quadtree.nodes[stages[-1].depth]),
        bytes_read=prepared.slide.bytes_read,
        seconds={**spent, "total": seconds},
    )


def _no_cost(seconds: float) -> Cost:
    return Cost(0, 0, 0, 0, 0, {"read": 0.0, "encode": 0.0, "model": 0.0, "total": seconds})


def _no_tissue(
    slide: Slide, model: CascadeModel, options: Options, why: str, seconds: float
) -> SlideResult:
    return SlideResult(
        state="no_tissue",
        slide=slide_summary(slide),
        model=model_facts(model),
        settings=run_settings(model, options),
        grids=(),
        cascade=None,
        cost=_no_cost(seconds),
        notes=(why, *slide.warnings),
        unfit=why_unfit(model.config, slide),
        start=_start(seconds),
    )
