"""Read polygons from GeoJSON of QuPath and others → (y, x)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hagmil import untrusted
from napari_hagmil.errors import AnnotationError
from napari_hagmil.export.geojson import CHILDREN
from napari_hagmil.export.xml_annotations import XML_SUFFIXES, read_xml_areas
from napari_hagmil.geometry import from_file_xy
from napari_hagmil.polygons import Outline, Rings, are_on_a_slide, merged, outline, signed_area
from napari_hagmil.slide.canvas import Origin

AREAS = frozenset({"Polygon", "MultiPolygon"})
GEOMETRIES = AREAS | {"Point", "MultiPoint", "LineString", "MultiLineString"}


def read_geojson(path: str | Path) -> list[NDArray[np.float64]]:
    """Read the polygons of a GeoJSON file, one ring each.

    A hole is joined to its outer ring by a cut of no width, so that every polygon is one
    ring that fills to the right area by the even-odd and by the non-zero rule.

    Returns
    -------
    list of (n, 2) float64
        Corners (y, x) in level-0 px, pixel centres at integers; not closed.

    Raises
    ------
    AnnotationError
        When the file is not GeoJSON, or holds points and lines only.
    """
    return [joined_ring(rings) for rings in read_polygons(path)]


def read_polygons(path: str | Path) -> list[Rings]:
    """Read the polygons of a GeoJSON file, outer ring and holes of each.

    Polygons are found in features, collections of features or of geometries, and the bare list
    of features that QuPath writes on request; points, lines and outlines that enclose nothing
    are left out where they stand beside polygons. Corners and errors as of `read_geojson`.
    """
    path = Path(path)
    given = list(_polygons(read_json(path), path.name))
    found = [rings for polygon in given if (rings := _rings(polygon, path.name)) is not None]
    if given and not found:
        raise AnnotationError(
            path.name,
            "has an outline that encloses nothing: a ring needs 3 different finite points "
            "of a slide",
            value=f"{str(given[0])[:60]}",
            remedy="draw it again",
        )
    return found


def read_area(path: str | Path, origin: Origin = (0, 0)) -> tuple[Outline, ...]:
    """Read what the polygons of a file cover together: rings for `polygons.mask_of`.

    A place in two overlapping polygons is covered as one in a single polygon is.

    Parameters
    ----------
    path : path
        GeoJSON; or of ASAP, ImageScope or HALO, with a suffix of `XML_SUFFIXES`.
    origin : tuple of int
        `Slide.origin`, from whose canvas the XML counts.
    """
    is_xml = Path(path).suffix.lower() in XML_SUFFIXES
    return merged(read_xml_areas(path, origin) if is_xml else read_polygons(path))


def read_json(path: Path) -> Any:
    """Read a GeoJSON file as it stands.

    Raises
    ------
    AnnotationError
        When it cannot be read.
    """
    try:
        return untrusted.read_json(path, not_numbers=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not valid JSON"
        raise AnnotationError(
            path.name,
            f"must be a readable GeoJSON file ({reason})",
            remedy="export it again as GeoJSON",
        ) from error


def polygons_of(geometry: Any, name: str) -> list[Rings | None]:
    """Outer ring and holes of each polygon of a geometry of a file `name`.

    None stands for one that encloses nothing.
    """
    return [_rings(polygon, name) for polygon in _polygons(geometry, name)]


def geometries(item: Any, name: str) -> Iterator[tuple[Any, Any]]:
    """Every geometry of what `read_json` returned, with the feature that holds it.

    Feature, FeatureCollection, a bare list of features and GeometryCollection are taken apart;
    a feature without a geometry (GeoJSON's null) and a geometry without coordinates are passed
    over, and a geometry that stands alone is its own feature. Annotations among the child objects
    of one of QuPath's features follow it; cells and tiles there do not.

    Raises
    ------
    AnnotationError
        When it is not GeoJSON.
    """
    # A stack and no recursion: a hostile file may nest its collections without end.
    waiting = [(item, None)]
    while waiting:
        item, feature = waiting.pop()
        kind = "FeatureCollection" if isinstance(item, list) else _get(item, "type", name)
        if kind == "FeatureCollection":
            parts = item if isinstance(item, list) else _list(item, "features", name)
            waiting.extend((part, None) for part in reversed(parts))
        elif kind == "Feature":
            waiting.extend((child, None) for child in reversed(child_annotations(item)))
            if "geometry" not in item or item["geometry"] is not None:
                waiting.append((_get(item, "geometry", name), item))
        elif kind == "GeometryCollection":
            parts = _list(item, "geometries", name)
            waiting.extend((part, feature) for part in reversed(parts))
        elif isinstance(kind, str) and kind in GEOMETRIES:
            if item.get("coordinates") == []:
                continue
            yield (item if feature is None else feature), item
        else:
            raise AnnotationError(
                name,
                "is not GeoJSON: it holds an unknown kind of object",
                value=f"{str(kind)[:40]!r}",
                remedy="export it again as GeoJSON",
            )


def child_annotations(feature: Any) -> list[Any]:
    """The annotations that QuPath, or a review, wrote as a part of a feature."""
    said = feature.get("properties") if isinstance(feature, dict) else None
    children = said.get(CHILDREN) if isinstance(said, dict) else None
    return [one for one in children if _is_annotation(one)] if isinstance(children, list) else []


def _is_annotation(feature: Any) -> bool:
    said = feature.get("properties") if isinstance(feature, dict) else None
    return isinstance(said, dict) and said.get("objectType") == "annotation"


def is_empty(content: Any) -> bool:
    """Whether a file lists features, and there are none."""
    features = content.get("features") if isinstance(content, dict) else content
    return features == []


def _polygons(content: Any, name: str) -> Iterator[list[Any]]:
    """Coordinates of every polygon: lists of rings. Points and lines beside them are left out."""
    none, others = True, set()
    for _, geometry in geometries(content, name):
        if geometry["type"] not in AREAS:
            others.add(geometry["type"])
            continue
        none = False
        coordinates = _list(geometry, "coordinates", name)
        yield from [coordinates] if geometry["type"] == "Polygon" else coordinates
    if none and not is_empty(content):
        raise AnnotationError(
            name,
            "must hold polygons",
            value=f"only {' and '.join(map(repr, sorted(others)))}" if others else "none",
            remedy="export areas, not points or lines",
        )


def _get(item: Any, key: str, name: str) -> Any:
    if not isinstance(item, dict) or item.get(key) is None:
        raise AnnotationError(
            name,
            f"is not GeoJSON: an object must have {key!r}",
            value=f"{str(item)[:40]!r}",
            remedy="export it again as GeoJSON",
        )
    return item[key]


def _list(item: Any, key: str, name: str) -> list[Any]:
    value = _get(item, key, name)
    if not isinstance(value, list):
        raise AnnotationError(
            name,
            f"is not GeoJSON: {key!r} must be a list",
            value=f"{str(value)[:40]!r}",
            remedy="export it again as GeoJSON",
        )
    return value


def _rings(polygon: Any, name: str) -> Rings | None:
    """Outer ring and holes; None where the outer one encloses nothing."""
    if not isinstance(polygon, list) or not polygon:
        raise AnnotationError(
            name,
            "is not GeoJSON: a polygon must be a list of rings",
            value=f"{str(polygon)[:40]!r}",
            remedy="export it again as GeoJSON",
        )
    outer, *holes = (_ring(ring, name) for ring in polygon)
    return None if outer is None else Rings(outer, tuple(h for h in holes if h is not None))


def _ring(ring: Any, name: str) -> Outline | None:
    """Check one ring and bring it into our frame; the closing point goes.

    None where it encloses nothing: programs draw such by a click.
    """
    try:
        # A third coordinate is an altitude, of no meaning on glass.
        points = np.array([(float(x), float(y)) for x, y, *_ in ring]).reshape(-1, 2)
    except (TypeError, ValueError) as error:
        raise AnnotationError(
            name,
            "is not GeoJSON: a ring must be a list of [x, y] numbers",
            value=f"{str(ring)[:40]!r}",
            remedy="export it again as GeoJSON",
        ) from error
    if len(points) > 1 and (points[0] == points[-1]).all():
        points = points[:-1]
    if not are_on_a_slide(points):
        raise AnnotationError(
            name,
            "has an outline with corners that are on no slide",
            value=f"{str(ring)[:60]}",
            remedy="draw it again",
        )
    return outline(from_file_xy(points)) if len(np.unique(points, axis=0)) >= 3 else None


def joined_ring(rings: Rings) -> NDArray[np.float64]:
    """One ring for a polygon with holes.

    Cut every hole open towards the nearest corner of the outer ring.

    There and back along the cut cancel, whatever it crosses on its way.
    """
    outer = whole = np.asarray(rings.outer)
    for hole in map(np.asarray, rings.holes):
        if signed_area(hole) * signed_area(whole) > 0:
            hole = hole[::-1]
        nearest = int(np.square(outer - hole[0]).sum(axis=1).argmin())
        outer = np.concatenate([outer[: nearest + 1], hole, hole[:1], outer[nearest:]])
    return outer
