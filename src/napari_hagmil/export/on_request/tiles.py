"""Attention of every patch as detections of QuPath, with measurements to colour them by."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_hagmil.cascade.result import SlideResult, Stage, node_statuses
from napari_hagmil.errors import ResultError
from napari_hagmil.export.geojson import json_number
from napari_hagmil.files import replacing
from napari_hagmil.geometry import magnification, magnification_label, to_file_xy
from napari_hagmil.purpose import RESEARCH_USE

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "napari-hagmil/tile/1")


def write_tiles(result: SlideResult, path: str | Path, depths: Sequence[int] = ()) -> int:
    """Write the patches that were looked at, a QuPath detection each.

    A detection has the measurements Attention, Attention score (percentile), Rank, Depth and
    Magnification, for QuPath's measurement maps, and its status as metadata.

    Parameters
    ----------
    result : SlideResult
    path : path
        GeoJSON; replaced whole.
    depths : sequence of int
        Which, 0 the coarsest; empty: the deepest that was reached.

    Returns
    -------
    int
        How many were written.

    Raises
    ------
    ResultError
        When the cascade did not reach a depth.
    OutputError
        When the file cannot be written.
    """
    stages = chosen_stages(result, depths)
    head = json.dumps({"type": "FeatureCollection", "purpose": RESEARCH_USE})[:-1]
    n_written = 0
    # A feature a line: of a hundred thousand, no list is built in memory.
    with replacing(Path(path)) as draft, draft.open("w", encoding="utf-8") as file:
        file.write(f'{head}, "features": [')
        for stage in stages:
            for feature in _features(result, stage):
                file.write(",\n" if n_written else "\n")
                json.dump(feature, file, allow_nan=False, separators=(",", ":"))
                n_written += 1
        file.write("\n]}\n")
    return n_written


def chosen_stages(result: SlideResult, depths: Sequence[int]) -> list[Stage]:
    """The stages of these depths, or the deepest one; `ResultError` where one is missing."""
    by_depth = {stage.depth: stage for stage in result.stages}
    if not by_depth:
        raise ResultError(
            "the analysis", "has no attention: the cascade found no tissue", remedy="give another"
        )
    missing = [depth for depth in depths if depth not in by_depth]
    if missing:
        raise ResultError(
            "the analysis",
            f"has depths 0 to {max(by_depth)}",
            value=missing[0],
            remedy="choose one of these",
        )
    return [by_depth[depth] for depth in (depths or [max(by_depth)])]


def _features(result: SlideResult, stage: Stage) -> Iterator[dict[str, Any]]:
    grid, slide = result.grids[stage.depth], result.slide
    mpp = slide.mpp * grid.downsample
    bounds = (slide.height, slide.width, slide.height, slide.width)
    edges = np.clip(grid.edges(stage.nodes), 0, bounds)
    statuses = node_statuses(stage, last=stage.depth == len(result.grids) - 1)
    scores, ranks = stage.scores, stage.ranks
    label = magnification_label(mpp)
    for i, (y0, x0, y1, x1) in enumerate(edges.tolist()):
        if y1 <= y0 or x1 <= x0:
            continue  # a child beyond the slide's edge
        row, column = stage.nodes[i].tolist()
        corners = np.array([(y0, x0), (y1, x0), (y1, x1), (y0, x1), (y0, x0)]) - 0.5
        measured = {
            "Attention": stage.attention[i],
            "Attention score (percentile)": scores[i],
            "Rank": ranks[i],
            "Depth": stage.depth,
            "Magnification": magnification(mpp),
        }
        yield {
            "type": "Feature",
            "id": str(uuid.uuid5(_NAMESPACE, f"{slide.fingerprint} {stage.depth} {row} {column}")),
            "geometry": {"type": "Polygon", "coordinates": [to_file_xy(corners).tolist()]},
            "properties": {
                "objectType": "detection",
                "name": f"{label} {row},{column}",
                "measurements": {key: json_number(value) for key, value in measured.items()},
                "metadata": {"status": statuses[i]},
            },
        }
