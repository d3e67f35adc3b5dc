"""The paper's tables and its Figure 3, from the records of a protocol's runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from napari_hagmil.escaping import in_figure, in_markdown
from napari_hagmil.evaluation.classification import f1_name
from napari_hagmil.files import replacing, write_csv
from napari_hagmil.purpose import RESEARCH_USE
from napari_hagmil.training.protocol.figure3 import GROUP, figure3_rows, write_figure3
from napari_hagmil.training.protocol.plan import Protocol, Threshold
from napari_hagmil.training.protocol.printed import Column, Line, Table, latex, markdown
from napari_hagmil.training.protocol.runs import RunRecord

#: Figure → column, and whether more is better; None: neither, it is a cost.
COLUMNS: dict[str, tuple[str, bool | None]] = {
    "c_index": ("c-index", True),
    "r2": ("R²", True),
    "pearson": ("r", True),
    "auc": ("AUC", True),
    "auprc": ("AUPRC", True),
    "f1": ("F1", True),
    "accuracy": ("accuracy", True),
    "f1_youden": ("F1 (Youden)", True),
    "accuracy_youden": ("accuracy (Youden)", True),
    "patches": ("patches per slide", None),
    "seconds": ("model seconds per slide", None),
}

#: What is printed of slides called by Youden's threshold; the others stand in the CSV.
BY_YOUDEN = ("auc", "auprc", "f1_youden", "accuracy_youden", "patches", "seconds")

#: Figures that stand in the CSV only.
MORE_COLUMNS = ("mae", "f1_macro", "threshold")

#: The figure that a run is told by: the first that it has.
HEADLINES = {"auc": "AUC", "c_index": "c-index", "r2": "R²"}

TITLES = {
    "method": "Table 1: methods",
    "ablation": "Table 3: ablations",
    "control": "Controls",
    GROUP: "Figure 3: k in training",
}


@dataclass(frozen=True)
class MethodRow:
    """A method's figures over its runs: mean and standard deviation (n − 1); `k` for people."""

    name: str
    group: str
    mean: dict[str, float]
    deviation: dict[str, float]
    runs: int
    k: str = ""


def method_rows(protocol: Protocol, records: Sequence[RunRecord]) -> list[MethodRow]:
    """One row per method that has runs, in the protocol's order."""
    rows = []
    for method in protocol.methods:
        runs = [record.figures for record in records if record.method == method.name]
        names = [name for name in (*COLUMNS, *MORE_COLUMNS) if runs and name in runs[0]]
        values = {name: np.array([run[name] for run in runs]) for name in names}
        spread = {n: float(v.std(ddof=1)) if len(v) > 1 else 0.0 for n, v in values.items()}
        mean = {n: float(v.mean()) for n, v in values.items()}
        if runs:
            mine = [record for record in records if record.method == method.name]
            rows.append(MethodRow(method.name, method.group, mean, spread, len(runs), _k(mine)))
    return rows


def headline(figures: Mapping[str, float]) -> str:
    """The figure of a run that stands for it, in words."""
    name = next(name for name in HEADLINES if name in figures)
    return f"{HEADLINES[name]} {figures[name]:.3f}"


def _k(records: Sequence[RunRecord]) -> str:
    """K in use, and that of training where it is another; of each run, where they differ."""
    found = []
    for record in records:
        used, trained = (", ".join(map(str, k)) for k in (record.budget, record.training_budget))
        found.append(used if used == trained else f"{used} (trained: {trained})")
    return "; ".join(dict.fromkeys(found))


def printed_tables(
    rows: Sequence[MethodRow], threshold: Threshold = "most probable"
) -> list[Table]:
    """One table per group, with the improvement of the first method over the best other."""
    tables = []
    shown = BY_YOUDEN if threshold == "youden" else tuple(COLUMNS)
    for group in dict.fromkeys(row.group for row in rows):
        some = [row for row in rows if row.group == group]
        columns = tuple(
            Column(name, title, better)
            for name, (title, better) in COLUMNS.items()
            if name in shown and any(name in row.mean for row in some)
        )
        has_k = any(row.k for row in some)
        lines = tuple(
            Line(
                row.name,
                (row.k,) if has_k else (),
                {name: (row.mean[name], row.deviation[name]) for name in row.mean}
                | {"runs": (float(row.runs), 0.0)},
            )
            for row in some
        )
        columns += (Column("runs", "runs", None),)
        words = ("k",) if has_k else ()
        subject = some[0].name if group == "method" and len(some) > 1 else ""
        tables.append(Table(TITLES.get(group, group), columns, lines, words, subject))
    return tables


def as_markdown(rows: Sequence[MethodRow], protocol: Protocol, classes: Sequence[str] = ()) -> str:
    """The tables in Markdown, and in words what F1 and the deviation are of."""
    said = [f"{in_markdown(f1_name(classes))}."] if classes else []
    if protocol.threshold == "youden":
        said.append("Slides are called by Youden's threshold, chosen on the validation slides.")
    if any(row.runs > 1 for row in rows):
        said.append(f"± is the standard deviation over runs {_resampled(protocol)}.")
    tables = printed_tables(rows, protocol.threshold)
    return "\n".join([" ".join([*said, RESEARCH_USE]) + "\n", *map(markdown, tables)])


def _resampled(protocol: Protocol) -> str:
    if protocol.resample == "seed":
        return "on one split, each with a seed of its own"
    if protocol.scheme == "k-fold":
        return "over the folds, drawn anew with each seed"
    return "that each draw a split, but for the parts that the cohort names, and a seed"


def write_tables(
    out: Path, protocol: Protocol, records: Sequence[RunRecord], classes: Sequence[str] = ()
) -> list[Path]:
    """Write ``tables.md``, ``.tex``, ``.csv``, and, where there are any, sweep and Figure 3.

    A run that failed has no figures: it stands below the tables, with the reason.
    """
    failed = [record for record in records if record.failure]
    records = [record for record in records if not record.failure]
    rows = method_rows(protocol, records)
    written = [out / "tables.md", out / "tables.csv"]
    with replacing(written[0]) as draft:
        draft.write_text(as_markdown(rows, protocol, classes) + _failures(failed), encoding="utf-8")
    with replacing(out / "tables.tex") as draft:
        tables = map(latex, printed_tables(rows, protocol.threshold))
        draft.write_text("\n".join([f"% {RESEARCH_USE}", *tables]), encoding="utf-8")
    lines = [
        {"method": row.name, "group": row.group, "k": row.k, "runs": row.runs}
        | {"called_by": protocol.threshold, "resample": protocol.resample, **row.mean}
        | {f"{name}_sd": value for name, value in row.deviation.items()}
        for row in rows
    ]
    _write_dicts(written[1], lines)
    swept = [
        {"method": record.method, "run": record.run, **entry}
        for record in records
        for entry in record.sweep
    ]
    if swept:
        written += [out / "sweep.csv", out / "sweep.png"]
        _write_dicts(written[2], swept)
        _draw_sweep(written[3], swept)
    if points := figure3_rows(protocol, records):
        written += write_figure3(out, points)
    return written


def _failures(records: Sequence[RunRecord]) -> str:
    if not records:
        return ""
    lines = [
        f"- {in_markdown(f'{record.method}, {record.run}: {record.failure}')}" for record in records
    ]
    return "\n".join(["\n### Runs that failed\n", *lines, ""])


def _draw_sweep(path: Path, swept: Sequence[dict[str, object]]) -> None:
    """AUC, or c-index or R², against patches looked at, a line per method: mean and deviation."""
    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.add_subplot()
    told = next(name for name in HEADLINES if name in swept[0])
    for method in dict.fromkeys(str(entry["method"]) for entry in swept):
        points: dict[str, list[tuple[float, float]]] = {}
        for entry in swept:
            if entry["method"] == method:
                point = (float(str(entry["patches"])), float(str(entry[told])))
                points.setdefault(str(entry["budget"]), []).append(point)
        values = np.array(
            [(*np.mean(p, 0), np.std([value for _, value in p])) for p in points.values()]
        )
        x, y, spread = values[values[:, 0].argsort()].T
        axes.errorbar(x, y, spread, marker="o", capsize=2, label=in_figure(method))
    axes.set_xlabel("patches looked at per slide")
    axes.set_ylabel(HEADLINES[told])
    axes.legend(frameon=False)
    with replacing(path) as draft:
        figure.savefig(draft, format="png", dpi=140)


def _write_dicts(path: Path, rows: Sequence[dict[str, object]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    write_csv(path, names, [[row.get(name, "") for name in names] for row in rows])
