"""``evaluate``: a model on a cohort with labels."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tqdm import tqdm

from napari_hagmil.bundles import find_bundle
from napari_hagmil.cohort import Cohort, SlideRecord, read_cohort
from napari_hagmil.encoders import resolve_device
from napari_hagmil.errors import CohortError
from napari_hagmil.evaluation.evaluate import (
    SlideEvaluation,
    SlideFailure,
    Source,
    evaluate_cohort,
    live,
    stored,
)
from napari_hagmil.evaluation.files import (
    Evaluation,
    metrics_document,
    write_evaluation,
)
from napari_hagmil.evaluation.summary import Summary, summarise, youden_on
from napari_hagmil.files import require_writable
from napari_hagmil.models import CascadeModel, load_bundle
from napari_hagmil.prepare import load_model

#: Multiples of the model's budget: all of them where features are at hand, its own where every
#: further patch would have to be read.
_FACTORS_STORED, _FACTORS_LIVE = (0.25, 0.5, 1.0, 2.0, 4.0), (1.0,)


@dataclass(frozen=True)
class _Ready:
    model: CascadeModel
    source: Source
    factors: Sequence[float]
    chance: int | None = None


def evaluate(arguments: argparse.Namespace) -> int:
    """Run a model over the labelled slides of a cohort, and write how good it was."""
    ready = replace(_ready(arguments), chance=arguments.chance)
    classes = ready.model.config.classes
    cohort = read_cohort(
        arguments.cohort, classes=classes, files=arguments.store is None, every_class=False
    )
    split = arguments.split or _default_split(cohort)
    records = _chosen(cohort, split, arguments.cohort.name)
    require_writable(arguments.out)
    thresholds = _thresholds(arguments, cohort, ready, split)
    slides, failures = _run(records, ready, quiet=arguments.json)
    if not slides:
        raise CohortError("no slide could be evaluated", [failures[0].why])
    summary = summarise(slides, classes, thresholds=thresholds)
    evaluation = Evaluation(
        model=ready.model,
        cohort=arguments.cohort.name,
        split=split,
        source="slides" if arguments.store is None else "store",
        slides=slides,
        failures=failures,
        summary=summary,
        thresholds=thresholds,
    )
    write_evaluation(evaluation, arguments.out)
    if arguments.json:
        print(json.dumps(metrics_document(evaluation), ensure_ascii=False))
    else:
        print(f"{_describe(summary)}; files in {arguments.out}, begin with report.md")
    return 3 if failures else 0


def _ready(arguments: argparse.Namespace) -> _Ready:
    if arguments.store is None:
        model, encoder = load_model(arguments.model, device=arguments.device)
        source = live(model, encoder, mpp=arguments.mpp)
        return _Ready(model, source, arguments.factors or _FACTORS_LIVE)
    device = resolve_device(arguments.device)
    model = load_bundle(find_bundle(arguments.model), device=device)
    return _Ready(model, stored(arguments.store, model), arguments.factors or _FACTORS_STORED)


def _thresholds(
    arguments: argparse.Namespace, cohort: Cohort, ready: _Ready, split: str
) -> dict[str, dict[str, float]]:
    """The rules by which classes are called, beside the most probable."""
    config, rules = ready.model.config, {}
    if config.thresholds:
        rules["thresholds of the model"] = config.thresholds
    if arguments.youden:
        if split not in ("train", "test"):
            raise CohortError(
                "no threshold can be chosen",
                [f"slides of the split {split!r} would choose it for themselves; take test"],
            )
        chosen = _chosen(cohort, "val", arguments.cohort.name)
        slides, _ = _run(chosen, replace(ready, factors=(1.0,), chance=None), quiet=arguments.json)
        rules["Youden, chosen on validation"] = youden_on(slides, config.classes)
    return rules


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


def _run(
    records: Sequence[SlideRecord], ready: _Ready, *, quiet: bool
) -> tuple[list[SlideEvaluation], list[SlideFailure]]:
    """Evaluate slide by slide: a bar on a terminal, a line per slide elsewhere."""
    slides, failures = [], []
    events = evaluate_cohort(
        records, ready.model, ready.source, factors=ready.factors, chance=ready.chance
    )
    shown = sys.stderr.isatty()
    with tqdm(total=len(records), unit="slide", disable=not shown, leave=False) as bar:
        for n, event in enumerate(events, start=1):
            if isinstance(event, SlideFailure):
                failures.append(event)
            else:
                slides.append(event)
            if not quiet and (not shown or isinstance(event, SlideFailure)):
                bar.write(f"[{n}/{len(records)}] {_line(event)}", file=sys.stdout)
                sys.stdout.flush()
            bar.update()
    return slides, failures


def _line(event: SlideEvaluation | SlideFailure) -> str:
    if isinstance(event, SlideFailure):
        return f"{event.record.name}: failed: {event.why}"
    note = f" {event.note}" if event.note else ""
    return (
        f"{event.record.name}: {event.record.label}, called {event.called} "
        f"({event.probabilities.max():.3f}), {sum(event.own.encoded)} patches{note}"
    )


def _describe(summary: Summary) -> str:
    auc, called = summary.auc, summary.called[-1]
    area = "AUC not defined, as not every class has slides"
    if not math.isnan(auc.value):
        area = f"AUC {auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})"
    return (
        f"{summary.slides} slides: {area}, accuracy {called.accuracy.value:.3f}, "
        f"F1 {called.f1.value:.3f} ({called.rule})"
    )
