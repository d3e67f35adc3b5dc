"""Write all files of one analysis into one folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_hagmil.attention import AttentionRegion
from napari_hagmil.attention.tissue_outlines import tissue_polygons
from napari_hagmil.cascade.result import SlideResult
from napari_hagmil.errors import OutputError, Remedy
from napari_hagmil.export.geojson import write_geojson, write_tissue
from napari_hagmil.export.ome_zarr import write_attention_zarr
from napari_hagmil.export.pictures.overview import Picture, encode_png, overview_picture
from napari_hagmil.export.report import (
    ReportContent,
    found_region,
    with_overviews,
)
from napari_hagmil.export.report.facts import write_report
from napari_hagmil.export.result_json import result_document, write_result
from napari_hagmil.export.tables import write_nodes
from napari_hagmil.files import drafting, move, remove
from napari_hagmil.geometry import magnification
from napari_hagmil.ledger import write_manifest
from napari_hagmil.untrusted import read_json

#: The files of the folder; the manifest comes last and declares the others complete.
FILES = (
    "nodes.parquet",
    "attention.ome.zarr",
    "regions.geojson",
    "tissue.geojson",
    "overview.png",
    "report.html",
    "result.json",
    "manifest.json",
)

#: Longer side of the blank picture drawn for a slide without a thumbnail, px.
_BLANK = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """A small picture of the whole slide.

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
    overwrite: bool = False,
) -> None:
    """Write every file of an analysis (`FILES`) into a folder.

    They are written to a folder beside it and moved in once complete. Other files in the
    folder stay; an earlier result of the same slide under the same settings is replaced.

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
    overwrite : bool
        Whether the result of another slide, or under other settings, is replaced.

    Raises
    ------
    OutputError
        When the folder cannot be written, or holds another result that may not be replaced.
    """
    out = Path(out)
    require_replaceable(out, result, overwrite=overwrite)
    with drafting(out) as draft:
        draft.mkdir()
        _write_data(result, draft, regions)
        small = thumbnail or _blank(result)
        overview = overview_picture(small.pixels, small.downsample, result)
        (draft / "overview.png").write_bytes(encode_png(overview))
        content = ReportContent([found_region(one) for one in regions], pictures)
        content = with_overviews(content, result, small.pixels, small.downsample)
        write_report(result, draft / "report.html", content)
        write_manifest(draft)
        _move_in(draft, out)


def require_replaceable(out: Path, result: SlideResult, *, overwrite: bool = False) -> None:
    """Raise `OutputError` when a result cannot be put into a folder, or must not be.

    Before a run, `result` may hold just what is known by then: slide, model and settings.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(
            out.name,
            "must be a folder, but is a file",
            remedy=Remedy("choose another folder", command_line="choose another --out"),
        )
    if overwrite or not (out / "result.json").exists():
        return
    other = _other_result(out / "result.json", result)
    if other:
        raise OutputError(
            str(out),
            f"holds a result {other}",
            remedy=Remedy(
                "choose another folder, or replace it with overwrite=True",
                command_line="choose another --out, or replace it with --overwrite",
            ),
        )


def _other_result(path: Path, result: SlideResult) -> str:
    """Say how a stored result differs from `result` in what identifies it; "" if it does not."""
    try:
        kept = identity(read_json(path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "that cannot be read"
    mine = identity(result_document(result))
    differing = [name for name in mine if name in kept and kept[name] != mine[name]]
    return f"of another {differing[0]}" if differing else ""


def identity(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what identifies a result: two results with equal values may replace each other.

    Device, precision and threads are left out, since they change the last digits only, and so is
    what earlier versions did not write.
    """
    slide, model, settings = document["slide"], document["model"], document["settings"]
    found = {
        "slide": slide["fingerprint"],
        "pixel size": slide["mpp"],
        "model": model["sha256"],
        "budget": "all" if settings["exhaustive"] else list(settings["budget"]),
    }
    for name in ("tissue", "steering"):
        if name in settings:
            given = settings[name]
            found[name] = (
                given["sha256"] if given["source"] in ("drawn", "epithelium", "given") else ""
            )
    return found


def _move_in(draft: Path, out: Path) -> None:
    """Move the finished files in; other files in the folder stay."""
    if not out.exists():
        move(draft, out)
        return
    # Removed first: while files change, the folder must not pass for complete.
    remove(out / "manifest.json")
    remove(out / "result.json")
    for name in FILES:
        if (draft / name).exists():
            move(draft / name, out / name)
        else:
            remove(out / name)


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
    if result.tissue is not None or result.state == "no_tissue":
        shape = result.slide.height, result.slide.width
        write_tissue(
            folder / "tissue.geojson",
            tissue_polygons(result.tissue, shape) if result.tissue else [],
            fingerprint=result.slide.fingerprint,
            mpp=result.slide.mpp,
        )


def _blank(result: SlideResult) -> Thumbnail:
    height, width = result.slide.height, result.slide.width
    downsample = max(height, width, 1) / _BLANK
    shape = max(1, round(height / downsample)), max(1, round(width / downsample)), 3
    return Thumbnail(np.full(shape, 244, np.uint8), downsample)
