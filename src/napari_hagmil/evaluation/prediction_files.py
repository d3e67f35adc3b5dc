"""Write the files of ``predict``: a folder per slide, a table, a summary, and their manifest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from napari_hagmil.errors import OutputError, Remedy
from napari_hagmil.evaluation.evaluate import SlideFailure
from napari_hagmil.evaluation.predict import PatientCall, SlidePrediction
from napari_hagmil.export import write_nodes
from napari_hagmil.export.result_json import versions, write_result
from napari_hagmil.files import drafting, move, remove, write_csv
from napari_hagmil.ledger import write_manifest
from napari_hagmil.models import CascadeModel
from napari_hagmil.prepare import model_facts
from napari_hagmil.purpose import RESEARCH_USE

SCHEMA = "napari-hagmil/predictions/1"

#: What stands in the folder; the manifest comes last and says that the others are there.
FILES = ("slides", "predictions.csv", "patients.csv", "summary.json", "manifest.json")

#: What other verbs keep in their folders.
_OTHERS = ("run.json", "result.json", "metrics.json")

Event = SlidePrediction | SlideFailure


def write_predictions(
    events: Iterable[Event],
    model: CascadeModel,
    out: Path,
    *,
    on_slide: Callable[[Event], object] = lambda event: None,
    by_patient: Callable[[Sequence[Event]], Sequence[PatientCall]] = lambda events: (),
) -> dict[str, Any]:
    """Write predictions as they come, and put them in place when all are there.

    Parameters
    ----------
    events : iterable of SlidePrediction or SlideFailure
    model : CascadeModel
    out : Path
        A folder; earlier predictions in it are replaced, what else it holds stays.
    on_slide : callable
        Called with each event once it is written.
    by_patient : callable
        The events → what their patients are called; nothing: no table of patients.

    Returns
    -------
    dict
        The content of summary.json.

    Raises
    ------
    OutputError
        When the folder cannot be written, or holds what another verb wrote.
    """
    require_free(out)
    classes = model.config.classes
    with drafting(out) as draft:
        (draft / "slides").mkdir(parents=True)
        rows: list[list[Any]] = []
        seen: list[Event] = []
        for event in events:
            seen.append(event)
            rows.append(_row(event, classes))
            if isinstance(event, SlidePrediction):
                _write_slide(event, draft / "slides" / event.record.name)
            on_slide(event)
        header = ["slide", "patient", "state", "called", *(f"p_{name}" for name in classes)]
        header += ["patches_encoded", "patches_unread", "fingerprint", "class_set"]
        header += ["unfamiliarity", "why", "purpose"]
        write_csv(draft / "predictions.csv", header, rows)
        patients = by_patient(seen)
        if patients:
            write_patients(patients, classes, draft / "patients.csv")
        summary = _summary(model, rows)
        text = json.dumps(summary, indent=2, ensure_ascii=False)
        (draft / "summary.json").write_text(text + "\n", encoding="utf-8")
        write_manifest(draft)
        out.mkdir(exist_ok=True)
        for name in ("manifest.json", "patients.csv"):
            remove(out / name)
        for name in FILES:
            if (draft / name).exists():
                move(draft / name, out / name)
    return summary


def write_patients(calls: Sequence[PatientCall], classes: Sequence[str], path: Path) -> None:
    """Write patients.csv: what each patient is called; `OutputError` when that fails."""
    header = ["patient", "slides", "state", "called", *(f"p_{name}" for name in classes)]
    header += ["why", "purpose"]
    nothing = [""] * len(classes)
    rows = [
        [call.patient, call.slides, call.state, call.called]
        + (nothing if call.probabilities is None else [f"{p:.6f}" for p in call.probabilities])
        + [call.why, RESEARCH_USE]
        for call in calls
    ]
    write_csv(path, header, rows)


def require_free(out: Path) -> None:
    """Raise `OutputError` when predictions cannot be put into a folder."""
    if out.exists() and not out.is_dir():
        raise OutputError(
            out.name,
            "must be a folder, but is a file",
            remedy=Remedy("choose another folder", command_line="choose another --out"),
        )
    theirs = [name for name in _OTHERS if (out / name).exists()]
    if theirs:
        raise OutputError(
            str(out),
            f"holds {theirs[0]}, which another command wrote",
            remedy=Remedy("choose another folder", command_line="choose another --out"),
        )


def _write_slide(event: SlidePrediction, folder: Path) -> None:
    folder.mkdir()
    write_nodes(event.result, folder / "nodes.parquet", placed=event.is_placed)
    write_result(event.result, folder / "result.json")
    write_manifest(folder)


def _row(event: Event, classes: Sequence[str]) -> list[Any]:
    record = event.record
    if isinstance(event, SlideFailure):
        nothing = [""] * (len(classes) + 5)
        return [record.name, record.patient, event.state, "", *nothing, event.why, RESEARCH_USE]
    result = event.result
    called = result.prediction
    return [
        record.name,
        record.patient,
        result.state,
        called.predicted_class if called else "",
        *([f"{p:.6f}" for p in called.probabilities] if called else [""] * len(classes)),
        result.cost.patches_encoded,
        sum(len(stage.unread) for stage in result.stages),
        result.slide.fingerprint,
        " | ".join(result.uncertainty.class_set),
        _number(result.uncertainty.unfamiliarity),
        str(result.unread) if called is None else result.unfit,
        RESEARCH_USE,
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _summary(model: CascadeModel, rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "purpose": RESEARCH_USE,
        "model": asdict(model_facts(model)),
        "slides": len(rows),
        "states": dict(sorted(Counter(row[2] for row in rows).items())),
        "called": dict(sorted(Counter(row[3] for row in rows if row[3]).items())),
        "versions": versions(),
    }
