"""What is drawn in napari's layers, of this plugin or any other, as outlines on the slide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Labels, Layer, Points, Shapes
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from napari_hagmil.attention.rings import label_areas, trace_rings
from napari_hagmil.errors import OutputError
from napari_hagmil.polygons import Rings, ellipse_around, outline, valid_parts
from napari_hagmil.review import UNCLASSIFIED, Annotation, AnnotationKind, PathClass, new_id

#: More objects are cells, and belong into another program.
MOST_LABELS = 20_000

#: Columns of a layer's features that name a class, first found first.
_CLASS_COLUMNS = ("class", "classification", "path_class", "category")


def drawn_in(
    layers: Sequence[Layer], mpp: float | None
) -> tuple[list[Annotation], list[PathClass]]:
    """Shapes, points and labels of layers as annotations, with their classes.

    An object's class is what a column of its layer's features says ("class", "classification",
    "category"), or the layer's name. Each object of a Labels layer is an annotation per piece.

    Parameters
    ----------
    layers : sequence of napari.layers.Layer
        Two-dimensional.
    mpp : float or None
        µm per level-0 pixel of their slide; None: the world's unit is a pixel.

    Raises
    ------
    OutputError
        When a layer has more axes than a slide, or too many objects.
    """
    drawn: list[Annotation] = []
    classes: dict[str, PathClass] = {}
    for layer in layers:
        if layer.ndim != 2:
            raise OutputError(
                layer.name, "must have the two axes of a slide", value=f"{layer.ndim}",
                remedy="choose a plane of it",
            )  # fmt: skip
        found = _labels(layer, mpp) if isinstance(layer, Labels) else _vectors(layer, mpp)
        for annotation, color in found:
            classes.setdefault(annotation.path_class, PathClass(annotation.path_class, color))
            drawn.append(annotation)
    return drawn, list(classes.values())


def areas_in(layers: Sequence[Layer], mpp: float | None) -> list[Rings]:
    """The areas of layers, with the holes of labels; lines and points enclose nothing."""
    found: list[Rings] = []
    for layer in layers:
        if isinstance(layer, Labels):
            found += [rings for _, rings in _pieces(layer, mpp)]
        elif isinstance(layer, Shapes):
            found += [one.rings for one, _ in _vectors(layer, mpp) if one.is_area]
    return found


_Found = list[tuple[Annotation, tuple[int, int, int]]]


def _vectors(layer: Any, mpp: float | None) -> _Found:
    names = _class_names(layer, len(layer.data))
    if isinstance(layer, Points):
        kinds, colors = ["point"] * len(layer.data), layer.face_color
    elif isinstance(layer, Shapes):
        kinds, colors = list(layer.shape_type), layer.edge_color
    else:
        raise OutputError(
            layer.name, "holds no outlines", remedy="choose a Shapes, Points or Labels layer"
        )
    found: _Found = []
    for kind, points, name, color in zip(kinds, layer.data, names, colors, strict=True):
        for ours, corners in _as_ours(kind, np.atleast_2d(np.asarray(points, np.float64))):
            places = outline(on_slide(layer, corners, mpp))
            red, green, blue = (round(255 * float(part)) for part in color[:3])
            found.append((Annotation(new_id(), ours, places, name), (red, green, blue)))
    return found


def _as_ours(
    kind: str, points: NDArray[np.float64]
) -> list[tuple[AnnotationKind, NDArray[np.float64]]]:
    if kind == "point":
        return [("point", points)]
    if kind in ("line", "path"):
        return [("ruler" if len(points) == 2 else "polyline", points)]
    if kind == "ellipse":  # given by the corners around it
        return [("ellipse", np.asarray(ellipse_around(points)))]
    return [("polygon", points)]


def _class_names(layer: Any, n: int) -> list[str]:
    for column in _CLASS_COLUMNS:
        if column in layer.features:
            return [str(name) for name in layer.features[column]]
    return [layer.name] * n


def _labels(layer: Any, mpp: float | None) -> _Found:
    found: _Found = []
    single = None
    for value, rings in _pieces(layer, mpp):
        single = value if single is None else single
        color = layer.get_color(value)
        red, green, blue = (
            UNCLASSIFIED.color if color is None else (round(255 * float(c)) for c in color[:3])
        )
        name = layer.name if value == single else f"{layer.name} {value}"
        made = Annotation(new_id(), "polygon", rings.outer, name, holes=rings.holes)
        found.append((made, (red, green, blue)))
    return found


def _pieces(layer: Any, mpp: float | None) -> list[tuple[int, Rings]]:
    """Every connected piece of every object: its number, and its outlines on the slide."""
    values = np.asarray(layer.data[0] if layer.multiscale else layer.data)
    boxes = find_objects(values)
    numbers = [number for number, box in enumerate(boxes, start=1) if box is not None]
    if len(numbers) > MOST_LABELS:
        raise OutputError(
            layer.name, f"may have {MOST_LABELS:,} objects at most", value=f"{len(numbers):,}",
            remedy="choose a mask of areas, not of cells",
        )  # fmt: skip
    found = []
    for number in numbers:
        box = boxes[number - 1]
        first = np.array([side.start for side in box])
        for _, rings in trace_rings(label_areas(values[box] == number)):
            # Pixel centres are at integers, and rings run along edges.
            outer, *holes = (outline(on_slide(layer, ring + first - 0.5, mpp)) for ring in rings)
            found += [(number, part) for part in valid_parts(Rings(outer, tuple(holes)))]
    return found


def on_slide(layer: Any, points: NDArray[np.float64], mpp: float | None) -> NDArray[np.float64]:
    """Places in a layer's own pixels (n, 2) as level-0 px (y, x)."""
    origin = np.asarray(layer.data_to_world((0.0, 0.0)))
    steps = [np.asarray(layer.data_to_world(unit)) - origin for unit in ((1.0, 0.0), (0.0, 1.0))]
    world = origin + points[:, :1] * steps[0] + points[:, 1:] * steps[1]
    return np.asarray(world / (mpp or 1.0))
