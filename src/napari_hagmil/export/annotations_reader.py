"""Annotations of QuPath and others, from GeoJSON, with their classes and comments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_hagmil.errors import AnnotationError
from napari_hagmil.export.geojson_reader import polygons_of, read_json
from napari_hagmil.geometry import from_file_xy
from napari_hagmil.polygons import outline as outline_of
from napari_hagmil.review import UNCLASSIFIED, Annotation, AnnotationKind, PathClass, new_id

_KINDS: dict[str, tuple[AnnotationKind, int]] = {"Point": ("point", 1), "LineString": ("ruler", 2)}


def read_annotations(path: str | Path) -> tuple[list[Annotation], list[PathClass]]:
    """Read areas, points and lines of two ends.

    Returns
    -------
    annotations : list of Annotation
        Level-0 px; a hole is joined to its outline by a cut of no width.
    classes : list of PathClass
        Those that they name, with the colours of the file.

    Raises
    ------
    AnnotationError
        When the file is not GeoJSON, or holds something else.
    """
    path = Path(path)
    content = read_json(path)
    features = content.get("features", [content]) if isinstance(content, dict) else content
    drawn: list[Annotation] = []
    classes: dict[str, PathClass] = {}
    for feature in features if isinstance(features, list) else [features]:
        path_class, comment = _said(feature)
        if path_class is not None:
            classes.setdefault(path_class.name, path_class)
        name = path_class.name if path_class else ""
        for kind, points in _shapes(feature, path.name):
            drawn.append(Annotation(new_id(), kind, outline_of(points), name, comment))
    return drawn, list(classes.values())


def _shapes(feature: Any, name: str) -> list[tuple[AnnotationKind, Any]]:
    geometry = feature.get("geometry", feature) if isinstance(feature, dict) else feature
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in _KINDS:
        return [("polygon", ring) for ring in polygons_of(geometry, name)]
    ours, n = _KINDS[str(kind)]
    try:
        points = np.array(geometry["coordinates"], dtype=np.float64)[..., :2].reshape(-1, 2)
    except (KeyError, TypeError, ValueError, IndexError):
        points = np.empty((0, 2))
    if len(points) != n or not np.isfinite(points).all():
        raise AnnotationError(
            name,
            "must hold areas, points, and lines of two ends",
            value=f"a {kind} of {len(points)} places",
            remedy="export areas instead",
        )
    return [(ours, from_file_xy(points))]


def _said(feature: Any) -> tuple[PathClass | None, str]:
    """Class and comment, where QuPath or this package wrote them."""
    said = feature.get("properties") if isinstance(feature, dict) else None
    said = said if isinstance(said, dict) else {}
    metadata, found = said.get("metadata"), said.get("classification")
    comment = str(metadata.get("comment", "")) if isinstance(metadata, dict) else ""
    if not isinstance(found, dict) or not found.get("name"):
        return None, comment
    return PathClass(str(found["name"]), _color(found.get("color"))), comment


def _color(found: Any) -> tuple[int, int, int]:
    if isinstance(found, list) and len(found) == 3:
        red, green, blue = found
        if all(isinstance(c, int) and 0 <= c <= 255 for c in found):
            return red, green, blue
    return UNCLASSIFIED.color
