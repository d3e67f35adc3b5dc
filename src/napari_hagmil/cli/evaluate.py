"""``evaluate``: measure a model on a cohort with labels."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_hagmil.cli.terminal import answer, progress, say
from napari_hagmil.cli.verb import (
    Verb,
    code_option,
    cohort_argument,
    device_option,
    error_rate_option,
    json_option,
    memory_option,
    model_option,
    mpp_option,
    numbers,
    option,
    out_option,
    pseudonymise_option,
    switch,
    timeout_option,
    workers_option,
)
from napari_hagmil.errors import BundleError, CohortError

if TYPE_CHECKING:
    from napari_hagmil.batch.cohort_jobs import ModelOverSlides
    from napari_hagmil.cohort import Cohort, SlideRecord
    from napari_hagmil.evaluation.evaluate import SlideEvaluation, SlideFailure, Source
    from napari_hagmil.evaluation.files import Evaluation
    from napari_hagmil.evaluation.patients import PatientRule
    from napari_hagmil.evaluation.summary import Summary
    from napari_hagmil.models import CascadeModel, Endpoint

#: Multiples of the model's budget: all of them where features are stored, its own where every
#: further patch would have to be read.
_FACTORS_STORED, _FACTORS_LIVE = (0.25, 0.5, 1.0, 2.0, 4.0), (1.0,)


def _factors(text: str) -> tuple[float, ...]:
    factors = numbers(text)
    if not factors or not all(0 < factor < math.inf for factor in factors):
        raise argparse.ArgumentTypeError(f"{text!r} is not F,F,… with F above 0, as 0.5,1,2")
    return factors


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of ``evaluate``."""

    cohort: Path = cohort_argument()
    model: str = model_option()
    out: Path = out_option()
    store: Path | None = option(
        "--store",
        place="below",
        type=Path,
        metavar="DIR",
        help="read stored features instead of slides",
    )
    split: Literal["train", "val", "test", "all"] | None = option(
        "--split",
        choices=("train", "val", "test", "all"),
        help="which slides (default test where the table names test slides, else all)",
    )
    youden: bool = switch(
        "--youden", "also call by the threshold chosen on the table's validation slides"
    )
    factors: tuple[float, ...] | None = option(
        "--factors",
        type=_factors,
        metavar="F[,F…]",
        help="multiples of the model's budget to run with (default 0.25,0.5,1,2,4 with --store, "
        "else 1)",
    )
    chance: int | None = option(
        "--chance", type=int, metavar="SEED", help="also spend the budget at random"
    )
    patients: Literal["mean", "max", "bag", "choose"] | None = option(
        "--patients",
        choices=("mean", "max", "bag", "choose"),
        help="call patients, not slides: by the mean of their slides, by the slide least like the "
        "first class, or all slides as one; choose: as the validation slides decide",
    )
    error_rate: float | None = error_rate_option()
    device: str = device_option()
    allow_code: bool = code_option()
    mpp: float | None = mpp_option()
    workers: int | None = workers_option()
    timeout: float | None = timeout_option()
    memory: float | None = memory_option()
    pseudonymise: bool = pseudonymise_option()
    json: bool = json_option()


@dataclass(frozen=True)
class _Ready:
    asked: EvaluateOptions
    over: ModelOverSlides
    model: CascadeModel
    source: Source
    factors: tuple[float, ...]
    chance: int | None = None
    patients: PatientRule | None = None


def evaluate(options: EvaluateOptions) -> int:
    """Run a model over the labelled slides of a cohort, and write its metrics."""
    from napari_hagmil.evaluation.files import Evaluation
    from napari_hagmil.evaluation.summary import summarise
    from napari_hagmil.files import require_writable

    ready = _ready(options)
    if ready.model.config.endpoint is not None:
        return _evaluate_endpoint(options, ready, ready.model.config.endpoint)
    classes = ready.model.config.classes
    cohort = _cohort(options, classes)
    split = options.split or _default_split(cohort)
    records = _chosen(cohort, split, options.cohort.name)
    require_writable(options.out)
    rule, chosen_by = _patient_rule(options, cohort, ready, split)
    ready = replace(ready, patients=rule)
    limits = _thresholds(options, cohort, ready, split)
    slides, failures = _run_some(records, ready, quiet=options.json)
    evaluation = Evaluation(
        model=ready.model,
        cohort=options.cohort.name,
        split=split,
        source="slides" if options.store is None else "store",
        slides=slides,
        failures=failures,
        summary=summarise(slides, classes, thresholds=limits),
        thresholds=limits,
        error_rate=options.error_rate,
        patients=rule or "",
        patients_chosen_by=chosen_by,
    )
    _write(evaluation, options)
    return 3 if failures else 0


def _evaluate_endpoint(options: EvaluateOptions, ready: _Ready, endpoint: Endpoint) -> int:
    """Run a model of an endpoint over the slides of a cohort that were measured."""
    from napari_hagmil.cohort import read_cohort
    from napari_hagmil.evaluation.endpoint_files import (
        EndpointEvaluation,
        endpoint_document,
        write_endpoint_evaluation,
    )
    from napari_hagmil.files import require_writable

    _refuse_options_of_classes(options)
    files = options.store is None
    columns = endpoint.columns
    cohort = read_cohort(options.cohort, files=files, every_class=False, measured=columns)
    split = options.split or _default_split(cohort)
    records = _chosen(cohort, split, options.cohort.name)
    require_writable(options.out)
    slides, failures = _run_some(records, replace(ready, factors=(1.0,)), quiet=options.json)
    found = EndpointEvaluation(ready.model, options.cohort.name, split, slides, failures)
    write_endpoint_evaluation(found, options.out)
    if options.json:
        answer(endpoint_document(found))
    else:
        say(f"{found.told()}; files in {options.out}, begin with report.md")
    return 3 if failures else 0


def _refuse_options_of_classes(options: EvaluateOptions) -> None:
    for name in ("youden", "factors", "chance", "patients", "error_rate"):
        value = getattr(options, name)
        if value is not None and value is not False:
            raise BundleError(
                f"the model {options.model}",
                f"predicts an endpoint, on which --{name.replace('_', '-')} has no effect",
                remedy="leave that option out",
            )


def _cohort(options: EvaluateOptions, classes: Sequence[str]) -> Cohort:
    from napari_hagmil.cohort import read_cohort

    files = options.store is None
    return read_cohort(options.cohort, classes=classes, files=files, every_class=False)


def _write(evaluation: Evaluation, options: EvaluateOptions) -> None:
    from napari_hagmil.evaluation.files import metrics_document, write_evaluation

    write_evaluation(evaluation, options.out)
    if options.json:
        answer(metrics_document(evaluation))
    else:
        units = "patients" if evaluation.patients else "slides"
        say(f"{_describe(evaluation.summary, units)}; files in {options.out}, begin with report.md")


def _ready(options: EvaluateOptions) -> _Ready:
    from napari_hagmil.batch.cohort_jobs import ModelOverSlides

    over = ModelOverSlides(
        options.model, options.device, options.store, options.mpp, endpoints=True
    )
    usual = _FACTORS_LIVE if options.store is None else _FACTORS_STORED
    return _Ready(options, over, *over.load(), options.factors or usual, options.chance)


def _thresholds(
    options: EvaluateOptions, cohort: Cohort, ready: _Ready, split: str
) -> dict[str, dict[str, float]]:
    """The rules by which classes are called, beside the most probable."""
    from napari_hagmil.evaluation.summary import youden_on

    config, rules = ready.model.config, {}
    if config.thresholds:
        rules["thresholds of the model"] = config.thresholds
    if options.youden:
        if split not in ("train", "test"):
            raise CohortError(
                "no threshold can be chosen",
                [f"slides of the split {split!r} would choose it for themselves; take test"],
            )
        chosen = _chosen(cohort, "val", options.cohort.name)
        slides, _ = _run(chosen, replace(ready, factors=(1.0,), chance=None), quiet=options.json)
        rules["Youden, chosen on validation"] = youden_on(slides, config.classes)
    return rules


def _patient_rule(
    options: EvaluateOptions, cohort: Cohort, ready: _Ready, split: str
) -> tuple[PatientRule | None, dict[str, float]]:
    """Choose the rule by which patients are called, and return the validation AUC of each rule."""
    from napari_hagmil.evaluation.patients import RULES, best_rule

    if options.patients != "choose":
        return options.patients, {}
    if split not in ("train", "test"):
        raise CohortError(
            "no rule for patients can be chosen",
            [f"slides of the split {split!r} would choose it for themselves; take test"],
        )
    chosen = _chosen(cohort, "val", options.cohort.name)
    plain = replace(ready, factors=(1.0,), chance=None)
    found = {}
    for rule in RULES:
        found[rule], _ = _run_some(chosen, replace(plain, patients=rule), quiet=True)
    return best_rule(found, ready.model.config.classes)


def _default_split(cohort: Cohort) -> str:
    return "test" if any(record.split == "test" for record in cohort.records) else "all"


def _chosen(cohort: Cohort, split: str, name: str) -> list[SlideRecord]:
    records = [record for record in cohort.records if split in ("all", record.split)]
    if not records:
        raise CohortError(
            f"{name} cannot be used",
            [f"it has no slide of the split {split!r}; fill in the column"],
        )
    return records


def _run_some(
    records: Sequence[SlideRecord], ready: _Ready, *, quiet: bool
) -> tuple[list[SlideEvaluation], list[SlideFailure]]:
    """As `_run`; raises when nothing could be evaluated."""
    slides, failures = _run(records, ready, quiet=quiet)
    if not slides:
        raise CohortError("no slide could be evaluated", [failures[0].why])
    return slides, failures


def _run(
    records: Sequence[SlideRecord], ready: _Ready, *, quiet: bool
) -> tuple[list[SlideEvaluation], list[SlideFailure]]:
    """Evaluate slide by slide, or patient by patient."""
    from napari_hagmil.evaluation.patients import (
        caller,
        patient_bags,
        patient_record,
        pooled_evaluations,
        slides_by_patient,
    )

    config = ready.model.config
    if ready.patients == "bag":
        groups = slides_by_patient(records)
        source, over = patient_bags(ready.source, groups), replace(ready.over, bags=tuple(records))
        ready = replace(ready, source=source, over=over)
        records = [patient_record(slides, config.classes) for slides in groups.values()]
    slides, failures = _run_each(records, ready, quiet=quiet)
    if ready.patients in (None, "bag"):
        return slides, failures
    call = caller(config.classes, config.thresholds)
    return pooled_evaluations(slides, failures, ready.patients, call, config.classes)


def _run_each(
    records: Sequence[SlideRecord], ready: _Ready, *, quiet: bool
) -> tuple[list[SlideEvaluation], list[SlideFailure]]:
    """Evaluate one by one: a bar on a terminal, a line each elsewhere."""
    from napari_hagmil.evaluation.evaluate import SlideFailure

    slides, failures = [], []
    shown = sys.stderr.isatty()
    with progress("slide", len(records)) as bar:
        for n, event in enumerate(_events(records, ready), start=1):
            if isinstance(event, SlideFailure):
                failures.append(event)
            else:
                slides.append(event)
            if not quiet and (not shown or isinstance(event, SlideFailure)):
                say(f"[{n}/{len(records)}] {_line(event)}", above=bar)
            bar.update()
    return slides, failures


def _events(
    records: Sequence[SlideRecord], ready: _Ready
) -> Iterator[SlideEvaluation | SlideFailure]:
    """Evaluate here, or by processes where any were asked for."""
    from napari_hagmil.batch.cohort_jobs import EvaluateJob, over_cohort
    from napari_hagmil.batch.pool import pool_for
    from napari_hagmil.evaluation.evaluate import evaluate_cohort

    factors, chance = ready.factors, ready.chance
    with pool_for(EvaluateJob(ready.over, factors, chance), ready.asked) as pool:
        if pool is None:
            yield from evaluate_cohort(
                records, ready.model, ready.source, factors=factors, chance=chance
            )
        else:
            yield from over_cohort(records, pool)  # type: ignore[misc]


def _line(event: SlideEvaluation | SlideFailure) -> str:
    from napari_hagmil.evaluation.evaluate import SlideFailure

    if isinstance(event, SlideFailure):
        return f"{event.record.name}: failed: {event.why}"
    note = f" {event.note}" if event.note else ""
    if event.record.measured:
        outputs = ", ".join(f"{value:.3f}" for value in event.outputs)
        return f"{event.record.name}: outputs {outputs}, {sum(event.own.encoded)} patches{note}"
    return (
        f"{event.record.name}: {event.record.label}, called {event.called} "
        f"({event.probabilities.max():.3f}), {sum(event.own.encoded)} patches{note}"
    )


def _describe(summary: Summary, units: str) -> str:
    auc, called = summary.auc, summary.called[-1]
    area = "AUC not defined, as not every class has slides"
    if not math.isnan(auc.value):
        area = f"AUC {auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})"
    return (
        f"{summary.slides} {units}: {area}, accuracy {called.accuracy.value:.3f}, "
        f"F1 {called.f1.value:.3f} ({called.rule})"
    )


EVALUATE = Verb(
    "evaluate",
    EvaluateOptions,
    evaluate,
    "measure a model on a labelled cohort: tables and figures",
)
