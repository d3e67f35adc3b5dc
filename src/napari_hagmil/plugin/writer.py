"""napari's writers: layers → GeoJSON, XML for ASAP, OME-Zarr."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Layer

from napari_hagmil.errors import OutputError
from napari_hagmil.export.ome_zarr import write_map_zarr
from napari_hagmil.export.review import Format, ReviewWish, write_review
from napari_hagmil.plugin.layer_shapes import drawn_in
from napari_hagmil.plugin.layers import KEY
from napari_hagmil.plugin.shown import slide_shown
from napari_hagmil.review import ReviewState

FullLayerData = tuple[Any, dict[str, Any], str]

_XML = ".xml"


def write_annotations(path: str, layer_data: Sequence[FullLayerData]) -> list[str]:
    """Write Shapes, Points and Labels layers as annotations, in the frame of the slide shown.

    Parameters
    ----------
    path : str
        Ends in .geojson (for QuPath) or .xml (for ASAP).
    layer_data : sequence of (data, metadata, type)
        As npe2 hands layers to a writer.

    Returns
    -------
    list of str
        The file.

    Raises
    ------
    OutputError
        When a layer lies in µm and no slide is open, or the file cannot be written.
    """
    layers = [Layer.create(*one) for one in layer_data]
    mpp, origin = slide_shown()
    _require_frame(layers, mpp)
    drawn, classes = drawn_in(layers, mpp)
    kind: Format = "asap" if path.lower().endswith(_XML) else "geojson"
    wish = ReviewWish(formats=(kind,), origin=origin)
    state = ReviewState(annotations=tuple(drawn), classes=tuple(classes))
    return [str(one) for one in write_review(path, state, wish, mpp=mpp)]


def write_mask(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write the objects of a Labels layer as outlines: what ``--tissue`` and ``truth`` read."""
    return write_annotations(path, [(data, meta, "labels")])


def write_map(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a map over the slide, as attention is, as an OME-Zarr image in its place.

    Raises
    ------
    OutputError
        When the layer is a picture, turned, or the file cannot be written.
    """
    layer = Layer.create(data, meta, "image")
    if layer.ndim != 2 or layer.rgb or layer.multiscale:
        raise OutputError(
            layer.name,
            "is no map of one value per place",
            remedy="copy a slide with napari-hagmil pyramid",
        )
    if not np.allclose(layer.affine.affine_matrix, np.eye(3)) or np.any(layer.rotate != np.eye(2)):
        raise OutputError(layer.name, "is turned", remedy="turn it back")
    # Of our own attention only a part may be shown: above a percentile, outside of a region.
    whole = layer.metadata.get(KEY, {}).get("values", layer.data)
    values = np.where(np.isnan(layer.data), whole, layer.data)
    in_um = all(str(unit) == "micrometer" for unit in layer.units)
    write_map_zarr(
        Path(path),
        values,
        placement=(layer.scale, layer.translate),
        name=layer.name,
        unit="micrometer" if in_um else "",
    )
    return [path]


def _require_frame(layers: Sequence[Any], mpp: float | None) -> None:
    for layer in layers:
        if mpp is None and any(str(unit) != "pixel" for unit in layer.units):
            raise OutputError(
                layer.name,
                "lies in µm, and no slide says how many of them a pixel has",
                remedy="open its slide first",
            )
