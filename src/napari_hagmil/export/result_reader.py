"""Read an analysis back from its folder, from result.json and nodes.parquet."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from napari_hagmil.cascade.result import CascadeResult, SlideResult, SlideSummary, Stage
from napari_hagmil.errors import ManifestError, ResultError
from napari_hagmil.export.result_json import SCHEMA, changed_versions, write_result
from napari_hagmil.export.result_values import (
    cost_from,
    grid_from,
    model_from,
    numbers_from,
    probabilities_from,
    settings_from,
    slide_from,
    text_from,
    texts_from,
    uncertainty_from,
    unread_from,
)
from napari_hagmil.export.tables import write_nodes
from napari_hagmil.files import replacing
from napari_hagmil.ledger import read_manifest, write_manifest
from napari_hagmil.ledger.manifest import file_difference
from napari_hagmil.quadtree import Nodes, PatchGrid
from napari_hagmil.untrusted import read_json

#: More nodes than any slide has; a larger table is not ours.
_MOST_BYTES, _MOST_NODES, _MOST_DEPTHS = 256 * 2**20, 5_000_000, 16

#: Of an analysis, the files that it is read back from.
_READ = _SAID, _NODES = "result.json", "nodes.parquet"

_SEEN = ("followed", "pinned", "cut", "leaf")
_COLUMNS = {
    **dict.fromkeys(("depth", "row", "column"), pa.types.is_integer),
    "attention": pa.types.is_floating,
    "status": lambda kind: pa.types.is_string(kind) or pa.types.is_dictionary(kind),
}
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
        write_result(result, draft / _SAID)
        write_nodes(result, draft / _NODES)
        write_manifest(draft)


def read_result(folder: str | Path) -> SlideResult:
    """Read an analysis that was carried to its end, and is as its manifest, where it has one, says.

    Attention, ranks, followed and pinned nodes and probabilities are those that were written. The
    logits of each depth are not stored; their stand-ins give the same probabilities.

    Raises
    ------
    ResultError
        When the folder holds no such analysis, one that was changed since it was written, or one of
        a version that cannot be read back.
    """
    folder = Path(folder)
    require_unchanged(folder)
    try:
        said = read_json(folder / _SAID)
        if said["schema"] != SCHEMA or said["state"] not in ("done", "incomplete"):
            raise ValueError("not an analysis that was carried to its end")
        stages = said["stages"][:_MOST_DEPTHS]
        grids = tuple(map(grid_from, stages))
        table = _table(folder / _NODES)
        found = tuple(_stage(table, i, stages[i], grids[i]) for i in range(len(grids)))
        return _result(said, grids, found)
    except _ODD as error:
        raise ResultError(
            f"the analysis in {folder.name}",
            f"cannot be read back ({type(error).__name__}: {error})",
            remedy="analyze the slide again",
        ) from error


def require_unchanged(folder: Path, names: Collection[str] = _READ) -> None:
    """Raise `ResultError` where files of an analysis are not what was written.

    By default those that `read_result` reads. Without a manifest nothing is known.
    """
    try:
        files = read_manifest(folder).files
    except FileNotFoundError:
        return
    except ManifestError as error:
        raise ResultError(
            f"the analysis in {folder.name}",
            f"has a manifest that {error.problem.rule}",
            remedy="analyze the slide again",
        ) from error
    for name in names:
        if name in files and (wrong := file_difference(folder / name, files[name])):
            raise ResultError(
                f"the analysis in {folder.name}",
                f"was changed since it was written ({name} {wrong})",
                remedy="analyze the slide again",
            )


def _result(said: Mapping[str, Any], grids: tuple[PatchGrid, ...], stages: Any) -> SlideResult:
    model = model_from(said["model"])
    classes = len(model.classes)
    if not stages or any(len(stage.logits) != classes for stage in stages):
        raise ValueError("probabilities and classes do not agree")
    return SlideResult(
        state=said["state"],
        slide=slide_from(said["slide"]),
        model=model,
        settings=settings_from(said["settings"]),
        grids=grids,
        cascade=CascadeResult(stages, model.classes, numbers_from(said["thresholds"])),
        cost=cost_from(said["cost"]),
        notes=(*_of_other_versions(said), *texts_from(said["notes"])),
        unread=unread_from(said["unread"]),
        unfit=text_from(said.get("unfit")),
        uncertainty=uncertainty_from(said.get("uncertainty"), model.classes),
        quality=numbers_from(said.get("quality") or {}) or None,
    )


def _of_other_versions(said: Mapping[str, Any]) -> tuple[str, ...]:
    """The note that tells what a result was made with, where something else is installed here."""
    made = changed_versions(said)
    return (f"This result was {made}: made again, it may differ a little.",) if made else ()


def read_slide_summary(folder: str | Path) -> SlideSummary:
    """What an analysis in any state says of its slide; `ResultError` where it is none."""
    folder = Path(folder)
    try:
        said = read_json(folder / _SAID)
        if said["schema"] != SCHEMA:
            raise ValueError("another schema")
        return slide_from(said["slide"])
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


def _table(path: Path) -> dict[str, Any]:
    if not path.is_file() or path.stat().st_size > _MOST_BYTES:
        raise ValueError("no table of nodes")
    if pq.read_metadata(path).num_rows > _MOST_NODES:
        raise ValueError("too many nodes")
    kinds = pq.read_schema(path)
    if not all(fits(kinds.field(name).type) for name, fits in _COLUMNS.items()):
        raise ValueError("a table of nodes with other columns")
    table = pq.read_table(path, columns=list(_COLUMNS))
    if any(table[name].null_count for name in _COLUMNS if name != "attention"):
        raise ValueError("a node without a place or a status")
    return {name: table[name].to_numpy(zero_copy_only=False) for name in _COLUMNS}


def _stage(table: Mapping[str, Any], depth: int, said: Mapping[str, Any], grid: PatchGrid) -> Stage:
    if said["depth"] != depth:
        raise ValueError("depths are not in their order")
    here = table["depth"] == depth
    status = table["status"][here]
    nodes = np.stack([table["row"][here], table["column"][here]], axis=1).astype(np.int64)
    if ((nodes < 0) | (nodes >= grid.shape)).any():
        raise ValueError("a node outside its grid")
    seen = np.isin(status, _SEEN)
    attention = np.asarray(table["attention"][here][seen], np.float32)
    if not (np.isfinite(attention).all() and (attention >= 0).all() and seen.any()):
        raise ValueError("attention that is none")
    probabilities = probabilities_from(said["probabilities"])

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
