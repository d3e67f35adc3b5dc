"""Tables of several data sets side by side, from the folders that ``protocol`` wrote."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from napari_hagmil.errors import ProtocolError
from napari_hagmil.files import from_spreadsheet_cell, replacing, write_csv
from napari_hagmil.training.protocol.printed import Column, Line, Table, latex, markdown
from napari_hagmil.training.protocol.tables import COLUMNS, TITLES
from napari_hagmil.untrusted import read_regular

_MAX_BYTES = 2**26

#: What the paper prints of each data set.
PRINTED = ("auc", "f1", "accuracy")


def join_tables(runs: Sequence[Path]) -> list[Table]:
    """One table per group of methods: a row per method, AUC, F1 and accuracy per data set.

    Parameters
    ----------
    runs : sequence of Path
        Folders with a ``tables.csv``; a folder's name is the name of its data set.

    Raises
    ------
    ProtocolError
        When a folder has no such file, or two have one name.
    """
    names = [run.resolve().name for run in runs]
    if len(set(names)) < len(names):
        raise ProtocolError(
            "the folders to join",
            "need names of their own, which the data sets are called by",
            value=", ".join(names),
            remedy="rename one",
        )
    rows = {name: _rows(run) for name, run in zip(names, runs, strict=True)}
    groups = dict.fromkeys(row["group"] for some in rows.values() for row in some)
    return [_table(group, rows) for group in groups]


def write_joined(out: Path, tables: Sequence[Table]) -> list[Path]:
    """Write ``joined.md``, ``joined.tex`` and ``joined.csv`` to a folder."""
    written = [out / "joined.md", out / "joined.tex", out / "joined.csv"]
    for path, render in zip(written, (markdown, latex), strict=False):
        with replacing(path) as draft:
            draft.write_text("\n".join(map(render, tables)), encoding="utf-8")
    lines = [
        [table.title, line.name, column.key, *map(repr, line.cells[column.key])]
        for table in tables
        for line in table.lines
        for column in table.columns
        if column.key in line.cells
    ]
    write_csv(written[2], ["table", "method", "figure", "mean", "deviation"], lines)
    return written


def _rows(run: Path) -> list[dict[str, str]]:
    try:
        text = read_regular(run / "tables.csv", _MAX_BYTES).decode()
        rows = list(csv.DictReader(text.splitlines()))
        _check_figures(rows)
    except (OSError, ValueError, csv.Error) as error:
        raise ProtocolError(
            f"{run.name}",
            "needs the tables.csv that protocol writes",
            value=getattr(error, "strerror", None) or error,
            remedy="give folders of finished runs",
        ) from error
    if not rows or not {"method", "group", "auc"} <= rows[0].keys():
        raise ProtocolError(
            f"{run.name}/tables.csv",
            "is no table of a protocol: it lacks method, group or auc",
            remedy="run protocol again",
        )
    return rows


def _check_figures(rows: list[dict[str, str]]) -> None:
    """Raise a ValueError where a figure is no number; names get their first character back."""
    for row in rows:
        if None in row or None in row.values():
            raise ValueError("a line that has not as many cells as the header")
        for name in ("method", "group"):
            row[name] = from_spreadsheet_cell(row.get(name, ""))
        for name, value in row.items():
            if value and name.removesuffix("_sd").removesuffix("_youden") in PRINTED:
                float(value)


def _printed(rows: list[dict[str, str]]) -> dict[str, str]:
    """What is printed, and the figure that it is in a data set: as its slides were called."""
    by_youden = rows[0].get("called_by") == "youden"
    return {k: f"{k}_youden" if by_youden and k != "auc" else k for k in PRINTED}


def _table(group: str, rows: dict[str, list[dict[str, str]]]) -> Table:
    lines: dict[str, Line] = {}
    for name, some in rows.items():
        for row in (row for row in some if row["group"] == group):
            line = lines.setdefault(row["method"], Line(row["method"]))
            for key, figure in _printed(some).items():
                if row.get(figure):
                    deviation = float(row.get(f"{figure}_sd") or 0)
                    line.cells[f"{name} {key}"] = (float(row[figure]), deviation)
    columns = tuple(
        Column(f"{name} {key}", f"{name} {COLUMNS[figure][0]}")
        for name, some in rows.items()
        if any(row["group"] == group for row in some)
        for key, figure in _printed(some).items()
    )
    first = next(iter(lines), "")
    subject = first if group == "method" else ""
    return Table(TITLES.get(group, group), columns, tuple(lines.values()), (), subject)
