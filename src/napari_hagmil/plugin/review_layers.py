"""Layers of a review, in µm: regions by decision, annotations by class, and edits read back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.plugin.colors import ACCEPTED, OPEN, REJECTED
from napari_hagmil.plugin.labels import LABEL_SIZE
from napari_hagmil.plugin.layers import KEY, LayerTuple
from napari_hagmil.polygons import Outline, Rings, ellipse_around, outline
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
from napari_hagmil.review.state import LINES

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
_SHAPE_OF = {
    "polygon": "polygon", "freehand": "polygon", "rectangle": "rectangle", "ellipse": "polygon",
    "polyline": "path", "ruler": "line",
}  # fmt: skip
_KIND_OF: dict[str, AnnotationKind] = {
    "polygon": "polygon",
    "rectangle": "rectangle",
    "ellipse": "ellipse",
    "line": "ruler",
    "path": "polyline",
}

#: A corner that moved by less is where it was: napari's float32 rounds; level-0 px.
_STILL = 1e-3

#: Black is readable on everything in a brightfield slide except single nuclei, under attention
#: or not; white only on nuclei. A fluorescence slide is dark.
LABEL_ON_BRIGHT, LABEL_ON_DARK = "#000000", "#ffffff"


@dataclass(frozen=True, slots=True)
class OutlineFrame:
    """A part of the slide, and how finely it is drawn.

    Attributes
    ----------
    y, x : float
        Its upper left edge, level-0 px.
    rows, columns : int
        Pixels of the picture.
    downsample : float
        Level-0 px per pixel of the picture.
    """

    y: float
    x: float
    rows: int
    columns: int
    downsample: float

    def holds(self, y0: float, x0: float, y1: float, x1: float) -> bool:
        """Whether a rectangle of level-0 px lies in it."""
        height, width = self.rows * self.downsample, self.columns * self.downsample
        return self.y <= y0 and self.x <= x0 and y1 <= self.y + height and x1 <= self.x + width


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
            **_common(REGIONS),
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
            **_common(PATCHES),
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

    A hole is a polygon of its own, as in `regions_layer`. Without `mpp` they are placed and
    measured in pixels.
    """
    rows = annotation_rings(annotations)
    drawn = [one for one, _, _ in rows]
    return (
        [np.asarray(ring) * (mpp or 1.0) for _, _, ring in rows],
        {
            **_common(ANNOTATIONS),
            "shape_type": ["polygon" if number else _SHAPE_OF[one.kind] for one, number, _ in rows]
            or "polygon",
            "face_color": "transparent",
            "edge_width": ANNOTATION_PX * um_per_px,
            "edge_color": annotation_colors(drawn, classes),
            "text": _text(label),
            "features": {
                "id": [one.id for one in drawn],
                "ring": [number for _, number, _ in rows],
                "label": ring_labels(annotations, mpp),
            },
        },
        "shapes",
    )


def annotation_rings(
    annotations: Sequence[Annotation],
) -> list[tuple[Annotation, int, Outline]]:
    """Outlines of all but points, with their annotation and number: 0, then those of the holes."""
    return [
        (one, number, ring)
        for one in shapes_of(annotations)
        for number, ring in enumerate((one.points, *one.holes))
    ]


def ring_labels(annotations: Sequence[Annotation], mpp: float | None) -> list[str]:
    """Label of each of `annotation_rings`; holes have none."""
    labels = {one.id: label for one, label in _labelled(annotations, mpp)}
    rows = annotation_rings(annotations)
    return ["" if number else labels[one.id] for one, number, _ in rows]


def _labelled(
    annotations: Sequence[Annotation], mpp: float | None
) -> Iterator[tuple[Annotation, str]]:
    drawn = shapes_of(annotations)
    return zip(drawn, annotation_labels(drawn, mpp), strict=True)


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
    rows = annotation_rings(annotations)
    drawn = [one for one, _, _ in rows]
    rings = [np.asarray(ring) * (mpp or 1.0) for _, _, ring in rows]
    # A line does not return to its start.
    ends = [
        np.concatenate([ring[1:], ring[-1:] if one.kind in LINES else ring[:1]])
        for one, ring in zip(drawn, rings, strict=True)
    ]
    starts, stops = np.concatenate(rings), np.concatenate(ends)
    colors = annotation_colors(drawn, classes).astype(np.float32)
    return (
        np.stack([starts, stops - starts], axis=1),
        {
            **_common(ANNOTATIONS),
            "vector_style": "line",
            "edge_color": np.repeat(colors, [len(ring) for ring in rings], axis=0),
            "edge_width": ANNOTATION_PX * um_per_px,
        },
        "vectors",
    )


def outlines_layer(picture: NDArray[np.uint8], window: OutlineFrame, mpp: float) -> LayerTuple:
    """A picture of outlines in its place on the slide, as `OutlinePicture` draws it."""
    first = (edge + window.downsample / 2 for edge in (window.y, window.x))
    return (
        picture,
        {
            **{k: v for k, v in _common(ANNOTATIONS).items() if k != "ndim"},
            "rgb": True,
            "scale": (window.downsample * mpp,) * 2,
            "translate": tuple(edge * mpp for edge in first),
            "interpolation2d": "linear",
        },
        "image",
    )


def points_layer(
    annotations: Sequence[Annotation], classes: tuple[PathClass, ...], mpp: float | None
) -> LayerTuple:
    """Points that the user set, all of one size on the screen."""
    points = points_of(annotations)
    return (
        np.array([one.points[0] for one in points]).reshape(-1, 2) * (mpp or 1.0),
        {
            **_common(POINTS),
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
    which = list(layer.features["ring"]) if "ring" in layer.features else []
    places: dict[str, Outline] = {}
    holes: dict[str, dict[int, Outline]] = {}
    fresh: dict[str, Annotation] = {}
    for row, (name, kind, points) in enumerate(_rows(layer, mpp)):
        ring = int(which[row]) if row < len(which) and name in known else 0
        if ring and ring not in holes.get(name, ()):
            holes.setdefault(name, {})[ring] = points
        elif name in known and name not in places and not ring:
            places[name] = points
        else:
            # napari copies the features of the last shape to one that is drawn there.
            made = Annotation(new_id(), kind, _as_drawn(layer, row, points), path_class)
            fresh[made.id], places[made.id] = made, made.points
    return tuple(
        fresh[name]
        if name in fresh
        else _edited_annotation(known[name], points, tuple(holes.get(name, {}).values()))
        for name, points in places.items()
    )


def _edited_annotation(
    annotation: Annotation, points: Outline, holes: tuple[Outline, ...]
) -> Annotation:
    """The annotation itself when its outlines are where they were."""
    rings, stood = (points, *holes), (annotation.points, *annotation.holes)
    if len(rings) == len(stood) and all(map(_same, rings, stood)):
        return annotation
    # A corner of an ellipse that was moved leaves none.
    kind: AnnotationKind = "polygon" if annotation.kind == "ellipse" else annotation.kind
    return replace(annotation, kind=kind, points=points, holes=holes)


def _as_drawn(layer: Any, row: int, points: Outline) -> Outline:
    """The outline of a shape that was drawn in a layer: napari keeps the box around an ellipse."""
    kinds = getattr(layer, "shape_type", None)
    is_ellipse = kinds is not None and kinds[row] == "ellipse"
    return ellipse_around(points) if is_ellipse else points


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


def _common(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "ndim": 2,
        "opacity": 1.0,
        "units": ("um", "um"),
        "metadata": {KEY: {"review": name}},
    }
