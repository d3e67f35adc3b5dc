"""Files of this package and of annotating programs as napari layers, over the slide, in µm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_hagmil.errors import ResultError
from napari_hagmil.export.annotations_reader import read_annotations
from napari_hagmil.export.geojson_reader import read_polygons
from napari_hagmil.export.result_json import SCHEMA
from napari_hagmil.export.result_reader import read_result
from napari_hagmil.plugin.labels import with_room
from napari_hagmil.plugin.layers import (
    ATTENTION_COLORMAP,
    ATTENTION_OPACITY,
    KEY,
    LayerTuple,
    attention_layer,
    branches_layer,
)
from napari_hagmil.plugin.review_layers import (
    MOST_SHAPES,
    annotation_lines_layer,
    annotations_layer,
    points_layer,
    points_of,
    regions_layer,
    shapes_of,
)
from napari_hagmil.review import ReviewRegion, new_id
from napari_hagmil.slide import open_slide
from napari_hagmil.slide.canvas import Origin
from napari_hagmil.untrusted import read_json

#: A cascade has no more depths.
_MOST_DEPTHS = 16

#: More outlines than this, of fewer than this share of which the labels have room, have none.
_CROWD, _LEGIBLE = 20, 0.75

#: Pixels of a screen that a slide fills at first: outlines are made visible there.
_SCREEN = 1200

#: Where `write_attention_zarr` says that a group is its own.
_MARK = "napari-hagmil"


def is_result(folder: Path) -> bool:
    """Whether a folder is one that `analyze` has written."""
    said = _json(folder / "result.json")
    return said.get("schema") == SCHEMA


def attention_images(folder: Path) -> list[Path]:
    """Images of an ``attention.ome.zarr``, coarse to fine; empty where it is none.

    `folder` may also be one of its images.
    """
    attributes = _json(folder / "zarr.json").get("attributes")
    if not isinstance(attributes, dict) or _MARK not in attributes:
        return []
    ome = attributes.get("ome")
    if isinstance(ome, dict) and "multiscales" in ome:
        return [folder]
    found = (folder / str(number) for number in range(_MOST_DEPTHS))
    return [path for path in found if path.is_dir()]


def result_layers(folder: Path) -> list[LayerTuple]:
    """Attention of every depth, branches and regions of an analysis.

    The deepest attention alone is shown at first: the others lie under it.

    Raises
    ------
    ResultError
        When the folder holds no analysis that was carried to its end.
    """
    result = read_result(folder)
    shape, mpp = (result.slide.height, result.slide.width), result.slide.mpp
    found = [attention_layer(result.grids[one.depth], one, mpp) for one in result.stages]
    _show_last(found)
    found.append(branches_layer(result.grids, result.stages, mpp, shape))
    if (folder / "regions.geojson").is_file():
        rings = read_polygons(folder / "regions.geojson")
        regions = [ReviewRegion(new_id(), one.outer, one.holes) for one in rings]
        found.append(regions_layer(regions, mpp, um_per_px=max(shape) * mpp / _SCREEN))
    return [_of_file(layer, folder, str(folder)) for layer in found]


def attention_layers(images: Sequence[Path]) -> list[LayerTuple]:
    """The images of an ``attention.ome.zarr`` with the values of the file, deepest shown."""
    found = [_attention_layer(path) for path in images]
    _show_last(found)
    return found


def annotation_layers(path: Path, mpp: float | None, origin: Origin = (0, 0)) -> list[LayerTuple]:
    """What people drew elsewhere, as shapes and points in the colours of their classes.

    Parameters
    ----------
    path : Path
        GeoJSON, or XML of ASAP, ImageScope or HALO.
    mpp : float or None
        µm per level-0 pixel of the slide; None: the layers are in pixels.
    origin : tuple of int
        `Slide.origin`, from whose canvas the XML counts.

    Raises
    ------
    AnnotationError
        When the file is neither.
    """
    drawn, classes = read_annotations(path, origin=origin)
    shapes, points = shapes_of(drawn), points_of(drawn)
    found = []
    if shapes or not drawn:
        farthest = max((max(place) for one in shapes for place in one.points), default=1.0)
        width = max(farthest, 1.0) * (mpp or 1.0) / _SCREEN
        # napari draws many shapes in minutes, and lines at once.
        many = len(shapes) > MOST_SHAPES
        look = annotation_lines_layer if many else annotations_layer
        layer = look(drawn, tuple(classes), mpp, um_per_px=width)
        found.append(layer if many else _legible(layer, width))
    if points:
        found.append(points_layer(drawn, tuple(classes), mpp))
    named = [_of_file(layer, path) for layer in found]
    for _, meta, _ in named:
        meta["name"] = path.name
        meta["units"] = ("um", "um") if mpp else ("pixel", "pixel")
    return named


def _legible(layer: LayerTuple, um_per_px: float) -> LayerTuple:
    """The layer with the labels that have room when all of it is seen; none of a crowd.

    Detections of QuPath, tiles and cells, lie side by side: their labels hide what they label.
    """
    rings, meta, kind = layer
    labels = meta["features"]["label"]
    places = [np.min(ring, axis=0) / um_per_px for ring in rings]
    shown = with_room(places, labels)
    if len(labels) > _CROWD and shown.mean() < _LEGIBLE:
        shown[:] = False
    legible = [text if seen else "" for text, seen in zip(labels, shown, strict=True)]
    return rings, {**meta, "features": {**meta["features"], "label": legible}}, kind


def _attention_layer(path: Path) -> LayerTuple:
    with open_slide(path) as slide:
        placement = slide.reader.facts.placement
        if placement is None:
            raise ResultError(
                path.name, "does not say where it lies on the slide", remedy="analyze it again"
            )
        values = slide.read(0, (0, 0), slide.shape)[..., 0]
    ome: Any = _json(path / "zarr.json")["attributes"]["ome"]
    return (
        values,
        {
            "name": str(ome["multiscales"][0].get("name", path.name)),
            "scale": placement.scale,
            "translate": placement.translation,
            "units": ("um", "um"),
            "colormap": ATTENTION_COLORMAP,
            "contrast_limits": (0.0, float(np.nanmax(values, initial=0.0)) or 1.0),
            "interpolation2d": "nearest",
            "blending": "translucent",
            "opacity": ATTENTION_OPACITY,
            "metadata": {KEY: {"file": path.name}},
        },
        "image",
    )


def _show_last(layers: Sequence[LayerTuple]) -> None:
    for number, (_, meta, _) in enumerate(layers, start=1):
        meta["visible"] = number == len(layers)


def _of_file(layer: LayerTuple, path: Path, result: str = "") -> LayerTuple:
    """The layer without the marks by which the docks know their own; with that of an analysis."""
    data, meta, kind = layer
    facts = {"file": path.name, "result": result} if result else {"file": path.name}
    return data, {**meta, "metadata": {KEY: facts}}, kind


def _json(path: Path) -> dict[str, Any]:
    try:
        said = read_json(path)
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
