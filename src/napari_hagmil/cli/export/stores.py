"""``export spatialdata`` and ``export attention``: an analysis for other frameworks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_hagmil.cli.terminal import answer, say
from napari_hagmil.cli.verb import Verb, argument, json_option, option, pseudonymise_option


@dataclass(frozen=True)
class SpatialDataOptions:
    """Options of ``export spatialdata``."""

    result: Path = argument(
        "result", type=Path, metavar="RESULT", help="a folder that analyze wrote"
    )
    out: Path = argument("below", type=Path, metavar="OUT.zarr")
    pseudonymise: bool = pseudonymise_option()
    json: bool = json_option()


def export_spatialdata(options: SpatialDataOptions) -> int:
    """Write an analysis as a SpatialData store."""
    from napari_hagmil.export.on_request.spatial import write_spatialdata

    write_spatialdata(options.result, options.out)
    if options.json:
        answer({"store": str(options.out)})
    else:
        say(options.out)
    return 0


@dataclass(frozen=True)
class AttentionOptions:
    """Options of ``export attention``."""

    result: Path = argument(
        "result", type=Path, metavar="RESULT", help="a folder that analyze wrote"
    )
    slide: Path = argument("slide", type=Path, metavar="SLIDE", help="the DICOM slide")
    out: Path = argument("below", type=Path, metavar="OUT.dcm")
    depth: int | None = option(
        "--depth", type=int, help="which depth, 0 the coarsest (default the deepest)"
    )
    pseudonymise: bool = pseudonymise_option()
    json: bool = json_option()


def export_attention(options: AttentionOptions) -> int:
    """Write the attention of a depth as a parametric map."""
    from napari_hagmil.cohort.cohort import default_name
    from napari_hagmil.export.on_request.dicom import write_attention_dicom
    from napari_hagmil.export.on_request.tiles import chosen_stages
    from napari_hagmil.export.result_reader import read_result, require_result_of
    from napari_hagmil.slide import open_slide

    with open_slide(options.slide) as slide:
        require_result_of(options.result, slide.fingerprint)
    result = read_result(options.result)
    (stage,) = chosen_stages(result, () if options.depth is None else (options.depth,))
    pseudonym = default_name(options.slide) if options.pseudonymise else ""
    write_attention_dicom(options.out, options.slide, result, stage, pseudonym=pseudonym)
    if options.json:
        answer({"file": str(options.out), "depth": stage.depth})
    else:
        say(options.out)
    return 0


SPATIALDATA = Verb(
    "export spatialdata",
    SpatialDataOptions,
    export_spatialdata,
    "write an analysis as a SpatialData store",
)
ATTENTION = Verb(
    "export attention",
    AttentionOptions,
    export_attention,
    "write attention as a DICOM parametric map of a DICOM slide",
)
