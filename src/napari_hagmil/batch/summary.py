"""The summary table of a run, a row per slide, as Parquet and CSV; without paths and patients."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from napari_hagmil.batch.folder import RunFolder
from napari_hagmil.files import replacing, write_csv
from napari_hagmil.untrusted import read_json

_FIRST = ("name", "state", "reason", "class", "probability", "class_set", "unfamiliarity", "unfit")
_LAST = (
    "magnification", "patches_encoded", "patches_exhaustive", "finest_share", "unread_share",
    "seconds", "tries", "mpp", "width", "height", "fingerprint",
)  # fmt: skip


def summary_rows(folder: RunFolder) -> list[dict[str, Any]]:
    """A row per slide of the run, in the order of its table; what is not known is None."""
    return [_row(folder, name) for name in folder.records]


def write_summary(folder: RunFolder, rows: Sequence[dict[str, Any]]) -> None:
    """Write summary.parquet and summary.csv.

    Raises
    ------
    OutputError
        When they cannot be written.
    """
    classes = sorted({key for row in rows for key in row if key.startswith("p_")})
    columns = (*_FIRST, *classes, *_LAST)
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
        row |= _found(read_json(folder.place(name) / "result.json"))
    return row


def _found(result: dict[str, Any]) -> dict[str, Any]:
    slide, cost, stages = result["slide"], result["cost"], result["stages"]
    row = {key: slide[key] for key in ("mpp", "width", "height", "fingerprint")}
    row |= {key: cost[key] for key in ("patches_encoded", "patches_exhaustive")}
    row["finest_share"] = cost["finest_encoded"] / (cost["finest_tissue"] or 1)
    if stages:
        row["magnification"] = stages[-1]["magnification"]
        asked = sum(stage["nodes"] + stage["unread"] for stage in stages)
        row["unread_share"] = sum(stage["unread"] for stage in stages) / (asked or 1)
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
