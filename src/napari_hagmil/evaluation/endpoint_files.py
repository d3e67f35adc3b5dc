"""Measure a model of an endpoint on slides, and write what was found: metrics, table, page."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from napari_hagmil.escaping import in_markdown
from napari_hagmil.evaluation.endpoints import intervals
from napari_hagmil.evaluation.evaluate import SlideEvaluation, SlideFailure
from napari_hagmil.evaluation.metrics import Interval
from napari_hagmil.export.result_json import versions
from napari_hagmil.files import drafting, move, remove, write_csv
from napari_hagmil.ledger import write_manifest
from napari_hagmil.models import CascadeModel, Endpoint
from napari_hagmil.purpose import RESEARCH_USE

SCHEMA = "napari-hagmil/endpoint-metrics/1"

#: Written last: they declare the other files complete.
_LAST = ("metrics.json", "manifest.json")

#: Metric → what a page calls it; of several targets the plain name is their mean.
WORDS = {
    "c_index": "c-index",
    "r2": "R²",
    "pearson": "correlation",
    "mae": "mean absolute error",
    "auc": "AUC",
    "auprc": "AUPRC",
}


@dataclass(frozen=True)
class EndpointEvaluation:
    """A model of an endpoint on the slides of a cohort.

    Attributes
    ----------
    model : CascadeModel
    cohort, split : str
        The table's file name, and which of its slides.
    slides, failures : sequences
    """

    model: CascadeModel
    cohort: str
    split: str
    slides: Sequence[SlideEvaluation]
    failures: Sequence[SlideFailure]

    @property
    def endpoint(self) -> Endpoint:
        """What the model predicts; raise where that is a class."""
        endpoint = self.model.config.endpoint
        if endpoint is None:
            raise ValueError("the model predicts classes; evaluate it as such")
        return endpoint

    @cached_property
    def metrics(self) -> dict[str, Interval]:
        """See `evaluation.endpoints.intervals`."""
        outputs = [slide.outputs for slide in self.slides]
        measured = [slide.record.measured for slide in self.slides]
        patients = [slide.record.patient for slide in self.slides]
        return intervals(self.endpoint, outputs, measured, patients)

    @property
    def patches(self) -> float:
        """Looked at per slide, all depths."""
        return float(np.mean([sum(slide.own.encoded) for slide in self.slides]))

    def told(self) -> str:
        """The first metric, in a line for people."""
        name, value = next(iter(self.metrics.items()))
        return f"{len(self.slides)} slides: {_words(name)} {_text(value)}"


def write_endpoint_evaluation(evaluation: EndpointEvaluation, out: Path) -> None:
    """Write metrics.json, predictions.csv and report.md into a folder, the first of them last."""
    with drafting(out) as draft:
        draft.mkdir()
        _write_predictions(evaluation, draft / "predictions.csv")
        (draft / "report.md").write_text("\n".join(_report(evaluation)) + "\n", encoding="utf-8")
        text = json.dumps(endpoint_document(evaluation), indent=2, ensure_ascii=False)
        (draft / "metrics.json").write_text(text + "\n", encoding="utf-8")
        write_manifest(draft)
        out.mkdir(exist_ok=True)
        for name in _LAST:
            remove(out / name)
        for name in ("predictions.csv", "report.md", *_LAST):
            move(draft / name, out / name)


def endpoint_document(evaluation: EndpointEvaluation) -> dict[str, Any]:
    """All figures, in plain JSON types; undefined ones are null."""
    config = evaluation.model.config
    return {
        "schema": SCHEMA,
        "purpose": RESEARCH_USE,
        "model": {
            "name": config.name,
            "sha256": evaluation.model.sha256,
            "encoder": config.encoder.name,
            "budget": list(config.budget),
        },
        "endpoint": {
            "kind": evaluation.endpoint.kind,
            "columns": list(evaluation.endpoint.columns),
            "outputs": list(evaluation.endpoint.outputs),
        },
        "cohort": evaluation.cohort,
        "split": evaluation.split,
        "slides": len(evaluation.slides),
        "patients": len({slide.record.patient for slide in evaluation.slides}),
        "metrics": {
            name: {key: value if math.isfinite(value) else None for key, value in found.items()}
            for name, found in ((n, one._asdict()) for n, one in evaluation.metrics.items())
        },
        "patches": evaluation.patches,
        "failed": [{"slide": f.record.name, "why": f.why} for f in evaluation.failures],
        "versions": versions(),
    }


def _write_predictions(evaluation: EndpointEvaluation, path: Path) -> None:
    """A row per slide: what was measured, what the model says, the cost."""
    endpoint = evaluation.endpoint
    read = endpoint.readings([slide.outputs for slide in evaluation.slides])
    header = ["slide", "patient", *endpoint.columns, *read, "patches_encoded", "purpose"]
    rows = [
        [slide.record.name, slide.record.patient]
        + [f"{value:g}" for value in slide.record.measured]
        + [f"{column[i]:.6g}" for column in read.values()]
        + [sum(slide.own.encoded), RESEARCH_USE]
        for i, slide in enumerate(evaluation.slides)
    ]
    write_csv(path, header, rows)


def _report(evaluation: EndpointEvaluation) -> Iterator[str]:
    """The page, line by line, in Markdown."""
    config = evaluation.model.config
    yield f"# {in_markdown(f'{config.name} on {evaluation.cohort}')}"
    yield ""
    yield (
        f"{len(evaluation.slides)} slides ({in_markdown(evaluation.split)}); measured: "
        f"{in_markdown(', '.join(evaluation.endpoint.columns))}; model "
        f"{evaluation.model.sha256[:12]}, encoder {in_markdown(config.encoder.name)}, budget "
        f"{', '.join(map(str, config.budget)) or 'none'}. Intervals: 95 %, bootstrap over "
        f"patients. {RESEARCH_USE}"
    )
    yield ""
    yield "| figure | value (95 % interval) |"
    yield "|---|---|"
    for name, value in evaluation.metrics.items():
        yield f"| {in_markdown(_words(name))} | {_text(value)} |"
    yield f"| patches encoded per slide | {evaluation.patches:.0f} |"
    if evaluation.failures:
        yield f"\n## Not evaluated: {len(evaluation.failures)} slides\n"
        for failure in evaluation.failures:
            yield f"- {in_markdown(f'{failure.record.name}: {failure.why}')}"


def _words(name: str) -> str:
    """What a metric is called; of one target with its name: ``mae_ki67``."""
    known = next(key for key in WORDS if name == key or name.startswith(f"{key}_"))
    target = name.removeprefix(known).removeprefix("_")
    return f"{WORDS[known]}, {target}" if target else WORDS[known]


def _text(value: Interval) -> str:
    numbers = ["–" if math.isnan(one) else f"{one:.3f}" for one in value]
    return f"{numbers[0]} ({numbers[1]} to {numbers[2]})"
