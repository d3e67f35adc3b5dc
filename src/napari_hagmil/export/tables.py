"""nodes.parquet: a row per node that was looked at, or should have been."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from napari_hagmil.cascade.result import SlideResult, Stage, node_statuses
from napari_hagmil.export.columns import numbers, texts
from napari_hagmil.files import replacing
from napari_hagmil.purpose import RESEARCH_USE
from napari_hagmil.quadtree import Nodes, PatchGrid, parents

_SCHEMA = pa.schema(
    [
        ("depth", pa.int32()),
        ("row", pa.int64()),
        ("column", pa.int64()),
        ("y", pa.int64()),
        ("x", pa.int64()),
        ("height", pa.int64()),
        ("width", pa.int64()),
        ("attention", pa.float32()),
        ("score", pa.float64()),
        ("rank", pa.int64()),
        ("parent", pa.int64()),
        ("status", pa.string()),
    ]
)


def nodes_table(result: SlideResult, *, placed: bool = True) -> pa.Table:
    """Tabulate the nodes of all stages, coarse to fine.

    Within a stage first its bag in the bag's order, then the unread and the vetoed nodes,
    which have neither attention, score nor rank.

    Parameters
    ----------
    result : SlideResult
    placed : bool
        Whether the nodes' addresses are places on the slide; if not, y, x, height and width are
        null.

    Returns
    -------
    pyarrow.Table
        depth, row, column (address in the depth's grid); y, x, height, width (level-0 px,
        first pixel and size of the part on the slide; 0 for a child beyond its edge);
        attention; score (percentile, 0 to 100); rank (1 = highest);
        parent (row of this table, null at depth 0); status. The schema's metadata names the
        slide's fingerprint and its µm per level-0 pixel.
    """
    tables = []
    rows: dict[tuple[int, int], int] = {}
    n_rows = 0
    slide_shape = result.slide.height, result.slide.width
    for stage in result.stages:
        nodes = np.concatenate([stage.nodes, stage.unread, stage.vetoed])
        columns = {
            "depth": np.full(len(nodes), stage.depth),
            **_place_columns(result.grids[stage.depth], nodes, slide_shape),
            **_stage_columns(stage),
            "parent": [rows.get(address, -1) for address in _addresses(parents(nodes))],
        }
        statuses = _statuses(stage, last=stage.depth == len(result.grids) - 1)
        tables.append(_table(columns, statuses, placed=placed))
        rows = {address: n_rows + i for i, address in enumerate(_addresses(nodes))}
        n_rows += len(nodes)
    table = pa.concat_tables(tables) if tables else _SCHEMA.empty_table()
    return table.replace_schema_metadata(
        {
            "schema": "napari-hagmil/nodes/1",
            "slide": result.slide.fingerprint,
            "mpp": repr(result.slide.mpp),
            "purpose": RESEARCH_USE,
        }
    )


def _table(columns: dict[str, Any], statuses: list[str], *, placed: bool) -> pa.Table:
    made = {
        name: numbers(values, _SCHEMA.field(name).type, _valid(name, values, placed=placed))
        for name, values in columns.items()
    }
    made["status"] = texts(statuses)
    return pa.Table.from_arrays([made[name] for name in _SCHEMA.names], schema=_SCHEMA)


def write_nodes(result: SlideResult, path: str | Path, *, placed: bool = True) -> None:
    """Write `nodes_table` as Parquet; `OutputError` when the file cannot be written."""
    table = nodes_table(result, placed=placed)
    # pyarrow takes paths of UTF-8 alone.
    with replacing(Path(path)) as draft, draft.open("wb") as file:
        pq.write_table(table, file, compression="zstd")


def _place_columns(grid: PatchGrid, nodes: Nodes, slide_shape: tuple[int, int]) -> dict[str, Any]:
    y0, x0, y1, x1 = grid.edges(nodes).T
    height, width = slide_shape
    return {
        "row": nodes[:, 0],
        "column": nodes[:, 1],
        "y": y0,
        "x": x0,
        "height": np.maximum(np.minimum(y1, height) - y0, 0),
        "width": np.maximum(np.minimum(x1, width) - x0, 0),
    }


def _stage_columns(stage: Stage) -> dict[str, Any]:
    """NaN, or rank 0, for the nodes beside the bag."""
    beside = np.full(len(stage.unread) + len(stage.vetoed), np.nan)
    return {
        "attention": np.concatenate([stage.attention, beside]),
        "score": np.concatenate([stage.scores, beside]),
        "rank": np.concatenate([stage.ranks, np.zeros(len(beside), np.int64)]),
    }


#: What ranks and parents are at the least; below there is none.
_LEAST = {"rank": 1, "parent": 0}


def _valid(name: str, values: Any, *, placed: bool) -> NDArray[np.bool_] | None:
    """Where a column has values; None: everywhere."""
    values = np.asarray(values)
    if name in ("y", "x", "height", "width"):
        return None if placed else np.zeros(len(values), bool)
    if name in ("attention", "score"):
        return np.asarray(np.isfinite(values))
    return np.asarray(values >= _LEAST[name]) if name in _LEAST else None


def _statuses(stage: Stage, *, last: bool) -> list[str]:
    return [
        *node_statuses(stage, last=last),
        *["unread"] * len(stage.unread),
        *["vetoed"] * len(stage.vetoed),
    ]


def _addresses(nodes: Nodes) -> Iterable[tuple[int, int]]:
    return zip(nodes[:, 0].tolist(), nodes[:, 1].tolist(), strict=True)
