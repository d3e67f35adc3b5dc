"""Read an analysis back from its folder, from result.json and nodes.parquet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from napari_hagmil.cascade.result import (
    CascadeResult,
    Cost,
    Given,
    ModelFacts,
    Settings,
    SlideResult,
    SlideSummary,
    Stage,
    UnreadPlaces,
)
from napari_hagmil.errors import ResultError
from napari_hagmil.export.result_json import SCHEMA, changed_versions, write_result
from napari_hagmil.export.tables import write_nodes
from napari_hagmil.files import replacing
from napari_hagmil.ledger import write_manifest
from napari_hagmil.quadtree import Nodes, PatchGrid
from napari_hagmil.uncertainty import Uncertainty
from napari_hagmil.untrusted import read_json

#: More nodes than any slide has; a larger table is not ours.
_MOST_BYTES, _MOST_NODES, _MOST_DEPTHS = 256 * 2**20, 5_000_000, 16

_SEEN = ("followed", "pinned", "cut", "leaf")
_COLUMNS = ("depth", "row", "column", "attention", "status")
_ODD = (AttributeError, KeyError, TypeError, ValueError, OverflowError, OSError, pa.ArrowException)


def keep_result(result: SlideResult, folder: Path) -> None:
    """Write what `read_result` needs of an analysis, and its manifest.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
    with replacing(folder) as draft:
        draft.mkdir()
        write_result(result, draft / "result.json")
        write_nodes(result, draft / "nodes.parquet")
        write_manifest(draft)


def read_result(folder: str | Path) -> SlideResult:
    """Read an analysis that was carried to its end.

    Attention, ranks, followed and pinned nodes and probabilities are those that were written. The
    logits of each depth are not stored; their stand-ins give the same probabilities.

    Raises
    ------
    ResultError
        When the folder holds no such analysis, or one of a version that cannot be read back.
    """
    folder = Path(folder)
    try:
        said = read_json(folder / "result.json")
        if said["schema"] != SCHEMA or said["state"] not in ("done", "incomplete"):
            raise ValueError("not an analysis that was carried to its end")
        stages = said["stages"][:_MOST_DEPTHS]
        grids = tuple(_grid(one) for one in stages)
        table = _table(folder / "nodes.parquet")
        found = tuple(_stage(table, one, grid) for one, grid in zip(stages, grids, strict=True))
        return _result(said, grids, found)
    except _ODD as error:
        raise ResultError(
            f"the analysis in {folder.name}",
            f"cannot be read back ({type(error).__name__}: {error})",
            remedy="analyze the slide again",
        ) from error


def _result(said: Mapping[str, Any], grids: tuple[PatchGrid, ...], stages: Any) -> SlideResult:
    model = ModelFacts(**{**said["model"], "classes": tuple(said["model"]["classes"])})
    classes = len(model.classes)
    if not stages or any(len(stage.logits) != classes for stage in stages):
        raise ValueError("probabilities and classes do not agree")
    settings = {**said["settings"], "budget": tuple(int(k) for k in said["settings"]["budget"])}
    settings |= {name: Given(**settings[name]) for name in ("tissue", "steering", "features")}
    return SlideResult(
        state=said["state"],
        slide=_summary(said),
        model=model,
        settings=Settings(**settings),
        grids=grids,
        cascade=CascadeResult(
            stages, model.classes, {str(k): float(v) for k, v in said["thresholds"].items()}
        ),
        cost=Cost(**said["cost"]),
        notes=(*_of_other_versions(said), *(str(note) for note in said["notes"])),
        unread=UnreadPlaces(**said["unread"]) if said["unread"] else None,
        unfit=str(said.get("unfit") or ""),
        uncertainty=_uncertainty(said.get("uncertainty") or {}, model.classes),
        quality={str(k): float(v) for k, v in (said.get("quality") or {}).items()} or None,
    )


def _of_other_versions(said: Mapping[str, Any]) -> tuple[str, ...]:
    """The note that tells what a result was made with, where something else is installed here."""
    made = changed_versions(said)
    return (f"This result was {made}: made again, it may differ a little.",) if made else ()


def _uncertainty(said: Mapping[str, Any], classes: tuple[str, ...]) -> Uncertainty:
    """What is said of it; nothing, where an earlier version wrote the result."""
    numbers = {
        name: None if said.get(name) is None else float(said[name])
        for name in ("temperature", "error_rate", "distance", "limit")
    }
    return Uncertainty(
        **numbers,
        class_set=tuple(name for name in classes if name in said.get("class_set", ())),
        validation_slides=int(said.get("validation_slides", 0)),
    )


def read_slide_summary(folder: str | Path) -> SlideSummary:
    """What an analysis in any state says of its slide; `ResultError` where it is none."""
    folder = Path(folder)
    try:
        said = read_json(folder / "result.json")
        if said["schema"] != SCHEMA:
            raise ValueError("another schema")
        return _summary(said)
    except _ODD as error:
        raise ResultError(
            folder.name, "holds no analysis that can be read", remedy="analyze the slide again"
        ) from error


def require_result_of(folder: Path, fingerprint: str) -> None:
    """Raise `ResultError` where a folder holds the analysis of another slide."""
    if read_slide_summary(folder).fingerprint != fingerprint:
        raise ResultError(
            f"the analysis in {folder.name}", "is of another slide", remedy="give that slide"
        )


def _summary(said: Mapping[str, Any]) -> SlideSummary:
    slide = dict(said["slide"])
    y, x = slide.pop("canvas_origin", (0, 0))
    return SlideSummary(**slide, canvas_origin=(int(y), int(x)))


def _grid(stage: Mapping[str, Any]) -> PatchGrid:
    rows, columns = (int(side) for side in stage["grid"])
    size, downsample = int(stage["patch_size"]), float(stage["downsample"])
    if not (0 < rows < 2**31 and 0 < columns < 2**31 and 0 < size < 2**16 and downsample > 0):
        raise ValueError("a grid without patches")
    return PatchGrid(size, downsample, (rows, columns))


def _table(path: Path) -> dict[str, Any]:
    if not path.is_file() or path.stat().st_size > _MOST_BYTES:
        raise ValueError("no table of nodes")
    if pq.read_metadata(path).num_rows > _MOST_NODES:
        raise ValueError("too many nodes")
    table = pq.read_table(path, columns=list(_COLUMNS))
    return {name: table[name].to_numpy(zero_copy_only=False) for name in _COLUMNS}


def _stage(table: Mapping[str, Any], said: Mapping[str, Any], grid: PatchGrid) -> Stage:
    depth = int(said["depth"])
    here = table["depth"] == depth
    status = table["status"][here]
    nodes = np.stack([table["row"][here], table["column"][here]], axis=1).astype(np.int64)
    if ((nodes < 0) | (nodes >= grid.shape)).any():
        raise ValueError("a node outside its grid")
    seen = np.isin(status, _SEEN)
    attention = np.asarray(table["attention"][here][seen], np.float32)
    probabilities = np.array(said["probabilities"], np.float64)
    if not (np.isfinite(attention).all() and seen.any() and (probabilities >= 0).all()):
        raise ValueError("attention or probabilities are no numbers")

    def of(name: str) -> Nodes:
        chosen: Nodes = nodes[status == name]
        return chosen

    return Stage(
        depth,
        nodes[seen],
        attention,
        np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)).astype(np.float32),
        np.isin(status[seen], ("followed", "pinned")),
        status[seen] == "pinned",
        of("unread"),
        of("vetoed"),
    )
