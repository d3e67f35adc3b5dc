"""Write the files of an evaluation: metrics as JSON, tables, figures, and a page of them all."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from napari_hagmil.errors import OutputError, Remedy
from napari_hagmil.escaping import in_markdown
from napari_hagmil.evaluation.classification import f1_name
from napari_hagmil.evaluation.evaluate import SlideEvaluation, SlideFailure
from napari_hagmil.evaluation.figures import froc_png, reliability_png, roc_png
from napari_hagmil.evaluation.metrics import Interval
from napari_hagmil.evaluation.reliance import Reliance, class_set, reliance
from napari_hagmil.evaluation.summary import Called, Summary, labels_of
from napari_hagmil.export.result_json import versions
from napari_hagmil.files import drafting, move, remove, write_csv
from napari_hagmil.ledger import write_manifest
from napari_hagmil.models import CascadeModel
from napari_hagmil.purpose import RESEARCH_USE

SCHEMA = "napari-hagmil/metrics/1"

#: Written last: they declare the other files complete.
_LAST = ("metrics.json", "manifest.json")


@dataclass(frozen=True)
class Evaluation:
    """An evaluation, ready to be written.

    Attributes
    ----------
    model : CascadeModel
    cohort : str
        The table's file name.
    split : str
        Which of its slides: "test", "all" …
    source : str
        "store", or "slides".
    slides, failures : sequences
    summary : Summary
    thresholds : mapping
        As `summarise` took them.
    error_rate : float or None
        Of the sets of classes; by default 0.1.
    patients : str
        The rule by which patients were called; "" where slides were.
    patients_chosen_by : mapping
        AUC over validation patients of each rule, where these chose it.
    """

    model: CascadeModel
    cohort: str
    split: str
    source: str
    slides: Sequence[SlideEvaluation]
    failures: Sequence[SlideFailure]
    summary: Summary
    thresholds: Mapping[str, Mapping[str, float]]
    error_rate: float | None = None
    patients: str = ""
    patients_chosen_by: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def reliance(self) -> Reliance | None:
        """How far what the bundle says held; None of patients, and where it says nothing."""
        if self.patients:
            return None
        return reliance(self.slides, self.model.config, self.error_rate)


def write_evaluation(evaluation: Evaluation, out: Path) -> None:
    """Write every file of an evaluation into a folder.

    They are made beside it and moved in when all are there, metrics.json and the manifest last;
    other files in the folder stay.

    Raises
    ------
    OutputError
        When the folder cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(
            out.name,
            "must be a folder, but is a file",
            remedy=Remedy("choose another folder", command_line="choose another --out"),
        )
    with drafting(out) as draft:
        draft.mkdir()
        _write_tables(evaluation, draft)
        _write_figures(evaluation, draft)
        (draft / "report.md").write_text("\n".join(_report(evaluation)) + "\n", encoding="utf-8")
        text = json.dumps(metrics_document(evaluation), indent=2, ensure_ascii=False)
        (draft / "metrics.json").write_text(text + "\n", encoding="utf-8")
        write_manifest(draft)
        out.mkdir(exist_ok=True)
        for name in _LAST:
            remove(out / name)
        # Files of an earlier evaluation beside newer figures would be taken for theirs.
        remove(out / "froc.png")
        remove(out / "lesions.csv")
        rest = [path.name for path in draft.iterdir() if path.name not in _LAST]
        for name in (*rest, *_LAST):
            move(draft / name, out / name)


def metrics_document(evaluation: Evaluation) -> dict[str, Any]:
    """All figures, in plain JSON types; undefined ones are null."""
    model = evaluation.model
    return {
        "schema": SCHEMA,
        "purpose": RESEARCH_USE,
        "model": {
            "name": model.config.name,
            "sha256": model.sha256,
            "encoder": model.config.encoder.name,
            "budget": list(model.config.budget),
        },
        "cohort": evaluation.cohort,
        "split": evaluation.split,
        "source": evaluation.source,
        "unit": "patient" if evaluation.patients else "slide",
        "patients_by": evaluation.patients or None,
        "patients_chosen_by": {
            rule: _plain(auc) for rule, auc in evaluation.patients_chosen_by.items()
        },
        "thresholds": {rule: dict(limits) for rule, limits in evaluation.thresholds.items()},
        **_plain(evaluation.summary),
        "uncertainty": _plain(evaluation.reliance),
        "fingerprints": {slide.record.name: slide.fingerprint for slide in evaluation.slides},
        "failed": [{"slide": f.record.name, "why": f.why} for f in evaluation.failures],
        "versions": versions(),
    }


def _plain(value: Any) -> Any:
    """Dataclasses, arrays and intervals as JSON knows them."""
    if isinstance(value, Interval):
        return {name: _plain(number) for name, number in value._asdict().items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _write_tables(evaluation: Evaluation, folder: Path) -> None:
    classes = evaluation.summary.classes
    header = ["slide", "patient", "label", "called", *(f"p_{name}" for name in classes)]
    rows = [
        [s.record.name, s.record.patient, s.record.label, s.called]
        + [f"{p:.6f}" for p in s.probabilities]
        + [sum(s.own.encoded), sum(s.tissue)]
        + [s.own.encoded[-1], s.tissue[len(s.own.encoded) - 1], f"{s.seconds:.3f}"]
        + [*_doubts(s, evaluation), RESEARCH_USE]
        for s in evaluation.slides
    ]
    header += ["patches_encoded", "patches_tissue", "finest_encoded", "finest_tissue", "seconds"]
    header += ["class_set", "unfamiliarity", "purpose"]
    write_csv(folder / "predictions.csv", header, rows)
    confusion = evaluation.summary.called[-1].confusion
    lines = [[name, *row] for name, row in zip(classes, confusion.tolist(), strict=True)]
    write_csv(folder / "confusion.csv", ["label \\ called", *classes], lines)
    points = [asdict(point) for point in evaluation.summary.budgets]
    write_csv(folder / "budgets.csv", list(points[0]), [list(p.values()) for p in points])
    if evaluation.summary.lesions:
        _write_lesions(evaluation, folder / "lesions.csv")


def _doubts(slide: SlideEvaluation, evaluation: Evaluation) -> list[int | str]:
    """The set of classes, and the distance from the training's slides as a share of the limit."""
    if evaluation.reliance is None:
        return ["", ""]
    config = evaluation.model.config
    seen, distance = config.familiarity, slide.distance
    far = "" if seen is None or distance is None else f"{distance / seen.limit:.3f}"
    return [" | ".join(class_set(slide, config, evaluation.reliance.error_rate)), far]


def _write_lesions(evaluation: Evaluation, path: Path) -> None:
    """Every lesion: its size, and whether a patch of each depth met it."""
    depths = [f"met_depth{depth}" for depth in range(len(evaluation.summary.lesion_recall))]
    rows = [
        [slide.record.name, number, f"{size:.1f}"]
        # A slide that ends at a coarser depth leaves the finer ones empty.
        + [int(met[number - 1]) for met in slide.own.lesions]
        + [""] * (len(depths) - len(slide.own.lesions))
        + ["" if slide.chance is None else int(slide.chance.lesions[-1][number - 1])]
        for slide in evaluation.slides
        for number, size in enumerate(slide.diameters_um, start=1)
    ]
    write_csv(path, ["slide", "lesion", "diameter_um", *depths, "met_by_chance"], rows)


def _write_figures(evaluation: Evaluation, folder: Path) -> None:
    summary, slides = evaluation.summary, evaluation.slides
    labels = labels_of(slides, summary.classes)
    probabilities = np.stack([slide.probabilities for slide in slides])
    (folder / "roc.png").write_bytes(roc_png(summary.classes, labels, probabilities))
    (folder / "reliability.png").write_bytes(reliability_png(summary.calibration))
    if summary.lesions and len(summary.budgets) > 1:
        (folder / "froc.png").write_bytes(froc_png(summary.budgets, summary.tissue))


def _report(evaluation: Evaluation) -> Iterator[str]:
    """The page, line by line, in Markdown."""
    summary, config = evaluation.summary, evaluation.model.config
    yield f"# {in_markdown(f'{config.name} on {evaluation.cohort}')}"
    yield ""
    yield (
        f"{_counted(evaluation)} "
        f"({in_markdown(evaluation.split)}), read from {in_markdown(evaluation.source)}; "
        f"model {evaluation.model.sha256[:12]}, encoder {in_markdown(config.encoder.name)}, "
        f"budget {', '.join(map(str, config.budget)) or 'none'}. "
        "Intervals: 95 %, bootstrap over patients. " + RESEARCH_USE
    )
    yield ""
    yield "| figure | value | 95 % interval |"
    yield "|---|---|---|"
    yield _row("AUC" + (", mean over classes" if len(summary.classes) > 2 else ""), summary.auc)
    for called in summary.called:
        yield _row(f"accuracy, {called.rule}", called.accuracy)
        yield _row(f"{f1_name(summary.classes)}, {called.rule}", called.f1)
        if len(summary.classes) == 2:
            yield _row(f"F1, mean over classes, {called.rule}", called.macro_f1)
    yield f"| expected calibration error | {summary.calibration.ece:.3f} | |"
    yield f"| Brier score | {summary.calibration.brier:.3f} | |"
    yield from _reliance(evaluation)
    yield f"| patches encoded per slide | {_own(summary):.0f} of {summary.tissue:.0f} | |"
    yield f"| seconds per slide | {summary.seconds:.2f} | |"
    yield from _depths(summary)
    yield from _chance(summary)
    yield from _confusion(summary.called[-1], summary.classes)
    yield "\n![ROC](roc.png) ![reliability](reliability.png)"
    yield from _budgets(summary)
    yield from _failures(evaluation.failures)


def _reliance(evaluation: Evaluation) -> Iterator[str]:
    """What the bundle says of its answers, in the table of figures."""
    found = evaluation.reliance
    if found is None:
        return
    yield f"| expected calibration error, uncalibrated | {found.uncalibrated.ece:.3f} | |"
    yield f"| Brier score, uncalibrated | {found.uncalibrated.brier:.3f} | |"
    yield _row(f"class in its set, at an error rate of {found.error_rate:g}", found.coverage)
    yield f"| classes in a set | {found.set_size:.2f} | |"
    if evaluation.model.config.familiarity:
        n, slides = len(found.unfamiliar), evaluation.summary.slides
        yield f"| slides unlike those of the training | {n} of {slides} | |"


def _counted(evaluation: Evaluation) -> str:
    n, summary = evaluation.summary.patients, evaluation.summary
    if not evaluation.patients:
        return f"{summary.slides} slides of {n} patients"
    chosen = ", as validation patients chose" if evaluation.patients_chosen_by else ""
    return f"{n} patients, each called once by the rule {evaluation.patients}{chosen}"


def _own(summary: Summary) -> float:
    return next(point.encoded for point in summary.budgets if point.factor == 1)


def _row(name: str, interval: Interval) -> str:
    value, low, high = map(_text, (interval.value, interval.low, interval.high))
    return f"| {in_markdown(name)} | {value} | {low} to {high} |"


def _text(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _depths(summary: Summary) -> Iterator[str]:
    yield "\n## By depth\n"
    columns = ["AUC if it decided"]
    values = [summary.depth_auc]
    if summary.lesions:
        columns += [f"lesions met, of {summary.lesions}", "attention AUC, inside against outside"]
        values += [summary.lesion_recall, summary.attention_auc]
    yield f"| depth | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for depth, row in enumerate(zip(*values, strict=True)):
        yield f"| {depth} | {' | '.join(map(_text, row))} |"


def _chance(summary: Summary) -> Iterator[str]:
    if summary.chance is not None:
        yield (
            f"\nThe same budget spent at random: AUC {_text(summary.chance.auc)}, lesions met "
            f"{_text(summary.chance.lesion_recall)}."
        )


def _confusion(called: Called, classes: Sequence[str]) -> Iterator[str]:
    yield f"\n## Confusion, {in_markdown(called.rule)}\n"
    yield f"| | {' | '.join(f'called {in_markdown(name)}' for name in classes)} | F1 |"
    yield "|---" * (len(classes) + 2) + "|"
    for name, row, f1 in zip(classes, called.confusion, called.class_f1, strict=True):
        yield f"| {in_markdown(name)} | {' | '.join(map(str, row))} | {_text(float(f1))} |"


def _budgets(summary: Summary) -> Iterator[str]:
    if len(summary.budgets) < 2:
        return
    yield "\n## Over budgets\n"
    yield "| budget | patches encoded per slide | AUC | lesions met |"
    yield "|---|---|---|---|"
    for p in summary.budgets:
        recall = _text(p.lesion_recall)
        yield f"| {p.factor:g} × k | {p.encoded:.0f} | {_text(p.auc)} | {recall} |"
    if summary.lesions:
        yield "\n![lesions met against patches encoded](froc.png)"


def _failures(failures: Sequence[SlideFailure]) -> Iterator[str]:
    if failures:
        yield f"\n## Not evaluated: {len(failures)} slides\n"
        yield from (
            f"- {in_markdown(f'{failure.record.name}: {failure.why}')}" for failure in failures
        )
