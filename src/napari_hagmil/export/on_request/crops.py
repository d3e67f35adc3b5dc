"""Pixels of regions as pictures, with the place of each on the slide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
from PIL import Image

from napari_hagmil.errors import OutputError, Remedy
from napari_hagmil.files import replacing, write_csv
from napari_hagmil.geometry import Region
from napari_hagmil.polygons import Outline
from napari_hagmil.review import Annotation
from napari_hagmil.slide import Slide, read_scaled
from napari_hagmil.slide.interface import Pixels

CropFormat = Literal["png", "ome-tiff"]

ENDINGS: dict[CropFormat, str] = {"png": ".png", "ome-tiff": ".ome.tiff"}

#: A picture with more pixels is asked for again, coarser: it is held in memory whole.
MOST_PIXELS = 200_000_000

_TILE = 256

_COLUMNS = (
    "file", "id", "class", "y", "x", "height", "width", "downsample", "mpp", "canvas_y", "canvas_x",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CropWish:
    """How regions are cut out.

    Attributes
    ----------
    kind : str
        "png" (8-bit RGB) or "ome-tiff" (any slide; µm per pixel and place within).
    mpp : float or None
        µm per pixel of the pictures; None: as level 0.
    margin_um : float
        How much more than the region is shown on each side, µm.
    """

    kind: CropFormat = "png"
    mpp: float | None = None
    margin_um: float = 0.0


def write_crops(
    slide: Slide, drawn: Iterable[Annotation], folder: str | Path, wish: CropWish
) -> Iterator[Path]:
    """Write the rectangle around each area, and ``crops.csv`` with the place of each.

    The table has a row per picture: y, x, height and width in level-0 px (of the scan; canvas_y
    and canvas_x count from the corner of OpenSlide's canvas), downsample and µm per pixel. What
    lies beyond the slide is background, and what cannot be read is hatched. An OME-TIFF also
    says where its first pixel has its centre: µm from the centre of the slide's.

    Parameters
    ----------
    slide : Slide
        An open slide.
    drawn : iterable of Annotation
        Level-0 px; points are passed over.
    folder : path
        Made when missing; pictures of the same names are replaced.
    wish : CropWish

    Yields
    ------
    Path
        Each picture as it is written, and at last the table.

    Raises
    ------
    OutputError
        When a picture would be too large, the slide does not fit its format, or the folder
        cannot be written.
    """
    if wish.kind == "png" and not slide.is_brightfield:
        raise OutputError(
            slide.name,
            "is not 8-bit RGB, and PNG holds nothing else",
            remedy=Remedy("choose ome-tiff", command_line="choose --as ome-tiff"),
        )
    margin = wish.margin_um / slide.require_mpp() if wish.margin_um else 0.0
    downsample = wish.mpp / slide.require_mpp() if wish.mpp else 1.0
    areas = [one for one in drawn if one.is_area]
    rows = []
    for number, one in enumerate(areas, start=1):
        name = f"region-{number:04d}{ENDINGS[wish.kind]}"
        place = place_of(one.points, margin, downsample)
        _write(Path(folder) / name, slide, place, downsample, wish.kind)
        rows.append(_row(name, one, place, downsample, slide))
        yield Path(folder) / name
    table = Path(folder) / "crops.csv"
    write_csv(table, _COLUMNS, rows)
    yield table


def place_of(points: Outline, margin: float, downsample: float) -> Region:
    """The rectangle around an outline, of whole pixels of the picture.

    Parameters
    ----------
    points : Outline
        (y, x) in level-0 px.
    margin : float
        Added on each side, level-0 px.
    downsample : float
        Level-0 px per pixel of the picture.
    """
    corners = np.asarray(points)
    # Edges of level-0 pixels lie at halves.
    first = np.floor(corners.min(axis=0) + 0.5 - margin).astype(int)
    last = np.ceil(corners.max(axis=0) + 0.5 + margin).astype(int)
    sides = [max(1, round(np.ceil(side / downsample) * downsample)) for side in last - first]
    return Region(int(first[0]), int(first[1]), *sides)


def _write(path: Path, slide: Slide, place: Region, downsample: float, kind: CropFormat) -> None:
    shape = max(1, round(place.height / downsample)), max(1, round(place.width / downsample))
    if shape[0] * shape[1] > MOST_PIXELS:
        raise OutputError(
            path.name,
            f"would have {shape[0]:,} × {shape[1]:,} pixels, and at most {MOST_PIXELS:,} are "
            "written in one picture",
            remedy=Remedy("give a larger mpp", command_line="give a larger --mpp"),
        )
    pixels = read_scaled(slide, place, shape, mark_unreadable=True)
    with replacing(path) as draft:
        if kind == "png":
            with draft.open("wb") as file:
                Image.fromarray(pixels).save(file, format="PNG")
        else:
            _write_ome_tiff(draft, pixels, slide, place, downsample)


def _write_ome_tiff(
    path: Path, pixels: Pixels, slide: Slide, place: Region, downsample: float
) -> None:
    rgb, resolution = slide.is_rgb, None
    metadata: dict[str, Any] = {"axes": "YXS" if rgb else "CYX"}
    if slide.mpp:
        mpp = slide.mpp * downsample
        y, x = ((at + (downsample - 1) / 2) * slide.mpp for at in (place.y, place.x))
        n_planes = 1 if rgb else pixels.shape[2]
        metadata |= {
            **{f"PhysicalSize{axis}": mpp for axis in "XY"},
            **{f"PhysicalSize{axis}Unit": "µm" for axis in "XY"},
            "Plane": {
                "PositionX": [x] * n_planes, "PositionY": [y] * n_planes,
                "PositionXUnit": ["µm"] * n_planes, "PositionYUnit": ["µm"] * n_planes,
            },
        }  # fmt: skip
        resolution = (1e4 / mpp, 1e4 / mpp)
    with path.open("wb") as file:
        tifffile.imwrite(
            file,
            pixels if rgb else np.moveaxis(pixels, -1, 0),
            ome=True,
            photometric="rgb" if rgb else "minisblack",
            tile=(_TILE, _TILE),
            compression="adobe_deflate",
            resolution=resolution,
            resolutionunit="CENTIMETER" if resolution else None,
            metadata=metadata,
        )


def _row(
    name: str, one: Annotation, place: Region, downsample: float, slide: Slide
) -> list[object]:
    mpp = slide.mpp * downsample if slide.mpp else ""
    sides = place.y, place.x, place.height, place.width
    canvas = place.y + slide.origin[0], place.x + slide.origin[1]
    return [name, one.id, one.path_class, *sides, downsample, mpp, *canvas]
