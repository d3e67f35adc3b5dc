"""Annotations as a mask: a picture over the slide whose values are the numbers of classes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_hagmil.attention.rings import label_areas, trace_rings
from napari_hagmil.errors import AnnotationError
from napari_hagmil.files import replacing
from napari_hagmil.polygons import Rings, area_of, fill, outline, raster_shape
from napari_hagmil.purpose import RESEARCH_USE
from napari_hagmil.review.classes import UNCLASSIFIED, PathClass

SCHEMA = "napari-hagmil/mask/1"

#: Pixels of the mask's longer side at most: 64 MB before it is compressed.
MOST_PIXELS = 8192

#: Values of a byte besides that of nothing.
MOST_CLASSES = 255

Area = tuple[Rings, PathClass]
"""Outlines in level-0 px, and the class; its name is empty for none."""


def write_mask(
    path: Path, areas: Sequence[Area], slide_shape: tuple[int, int], *, mpp: float | None
) -> None:
    """Write areas as a tiled TIFF of bytes: 0 is nothing, the others are named in its description.

    Where areas overlap, the smaller one counts: a part lies on what it is a part of.

    Parameters
    ----------
    path : Path
        Replaced whole.
    areas : sequence of (Rings, PathClass)
        Level-0 px.
    slide_shape : tuple of int
        Rows and columns of level 0.
    mpp : float or None
        µm per level-0 px; None: unknown.

    Raises
    ------
    AnnotationError
        When there are more classes than a byte can tell apart.
    OutputError
        When the file cannot be written.
    """
    classes = list({one.name: one for _, one in areas}.values())
    if len(classes) > MOST_CLASSES:
        raise AnnotationError(
            "a mask", f"can tell {MOST_CLASSES} classes apart", value=len(classes),
            remedy="choose fewer classes",
        )  # fmt: skip
    downsample = max(1, -(-max(slide_shape) // MOST_PIXELS))
    numbers = {one.name: number for number, one in enumerate(classes, start=1)}
    values = np.zeros(raster_shape(slide_shape, downsample), np.uint8)
    for rings, path_class in sorted(areas, key=lambda one: -area_of(one[0])):
        _put(values, rings, downsample, numbers[path_class.name])
    said = {
        "schema": SCHEMA,
        "purpose": RESEARCH_USE,
        "downsample": downsample,
        "slide_shape": list(slide_shape),
        "classes": [
            {"value": numbers[one.name], "name": one.name, "color": list(one.color)}
            for one in classes
        ],
    }
    facts: dict[str, Any] = {"description": json.dumps(said), "metadata": None}
    if mpp is not None:
        facts |= {"resolution": (1e4 / (mpp * downsample),) * 2, "resolutionunit": "CENTIMETER"}
    with replacing(path) as draft, tifffile.TiffWriter(draft) as tiff:
        tiff.write(values, tile=(256, 256), compression="zlib", **facts)


def _put(values: NDArray[np.uint8], rings: Rings, downsample: int, number: int) -> None:
    """Set the pixels whose centres lie in an area."""
    corners = np.asarray(rings.outer)
    low = np.floor((corners.min(axis=0) + 0.5) / downsample).astype(int)
    high = np.ceil((corners.max(axis=0) + 0.5) / downsample).astype(int) + 1
    (top, left), (bottom, right) = np.clip(low, 0, None), np.clip(high, 0, values.shape)
    if top >= bottom or left >= right:
        return
    rows, columns = (
        (np.arange(first, last, dtype=np.float64) + 0.5) * downsample - 0.5
        for first, last in ((top, bottom), (left, right))
    )
    inside = fill([rings.outer, *rings.holes], rows, columns)
    values[top:bottom, left:right][inside] = number


def read_mask(path: Path) -> list[Area]:
    """Read the areas of a mask that `write_mask` wrote, with their holes; one per piece.

    Raises
    ------
    AnnotationError
        When it is no such mask.
    """
    try:
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages.first
            said = json.loads(page.description)
            if said.get("schema") != SCHEMA or page.dtype != np.uint8 or page.ndim != 2:
                raise ValueError("not a mask of this program")
            if max(page.shape) > MOST_PIXELS:
                raise ValueError(f"more than {MOST_PIXELS} pixels a side")
            classes = {int(one["value"]): _class(one) for one in said["classes"]}
            downsample = int(said["downsample"])
            values = page.asarray()
    except Exception as error:  # what tifffile raises on a damaged file has no base
        raise AnnotationError(
            path.name,
            "must be a mask that a review has written",
            value=str(error)[:80],
            remedy="open other masks as a layer and save that as outlines",
        ) from error
    found: list[Area] = []
    for number in np.unique(values[values > 0]).tolist():
        path_class = classes.get(number, UNCLASSIFIED)
        for _, rings in trace_rings(label_areas(values == number)):
            outer, *holes = (outline(ring * downsample - 0.5) for ring in rings)
            found.append((Rings(outer, tuple(holes)), path_class))
    return found


def _class(said: Any) -> PathClass:
    red, green, blue = (int(part) for part in said["color"])
    if not (isinstance(said["name"], str) and all(0 <= part <= 255 for part in (red, green, blue))):
        raise ValueError("a class without a name or a colour")
    return PathClass(said["name"], (red, green, blue))
