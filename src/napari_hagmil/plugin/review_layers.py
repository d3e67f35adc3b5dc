"""Layers of a review, in µm: regions by decision, annotations by class, and edits read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from napari_hagmil.plugin.colors import ACCEPTED, OPEN, REJECTED
from napari_hagmil.plugin.labels import LABEL_SIZE
from napari_hagmil.plugin.layers import KEY, LayerTuple
from napari_hagmil.polygons import Outline, Rings, outline
from napari_hagmil.review import (
    UNCLASSIFIED,
    Annotation,
    AnnotationKind,
    PathClass,
    ReviewRegion,
    class_named,
    new_id,
)
from napari_hagmil.review.edit import redrawn
from napari_hagmil.review.measure import measure_label
from napari_hagmil.review.patches import decision_of

REGIONS, ANNOTATIONS, POINTS = "Attention regions", "Annotations", "Annotation points"
PATCHES = "Patches of the region"

#: The width repeats what they say.
DECISION_COLORS = {"unseen": OPEN, "accepted": ACCEPTED, "rejected": REJECTED}
_DECISION_PX = {"unseen": 2.5, "accepted": 2.5, "rejected": 1.2}
_CURRENT_PX = 5.0
ANNOTATION_PX = 2.5
#: More outlines than this are drawn as lines, which nobody can edit with napari's tools.
MOST_SHAPES = 200
_POINT_PX = 12.0
#: Width of a patch's outline, as a share of its side.
_PATCH_EDGE = 0.02

#: napari's names of the kinds of annotations, and back.
_SHAPE_OF = {"polygon": "polygon", "freehand": "polygon", "rectangle": "rectangle", "ruler": "line"}
_KIND_OF: dict[str, AnnotationKind] = {
    "polygon": "polygon",
    "rectangle": "rectangle",
    "ellipse": "rectangle",
    "line": "ruler",
    "path": "freehand",
}

#: A corner that moved by less is where it was: napari's float32 rounds; level-0 px.
_STILL = 1e-3

#: Black is readable on everything in a brightfield slide except single nuclei, under attention
#: or not; white only on nuclei. A fluorescence slide is dark.
LABEL_ON_BRIGHT, LABEL_ON_DARK = "#000000", "#ffffff"


def regions_layer(
    regions: Sequence[ReviewRegion],
    mpp: float,
    *,
    current: str = "",
    um_per_px: float = 1.0,
    label: str = LABEL_ON_BRIGHT,
) -> LayerTuple:
    """Regions as polygons: colour and width show the decision, the widest is the current one.

    A hole is a polygon of its own whose features name its region: napari draws and edits it like
    any other, and no seam runs through the tissue to it.
    """
    look = region_look(regions, current=current, um_per_px=um_per_px)
    return (
        [np.asarray(ring) * mpp for one in regions for ring in (one.polygon, *one.holes)],
        {
            **common(REGIONS),
            "shape_type": "polygon",
            "face_color": "transparent",
            "text": _text(label),
            "features": region_features(regions),
            **look,
        },
        "shapes",
    )


def region_features(regions: Sequence[ReviewRegion]) -> dict[str, list[Any]]:
    """Of each ring: id of its region, index (0 is the outer ring, then the holes), and label."""
    rows = [(one, ring) for one in regions for ring in range(1 + len(one.holes))]
    return {
        "id": [one.id for one, _ in rows],
        "ring": [ring for _, ring in rows],
        "label": [
            one.path_class if one.decision != "rejected" and not ring else "" for one, ring in rows
        ],
    }


def region_look(
    regions: Sequence[ReviewRegion], *, current: str = "", um_per_px: float = 1.0
) -> dict[str, Any]:
    """Colours and widths of each ring; `um_per_px` is µm per pixel of the screen."""
    rings = [one for one in regions for _ in range(1 + len(one.holes))]
    widths = [_CURRENT_PX if one.id == current else _DECISION_PX[one.decision] for one in rings]
    return {
        "edge_color": [DECISION_COLORS[one.decision] for one in rings] or OPEN,
        "edge_width": [width * um_per_px for width in widths] or 1.0,
    }


def patches_layer(region: ReviewRegion, mpp: float) -> LayerTuple:
    """The patches of a region as squares in the colours of what was decided on them.

    Squares and not shapes, of which napari takes seconds to draw some thousands.
    """
    boxes = np.array([one.box for one in region.patches]).reshape(-1, 4) * mpp
    return (
        (boxes[:, :2] + boxes[:, 2:]) / 2,
        {
            **common(PATCHES),
            "symbol": "square",
            "size": (boxes[:, 2:] - boxes[:, :2]).min(axis=1),
            "face_color": "transparent",
            "border_color": [DECISION_COLORS[decision_of(region, one)] for one in region.patches],
            "border_width": _PATCH_EDGE,
        },
        "points",
    )


def annotations_layer(
    annotations: Sequence[Annotation],
    classes: tuple[PathClass, ...],
    mpp: float | None,
    *,
    um_per_px: float = 1.0,
    label: str = LABEL_ON_BRIGHT,
) -> LayerTuple:
    """All annotations but points, in the colours of their classes, with their measures.

    Without `mpp` they are placed and measured in pixels.
    """
    drawn = shapes_of(annotations)
    return (
        [np.asarray(one.points) * (mpp or 1.0) for one in drawn],
        {
            **common(ANNOTATIONS),
            "shape_type": [_SHAPE_OF[one.kind] for one in drawn] or "polygon",
            "face_color": "transparent",
            "edge_width": ANNOTATION_PX * um_per_px,
            "edge_color": annotation_colors(drawn, classes),
            "text": _text(label),
            "features": annotation_features(drawn, mpp),
        },
        "shapes",
    )


def annotation_lines_layer(
    annotations: Sequence[Annotation],
    classes: tuple[PathClass, ...],
    mpp: float | None,
    *,
    um_per_px: float = 1.0,
) -> LayerTuple:
    """As `annotations_layer`, for many: lines that are drawn at once, without labels.

    napari's shapes take a second per hundred, and minutes for ten thousand; lines cannot be edited.
    """
    drawn = shapes_of(annotations)
    rings = [np.asarray(one.points) * (mpp or 1.0) for one in drawn]
    # A ruler does not return to its start.
    ends = [
        np.concatenate([ring[1:], ring[-1:] if one.kind == "ruler" else ring[:1]])
        for one, ring in zip(drawn, rings, strict=True)
    ]
    starts, stops = np.concatenate(rings), np.concatenate(ends)
    colors = annotation_colors(drawn, classes).astype(np.float32)
    return (
        np.stack([starts, stops - starts], axis=1),
        {
            **common(ANNOTATIONS),
            "vector_style": "line",
            "edge_color": np.repeat(colors, [len(ring) for ring in rings], axis=0),
            "edge_width": ANNOTATION_PX * um_per_px,
        },
        "vectors",
    )


def points_layer(
    annotations: Sequence[Annotation], classes: tuple[PathClass, ...], mpp: float | None
) -> LayerTuple:
    """Points that the user set, all of one size on the screen."""
    points = points_of(annotations)
    return (
        np.array([one.points[0] for one in points]).reshape(-1, 2) * (mpp or 1.0),
        {
            **common(POINTS),
            "face_color": annotation_colors(points, classes),
            "border_color": "white",
            "size": _POINT_PX,
            "canvas_size_limits": (_POINT_PX, _POINT_PX),
            "features": annotation_features(points, mpp),
        },
        "points",
    )


def annotation_features(
    annotations: Sequence[Annotation], mpp: float | None
) -> dict[str, list[Any]]:
    """Id and label of each annotation: its class and its measure."""
    return {
        "id": [one.id for one in annotations],
        "label": annotation_labels(annotations, mpp),
    }


def annotation_labels(annotations: Sequence[Annotation], mpp: float | None) -> list[str]:
    """Class and measure of each annotation."""
    return [f"{one.path_class} {measure_label(one, mpp)}".strip() for one in annotations]


def annotation_colors(annotations: Sequence[Annotation], classes: tuple[PathClass, ...]) -> Any:
    """Colour of each annotation's class, (n, 4); one row for an empty layer, as napari wants it."""
    if not annotations:
        return np.array([[*UNCLASSIFIED.color, 255]]) / 255
    rows = [class_named(classes, one.path_class).color for one in annotations]
    return np.array([[*row, 255] for row in rows]) / 255


def shapes_of(annotations: Sequence[Annotation]) -> list[Annotation]:
    """The annotations of the Shapes layer."""
    return [one for one in annotations if one.kind != "point"]


def points_of(annotations: Sequence[Annotation]) -> list[Annotation]:
    """The annotations of the Points layer."""
    return [one for one in annotations if one.kind == "point"]


def regions_in(layer: Any, before: Sequence[ReviewRegion], mpp: float) -> tuple[ReviewRegion, ...]:
    """Regions as they are in the layer: moved, deleted, or drawn there by hand.

    A deleted hole is filled; a hole whose outer ring was deleted is deleted with it.
    """
    known = {one.id: one for one in before}
    which = list(layer.features["ring"]) if "ring" in layer.features else []
    outer: dict[str, Outline] = {}
    holes: dict[str, dict[int, Outline]] = {one.id: {} for one in before}
    for row, (name, _, points) in enumerate(_rows(layer, mpp)):
        ring = int(which[row]) if row < len(which) and name in known else 0
        if ring and ring not in holes[name]:
            holes[name][ring] = points
        elif name in known and name not in outer and not ring:
            outer[name] = points
        else:
            # napari copies the features of the last shape to one that is drawn there.
            outer[new_id()] = points
    return tuple(
        _edited(known[name], points, tuple(holes[name].values()))
        if name in known
        else ReviewRegion(name, points, provenance="drawn")
        for name, points in outer.items()
    )


def _edited(region: ReviewRegion, polygon: Outline, holes: tuple[Outline, ...]) -> ReviewRegion:
    """The region itself when its rings are where they were."""
    rings, stood = (polygon, *holes), (region.polygon, *region.holes)
    if len(rings) == len(stood) and all(map(_same, rings, stood)):
        return region
    kept = polygon if not _same(region.polygon, polygon) else region.polygon
    return replace(region, **redrawn(region, Rings(kept, holes)))


def annotations_in(
    layer: Any, before: Sequence[Annotation], mpp: float, *, path_class: str = ""
) -> tuple[Annotation, ...]:
    """Annotations as they are in a layer; new ones get the class `path_class`."""
    known = {one.id: one for one in before}
    found: list[Annotation] = []
    for name, kind, points in _rows(layer, mpp):
        one = known.pop(name, None)
        if one is None:
            found.append(Annotation(new_id(), kind, points, path_class))
        else:
            found.append(one if _same(one.points, points) else replace(one, points=points))
    return tuple(found)


def _rows(layer: Any, mpp: float) -> list[tuple[str, AnnotationKind, Outline]]:
    names = [str(name) for name in layer.features["id"]] if "id" in layer.features else []
    kinds = getattr(layer, "shape_type", None)
    rows = []
    for i, data in enumerate(layer.data):
        points = np.atleast_2d(np.asarray(data, dtype=np.float64))[:, -2:] / mpp
        kind = "point" if kinds is None else _KIND_OF[kinds[i]]
        rows.append((names[i] if i < len(names) else "", kind, outline(points)))
    return rows


def _same(one: Outline, other: Outline) -> bool:
    return len(one) == len(other) and bool(
        np.allclose(np.asarray(one), np.asarray(other), atol=_STILL, rtol=0)
    )


def _text(color: str) -> dict[str, Any]:
    return {"string": "{label}", "size": LABEL_SIZE, "anchor": "upper_left", "color": color}


def common(name: str) -> dict[str, Any]:
    """What all layers of a review have."""
    return {
        "name": name,
        "ndim": 2,
        "opacity": 1.0,
        "units": ("um", "um"),
        "metadata": {KEY: {"review": name}},
    }
