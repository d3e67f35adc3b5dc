"""The paper's Figure 3: AUC, F1 and accuracy against k, of training and of inference alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from napari_hagmil.files import replacing, write_csv
from napari_hagmil.training.protocol.plan import Protocol
from napari_hagmil.training.protocol.runs import RunRecord

#: Group of the methods that are trained, and read, with another k each.
GROUP = "k in training"
CURVES = {"training": "k in training and at inference", "inference": "k at inference only"}
PANELS = {"auc": "AUC", "f1": "F1", "accuracy": "accuracy"}


def figure3_rows(protocol: Protocol, records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """Mean and deviation (n − 1) of each figure by curve and k, in the order of k.

    The curve of training has the methods of the group "k in training" and the method that these are
    variations of, the first; the curve of inference that method's sweep. Without such a group
    there is no figure.
    """
    if not any(method.group == GROUP for method in protocol.methods):
        return []
    points: dict[tuple[str, int], list[Mapping[str, float]]] = {}
    for curve, k, figures in _points(protocol, records):
        points.setdefault((curve, k), []).append(figures)
    suffix = "_youden" if protocol.threshold == "youden" else ""
    return [_row(curve, k, points[curve, k], suffix) for curve, k in sorted(points)]


def _points(
    protocol: Protocol, records: Sequence[RunRecord]
) -> Iterator[tuple[str, int, Mapping[str, float]]]:
    """Curve, the k of the coarsest depth, and figures, of every run."""
    subject = protocol.methods[0].name
    trained = {subject, *(m.name for m in protocol.methods if m.group == GROUP)}
    for record in records:
        if record.method in trained and record.budget:
            yield "training", record.budget[0], record.figures
        if record.method == subject:
            for entry in record.sweep:
                yield "inference", entry["budget"][0], entry


def _row(curve: str, k: int, figures: Sequence[Mapping[str, float]], suffix: str) -> dict[str, Any]:
    row: dict[str, Any] = {"curve": curve, "k": k, "runs": len(figures)}
    for name in PANELS:
        key = name if name == "auc" else name + suffix
        values = np.array([one[key] for one in figures])
        row[name] = float(values.mean())
        row[f"{name}_sd"] = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return row


def write_figure3(out: Path, rows: Sequence[dict[str, Any]]) -> list[Path]:
    """Write ``figure3.csv`` and ``figure3.png``."""
    written = [out / "figure3.csv", out / "figure3.png"]
    write_csv(written[0], list(rows[0]), [list(row.values()) for row in rows])
    figure = Figure(figsize=(9.6, 3.3), layout="constrained")
    for i, (name, title) in enumerate(PANELS.items(), start=1):
        axes = figure.add_subplot(1, len(PANELS), i)
        for (curve, label), colour in zip(CURVES.items(), ("#0072B2", "#D55E00"), strict=True):
            some = [row for row in rows if row["curve"] == curve]
            if some:
                k, value, spread = ([row[key] for row in some] for key in ("k", name, f"{name}_sd"))
                axes.errorbar(k, value, spread, marker="o", capsize=2, label=label, color=colour)
        axes.set_xlabel("k")
        axes.set_ylabel(title)
        if i == 1:
            figure.legend(loc="outside upper center", ncols=len(CURVES), frameon=False)
    with replacing(written[1]) as draft:
        figure.savefig(draft, format="png", dpi=140)
    return written
