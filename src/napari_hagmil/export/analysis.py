"""All files of one analysis, together in one folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_hagmil.attention import AttentionRegion
from napari_hagmil.cascade.result import SlideResult
from napari_hagmil.errors import OutputError, Remedy
from napari_hagmil.export.geojson import write_geojson
from napari_hagmil.export.ome_zarr import write_attention_zarr
from napari_hagmil.export.overview import Picture, encode_png, overview_picture
from napari_hagmil.export.report import write_report
from napari_hagmil.export.result_json import write_result
from napari_hagmil.export.tables import write_nodes
from napari_hagmil.files import drafting, move, remove
from napari_hagmil.geometry import magnification

#: What stands in the folder; result.json comes last and says that the others are there.
FILES = (
    "nodes.parquet",
    "attention.ome.zarr",
    "regions.geojson",
    "overview.png",
    "report.html",
    "result.json",
)

#: Longer side of the blank page that stands for a slide without a thumbnail, px.
_BLANK = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """The whole slide, small.

    Attributes
    ----------
    pixels : (h, w, 3) uint8
        RGB, its corner at the slide's corner.
    downsample : float
        Level-0 pixels per pixel.
    """

    pixels: Picture
    downsample: float


def write_analysis(
    result: SlideResult,
    out: str | Path,
    *,
    regions: Sequence[AttentionRegion] = (),
    thumbnail: Thumbnail | None = None,
    pictures: Sequence[Picture] = (),
) -> None:
    """Write every file of an analysis (`FILES`) into a folder.

    They are made in a folder beside it and moved in when all are there. Other files in the
    folder stay; earlier results are replaced.

    Parameters
    ----------
    result : SlideResult
        In any state.
    out : path
        The folder; made when missing.
    regions : sequence of AttentionRegion
        Of the deepest stage, best first.
    thumbnail : Thumbnail, optional
        For the overview; without it the slide is drawn blank.
    pictures : sequence of (h, w, 3) uint8
        RGB of the first regions, for the report.

    Raises
    ------
    OutputError
        When the folder cannot be written.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise OutputError(
            out.name,
            "must be a folder, but is a file",
            remedy=Remedy("choose another folder", command_line="choose another --out"),
        )
    with drafting(out) as draft:
        draft.mkdir()
        _write_data(result, draft, regions)
        small = thumbnail or _blank(result)
        overview = overview_picture(small.pixels, small.downsample, result)
        (draft / "overview.png").write_bytes(encode_png(overview))
        write_report(
            result, draft / "report.html", overview=overview, regions=regions, pictures=pictures
        )
        _move_in(draft, out)


def _move_in(draft: Path, out: Path) -> None:
    """Move the finished files; what else the folder holds stays."""
    if not out.exists():
        move(draft, out)
        return
    # Without result.json the folder does not pass for complete while files change.
    remove(out / "result.json")
    for name in FILES:
        move(draft / name, out / name)


def _write_data(result: SlideResult, folder: Path, regions: Sequence[AttentionRegion]) -> None:
    write_result(result, folder / "result.json")
    write_nodes(result, folder / "nodes.parquet")
    write_attention_zarr(result, folder / "attention.ome.zarr")
    deepest = result.grids[result.stages[-1].depth] if result.stages else None
    write_geojson(
        folder / "regions.geojson",
        regions,
        fingerprint=result.slide.fingerprint,
        magnification=magnification(result.slide.mpp * deepest.downsample) if deepest else None,
    )


def _blank(result: SlideResult) -> Thumbnail:
    height, width = result.slide.height, result.slide.width
    downsample = max(height, width, 1) / _BLANK
    shape = max(1, round(height / downsample)), max(1, round(width / downsample)), 3
    return Thumbnail(np.full(shape, 244, np.uint8), downsample)
