"""``export annotations``, ``export tiles``, ``export crops``."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_hagmil.cli.terminal import answer, say
from napari_hagmil.cli.verb import (
    Verb,
    argument,
    json_option,
    mpp_option,
    option,
    out_option,
    pseudonymise_option,
)
from napari_hagmil.errors import OutputError

if TYPE_CHECKING:
    from napari_hagmil.review import Annotation, PathClass
    from napari_hagmil.slide.canvas import Origin

_SOURCE = (
    "what analyze wrote (a folder), GeoJSON, XML of ASAP or ImageScope, or annotations of DICOM"
)


def _depths(text: str) -> tuple[int, ...]:
    """Whole numbers with commas between them, or "all"."""
    if text == "all":
        return (-1,)
    parts = text.split(",")
    if not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is neither all nor depths like 0,2")
    return tuple(dict.fromkeys(map(int, parts)))


@dataclass(frozen=True)
class TilesOptions:
    """Options of ``export tiles``."""

    result: Path = argument(
        "result", type=Path, metavar="RESULT", help="a folder that analyze wrote"
    )
    out: Path = argument("below", type=Path, metavar="OUT.geojson")
    depths: tuple[int, ...] = option(
        "--depth",
        type=_depths,
        default=(),
        metavar="D[,D…]|all",
        help="which depths, 0 the coarsest (default the deepest)",
    )
    pseudonymise: bool = pseudonymise_option()
    json: bool = json_option()


def export_tiles(options: TilesOptions) -> int:
    """Write every patch that was looked at as a detection."""
    from napari_hagmil.export.on_request.tiles import write_tiles
    from napari_hagmil.export.result_reader import read_result

    result = read_result(options.result)
    depths = options.depths
    if depths == (-1,):
        depths = tuple(stage.depth for stage in result.stages)
    n_tiles = write_tiles(result, options.out, depths)
    if options.json:
        answer({"file": str(options.out), "tiles": n_tiles})
    else:
        say(f"detections: {n_tiles}, in {options.out}")
    return 0


@dataclass(frozen=True)
class AnnotationsOptions:
    """Options of ``export annotations``."""

    source: Path = argument("result", type=Path, metavar="SOURCE", help=_SOURCE)
    out: Path = argument(
        "below",
        type=Path,
        metavar="OUT",
        help="a name that ends in .geojson, .xml (for ASAP), .csv, or .dcm (for a DICOM slide)",
    )
    slide: Path | None = option(
        "--slide",
        place="slide",
        type=Path,
        metavar="SLIDE",
        help="of MIRAX, BIF and Leica slides ASAP counts from another corner: asks the slide",
    )
    pseudonymise: bool = pseudonymise_option()
    json: bool = json_option()


def export_annotations(options: AnnotationsOptions) -> int:
    """Write annotations of one program as those of another."""
    from napari_hagmil.export.review import ENDINGS, ReviewWish, write_review
    from napari_hagmil.review import ReviewState

    mpp, origin = _frame(options.source, options.slide)
    drawn, classes = _read(options.source, origin, options.slide)
    kinds = {ending: kind for kind, ending in ENDINGS.items()}
    kind = kinds.get(options.out.suffix.lower())
    if options.out.suffix.lower() == ".dcm":
        _write_dicom(options, drawn)
        written = options.out
    elif kind is None:
        raise OutputError(
            options.out.name,
            "must end in .geojson, .xml, .csv or .dcm",
            remedy="give it such a name",
        )
    else:
        state = ReviewState(annotations=tuple(drawn), classes=tuple(classes))
        wish = ReviewWish(formats=(kind,), origin=origin)
        (written,) = write_review(options.out, state, wish, mpp=mpp)
    if options.json:
        answer({"file": str(written), "annotations": len(drawn)})
    else:
        say(f"annotations: {len(drawn)}, in {written}")
    return 0


@dataclass(frozen=True)
class CropsOptions:
    """Options of ``export crops``."""

    slide: Path = argument("slide", type=Path, metavar="SLIDE")
    source: Path = argument("result", type=Path, metavar="SOURCE", help=_SOURCE)
    out: Path = out_option()
    kind: Literal["png", "ome-tiff"] = option(
        "--as", choices=("png", "ome-tiff"), default="png", help="default png"
    )
    at_mpp: float | None = option(
        "--at", type=float, metavar="MPP", help="µm per pixel of the pictures (default level 0)"
    )
    margin: float = option(
        "--margin", type=float, default=0.0, metavar="UM", help="more around each region, µm"
    )
    mpp: float | None = mpp_option()
    pseudonymise: bool = pseudonymise_option()
    json: bool = json_option()


def export_crops(options: CropsOptions) -> int:
    """Cut regions out of a slide."""
    from napari_hagmil.export.on_request.crops import CropWish, write_crops
    from napari_hagmil.slide import open_slide

    with open_slide(options.slide, mpp=options.mpp) as slide:
        _require_same(options.source, slide.fingerprint)
        drawn, _ = _read(options.source, slide.origin)
        wish = CropWish(options.kind, options.at_mpp, options.margin)
        *pictures, table = write_crops(slide, drawn, options.out, wish)
    if options.json:
        answer({"files": [str(path) for path in pictures], "table": str(table)})
    else:
        say(f"pictures: {len(pictures)}, in {options.out}; their places are in {table.name}")
    return 0


def _write_dicom(options: AnnotationsOptions, drawn: list[Annotation]) -> None:
    from napari_hagmil.cohort.cohort import default_name
    from napari_hagmil.export.on_request.dicom import write_dicom_annotations
    from napari_hagmil.export.result_reader import read_result

    if options.slide is None:
        raise OutputError(
            options.out.name, "needs the DICOM slide that it is of", remedy="give --slide"
        )
    model = read_result(options.source).model.name if options.source.is_dir() else ""
    pseudonym = default_name(options.slide) if options.pseudonymise else ""
    write_dicom_annotations(options.out, options.slide, drawn, algorithm=model, pseudonym=pseudonym)


def _read(
    source: Path, origin: Origin, slide: Path | None = None
) -> tuple[list[Annotation], list[PathClass]]:
    from napari_hagmil.export.annotations_reader import read_annotations
    from napari_hagmil.export.on_request.dicom import read_dicom_annotations
    from napari_hagmil.export.result_reader import require_unchanged

    path = source / "regions.geojson" if source.is_dir() else source
    if source.is_dir():
        require_unchanged(source, (path.name,))
    if path.suffix.lower() == ".dcm":
        return read_dicom_annotations(path, slide)
    return read_annotations(path, origin=origin, on_note=say)


def _frame(source: Path, slide: Path | None) -> tuple[float | None, Origin]:
    """µm per pixel, and where the scan lies on the canvas: of the slide, or of its analysis."""
    from napari_hagmil.export.result_reader import read_slide_summary
    from napari_hagmil.slide import open_slide

    if slide is not None:
        with open_slide(slide) as opened:
            _require_same(source, opened.fingerprint)
            return opened.mpp, opened.origin
    if source.is_dir():
        summary = read_slide_summary(source)
        return summary.mpp, summary.canvas_origin
    return None, (0, 0)


def _require_same(source: Path, fingerprint: str) -> None:
    from napari_hagmil.export.result_reader import require_result_of

    if source.is_dir():
        require_result_of(source, fingerprint)


ANNOTATIONS = Verb(
    "export annotations",
    AnnotationsOptions,
    export_annotations,
    "write annotations as GeoJSON for QuPath, XML for ASAP, or a table",
)
TILES = Verb(
    "export tiles",
    TilesOptions,
    export_tiles,
    "write the patches of an analysis as detections for QuPath",
)
CROPS = Verb(
    "export crops", CropsOptions, export_crops, "cut regions out of a slide, with their places"
)
