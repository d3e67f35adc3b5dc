"""``predict``: run a model on slides without labels, from their stored features."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_hagmil.cli.terminal import answer, progress, say
from napari_hagmil.cli.verb import (
    Verb,
    device_option,
    json_option,
    memory_option,
    model_option,
    option,
    out_option,
    pseudonymise_option,
    slides_argument,
    timeout_option,
    workers_option,
)

if TYPE_CHECKING:
    from tqdm import tqdm

    from napari_hagmil.batch.cohort_jobs import ModelOverSlides
    from napari_hagmil.cohort import Cohort
    from napari_hagmil.evaluation.evaluate import Source
    from napari_hagmil.evaluation.prediction_files import Event
    from napari_hagmil.models import CascadeModel


@dataclass(frozen=True)
class PredictOptions:
    """Options of ``predict``."""

    cohort: str = slides_argument()
    store: Path = option(
        "--store", place="below", type=Path, required=True, metavar="DIR", help="what encode wrote"
    )
    model: str = model_option()
    out: Path = out_option()
    patients: Literal["mean", "max", "bag"] | None = option(
        "--patients",
        choices=("mean", "max", "bag"),
        help="how patients with several slides are called: by the mean of their slides, by the "
        "slide least like the first class, or all slides as one (default: the model's own rule, "
        "which training chose, else mean)",
    )
    device: str = device_option()
    workers: int | None = workers_option()
    timeout: float | None = timeout_option()
    memory: float | None = memory_option()
    pseudonymise: bool = pseudonymise_option()
    json: bool = json_option()


def predict(options: PredictOptions) -> int:
    """Run a model over stored features, and write its predictions and attention."""
    from napari_hagmil.batch.cohort_jobs import ModelOverSlides
    from napari_hagmil.cohort import gather_slides
    from napari_hagmil.evaluation.patients import slides_by_patient
    from napari_hagmil.evaluation.predict import call_patients
    from napari_hagmil.evaluation.prediction_files import require_free, write_predictions

    over = ModelOverSlides(options.model, options.device, options.store)
    model, source = over.load()
    cohort = gather_slides(options.cohort, files=False)
    require_free(options.out)
    events = _events(options, cohort, over, (model, source))
    rule = options.patients or model.config.patients or "mean"
    has_several = len(slides_by_patient(cohort.records)) < len(cohort)
    with progress("slide", len(cohort)) as bar:
        show = _shown(bar, len(cohort), quiet=options.json)
        summary = write_predictions(
            events,
            model,
            options.out,
            on_slide=show,
            by_patient=lambda seen: call_patients(seen, rule, model, source) if has_several else (),
        )
    _say(summary, options)
    return 0 if summary["states"].get("done", 0) == len(cohort) else 3


def _events(
    options: PredictOptions,
    cohort: Cohort,
    over: ModelOverSlides,
    loaded: tuple[CascadeModel, Source],
) -> Iterator[Event]:
    """Predict here, or by processes where any were asked for."""
    from napari_hagmil.batch.cohort_jobs import PredictJob, over_cohort
    from napari_hagmil.batch.pool import pool_for
    from napari_hagmil.evaluation.predict import predict_cohort

    with pool_for(PredictJob(over), options) as pool:
        if pool is None:
            yield from predict_cohort(cohort.records, *loaded)
        else:
            yield from over_cohort(cohort.records, pool)  # type: ignore[misc]


def _say(summary: dict[str, Any], options: PredictOptions) -> None:
    if options.json:
        answer(summary)
        return
    called = ", ".join(f"{n} {name}" for name, n in summary["called"].items())
    say(
        f"{sum(summary['called'].values())} of {summary['slides']} slides called"
        f"{f' ({called})' if called else ''}; files in {options.out}"
    )


def _shown(bar: tqdm[Any], total: int, *, quiet: bool) -> Callable[[Event], None]:
    """Return what shows a slide: a bar on a terminal; elsewhere, and for failures, a line."""
    on_terminal, n = sys.stderr.isatty(), 0

    def show(event: Event) -> None:
        nonlocal n
        n += 1
        bar.update()
        line, is_good = _line(event)
        if not quiet and not (on_terminal and is_good):
            say(f"[{n}/{total}] {line}", above=bar)

    return show


def _line(event: Event) -> tuple[str, bool]:
    """Summarize a slide in one line; the second value says whether it was called."""
    from napari_hagmil.evaluation.evaluate import SlideFailure

    name = event.record.name
    if isinstance(event, SlideFailure):
        return f"{name}: {event.state}: {event.why}", False
    called = event.result.prediction
    if called is None:
        return f"{name}: incomplete: {event.result.unread}", False
    best = float(called.probabilities.max())
    n = event.result.cost.patches_encoded
    return f"{name}: {called.predicted_class} {best:.3f}, {n} patches", True


PREDICT = Verb(
    "predict",
    PredictOptions,
    predict,
    "call slides from stored features, no labels needed",
)
