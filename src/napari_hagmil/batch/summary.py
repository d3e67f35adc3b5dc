"""The summary table of a run, a row per slide, as Parquet and CSV; without paths and patients."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from napari_hagmil.batch.folder import RunFolder
from napari_hagmil.files import replacing, write_csv
from napari_hagmil.quality import KINDS
from napari_hagmil.untrusted import read_json

_FIRST = ("name", "state", "reason", "class", "probability", "class_set", "unfamiliarity", "unfit")
_LAST = (
    "magnification", "patches_encoded", "patches_exhaustive", "finest_share", "unread_share",
    "seconds", "tries", "mpp", "width", "height", "fingerprint",
)  # fmt: skip


def summary_rows(folder: RunFolder) -> list[dict[str, Any]]:
    """A row per slide of the run, in the order of its table; what is not known is None."""
    return [_row(folder, name) for name in folder.records]


def latest_rows(folder: RunFolder) -> Iterator[dict[str, Any]]:
    """`summary_rows` of a run that may be under way: a slide at work has the state "running".

    A slide's row comes from summary.parquet where its files are no younger than that.
    """
    stored, since = _stored(folder.root / "summary.parquet")
    claimed = _names_in(folder.root / "claims")
    for name in folder.records:
        known = stored.get(name)
        if known is not None and _last_change(folder, name) <= since:
            row = known
        else:
            row = _row(folder, name)
        if name in claimed and folder.claims.holder(name) is not None:
            row = {**row, "state": "running"}
        yield row


def _stored(path: Path) -> tuple[dict[str, dict[str, Any]], int]:
    """The rows of a summary by name, and its time in ns; nothing where it cannot be read."""
    try:
        since = path.stat().st_mtime_ns
        rows = pq.read_table(path).to_pylist()
        return {str(row["name"]): row for row in rows}, since
    except (OSError, KeyError, pa.ArrowException):
        return {}, 0


def _names_in(folder: Path) -> set[str]:
    try:
        return {entry.name.removesuffix(".json") for entry in os.scandir(folder)}
    except OSError:
        return set()


def _last_change(folder: RunFolder, name: str) -> float:
    """When a slide's files were last written, ns; infinite where there are none."""
    try:
        place = folder.place(name).stat().st_mtime_ns
        return max(place, folder.state_path(name).stat().st_mtime_ns)
    except OSError:
        return float("inf")


def write_summary(folder: RunFolder, rows: Sequence[dict[str, Any]]) -> None:
    """Write summary.parquet and summary.csv.

    Raises
    ------
    OutputError
        When they cannot be written.
    """
    classes = sorted({key for row in rows for key in row if key.startswith("p_")})
    measured = [f"{kind}_share" for kind in KINDS]
    artefacts = [name for name in measured if any(name in row for row in rows)]
    columns = (*_FIRST, *classes, *artefacts, *_LAST)
    table = pa.table({column: [row.get(column) for row in rows] for column in columns})
    with replacing(folder.root / "summary.parquet") as draft:
        pq.write_table(table, draft, compression="zstd")
    cells = [["" if row.get(c) is None else row[c] for c in columns] for row in rows]
    write_csv(folder.root / "summary.csv", columns, cells)


def _row(folder: RunFolder, name: str) -> dict[str, Any]:
    outcome = folder.outcome(name)
    row: dict[str, Any] = {"name": name, "state": outcome.state if outcome else "waiting"}
    if outcome is not None:
        row |= {"reason": outcome.reason, "tries": outcome.tries, "seconds": outcome.seconds}
    # Without a result, or with one that is not ours, the state says what there is to say.
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        row |= result_facts(read_json(folder.place(name) / "result.json"))
    return row


def result_facts(result: dict[str, Any]) -> dict[str, Any]:
    """What a row of the summary says of a result.json.

    Raises
    ------
    KeyError, TypeError, ValueError, IndexError
        When it is none of ours.
    """
    slide, cost, stages = result["slide"], result["cost"], result["stages"]
    row = {key: slide[key] for key in ("mpp", "width", "height", "fingerprint")}
    row |= {key: cost[key] for key in ("patches_encoded", "patches_exhaustive")}
    row["finest_share"] = cost["finest_encoded"] / (cost["finest_tissue"] or 1)
    if stages:
        row["magnification"] = stages[-1]["magnification"]
        asked = sum(stage["nodes"] + stage["unread"] for stage in stages)
        row["unread_share"] = sum(stage["unread"] for stage in stages) / (asked or 1)
    row |= {f"{kind}_share": share for kind, share in (result.get("quality") or {}).items()}
    if result["prediction"] is not None:
        probabilities = result["prediction"]["probabilities"]
        row |= {"class": result["prediction"]["class"], "probability": max(probabilities)}
        row |= {
            f"p_{name}": value
            for name, value in zip(result["model"]["classes"], probabilities, strict=True)
        }
    return row | _doubts(result)


def _doubts(result: dict[str, Any]) -> dict[str, Any]:
    """How far the answer can be relied on; nothing of a result of an earlier version."""
    said = result.get("uncertainty") or {}
    row: dict[str, Any] = {"class_set": " | ".join(said.get("class_set", ())) or None}
    if said.get("distance") is not None and said.get("limit"):
        row["unfamiliarity"] = said["distance"] / said["limit"]
    return row | {"unfit": result.get("unfit")}
