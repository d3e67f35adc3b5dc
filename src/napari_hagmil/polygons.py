"""Outlines: rings of level-0 places, their areas, insides, unions and cuts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import hypot

import numpy as np
from numpy.typing import ArrayLike, NDArray
from shapely import LineString, Point, Polygon, box, make_valid
from shapely.geometry.base import BaseGeometry
from shapely.ops import nearest_points, split, unary_union

from napari_hagmil.errors import AnnotationError

Place = tuple[float, float]
"""(y, x), level-0 px, pixel centres at integers."""

Outline = tuple[Place, ...]
"""Corners of a line or ring; a ring is not closed: the last leads to the first."""

Rings = tuple[Outline, tuple[Outline, ...]]
"""Outer ring, holes."""

#: Share of its own size by which a gap is overreached when regions that are apart are joined.
_REACH = 1.02


def outline(points: ArrayLike) -> Outline:
    """Corners (n, 2) as an outline."""
    rows = np.asarray(points, dtype=np.float64).reshape(-1, 2).tolist()
    return tuple((y, x) for y, x in rows)


def polygon_of(rings: Rings) -> Polygon:
    """A valid polygon, the largest part where the outline crosses itself.

    What a hole covers is taken out, also where it reaches over the edge.

    Raises
    ------
    AnnotationError
        When it encloses nothing.
    """
    outer, holes = rings
    enough = tuple(hole for hole in holes if len(hole) >= 3)
    best = Polygon(outer, enough) if len(outer) >= 3 else Polygon()
    if not best.is_valid:
        best = _largest(make_valid(Polygon(outer)))
        for hole in enough:
            best = _largest(best.difference(make_valid(Polygon(hole))))
    if best.area <= 0:
        raise AnnotationError(
            f"an outline must enclose something, got {len(outer)} corners without an area; "
            "draw it again"
        )
    return best


def rings_of(polygon: Polygon) -> Rings:
    """Outer ring and holes, none closed."""
    holes = tuple(outline(np.asarray(ring.coords)[:-1]) for ring in polygon.interiors)
    return outline(np.asarray(polygon.exterior.coords)[:-1]), holes


def signed_area(ring: NDArray[np.int64] | NDArray[np.float64]) -> float:
    """Area of a ring of (y, x) corners; positive when clockwise on the screen (y down)."""
    y, x = ring[:, 0].astype(np.float64), ring[:, 1].astype(np.float64)
    # Relative to the first corner: the products of far coordinates would lose the digits.
    # That corner becomes 0, and with it the term of the closing side.
    y, x = y - y[0], x - x[0]
    return float(x[:-1] @ y[1:] - y[:-1] @ x[1:]) / 2


def encloses(ring: Outline, place: Place) -> bool:
    """Whether a ring goes around a place: the even-odd rule."""
    corners, (y, x) = np.asarray(ring), place
    following = np.roll(corners, -1, axis=0)
    between = (corners[:, 0] > y) != (following[:, 0] > y)
    rise = following[between] - corners[between]
    at = corners[between, 1] + (y - corners[between, 0]) * rise[:, 1] / rise[:, 0]
    return bool((at > x).sum() % 2)


def area_of(rings: Rings) -> float:
    """Area without the holes, level-0 px²; 0 where nothing is enclosed."""
    try:
        return float(polygon_of(rings).area)
    except AnnotationError:
        return 0.0


def length_of(line: Outline) -> float:
    """Length of an open line, level-0 px."""
    return sum(hypot(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(line))


def overlap(one: Rings, other: Rings) -> float:
    """Intersection over union, 0 to 1."""
    a, b = polygon_of(one), polygon_of(other)
    union = a.union(b).area
    return float(a.intersection(b).area / union) if union else 0.0


def joined(parts: Sequence[Rings]) -> Rings:
    """One polygon over all parts; gaps between parts are closed where they are narrowest."""
    whole = unary_union([polygon_of(part) for part in parts])
    pieces = _pieces(whole)
    while (n := len(pieces)) > 1:
        nearest = min(pieces[1:], key=pieces[0].distance)
        gap = pieces[0].distance(nearest)
        # Grown and shrunk by half the gap: what lies between two parts fills up, no more.
        reach = max(gap, 1.0) / 2 * _REACH
        whole = whole.union(whole.buffer(reach, join_style="mitre").buffer(-reach + 1e-6))
        pieces = _pieces(whole.buffer(1e-3, join_style="mitre"))
        if len(pieces) >= n:
            # Parts that face each other with corners only: what filled up shrinks away again.
            bridge = LineString(nearest_points(pieces[0], nearest)).buffer(reach / 2)
            pieces = _pieces(unary_union([whole, bridge]).buffer(1e-3, join_style="mitre"))
            whole = unary_union(pieces)
    # A hole narrower than the gap was closed with it, and is opened again.
    holes = unary_union([Polygon(hole) for _, inner in parts for hole in inner if len(hole) >= 3])
    covered = unary_union([polygon_of(part) for part in parts])
    return rings_of(_largest(pieces[0].difference(holes.difference(covered))))


def without_holes(rings: Rings) -> list[Outline]:
    """Outer rings that together cover the polygon: it is cut through each of its holes."""
    todo, whole = [polygon_of(rings)], []
    while todo:
        part = todo.pop()
        if not part.interiors:
            whole.append(rings_of(part)[0])
            continue
        y0, x0, y1, x1 = part.bounds
        middle = Polygon(part.interiors[0]).centroid.x
        for low, high in ((middle, y1 + 1), (y0 - 1, middle)):
            todo += _pieces(part.intersection(box(low, x0 - 1, high, x1 + 1)))
    return whole


def cut(rings: Rings, line: Outline) -> list[Rings]:
    """The parts of a polygon on both sides of a line, largest first.

    Ends of the line that lie inside are led on straight, until they are out.

    Raises
    ------
    AnnotationError
        When the line does not divide it.
    """
    polygon = polygon_of(rings)
    if len(line) < 2 or length_of(line) == 0:
        raise AnnotationError("a region is split along a line of two points or more; draw one")
    size = hypot(*(polygon.bounds[2] - polygon.bounds[0], polygon.bounds[3] - polygon.bounds[1]))
    points = [np.asarray(place) for place in line]
    for end, beside in ((0, 1), (-1, -2)):
        if polygon.contains(Point(points[end])):
            way = points[end] - points[beside]
            points[end] = points[end] + way / max(np.linalg.norm(way), 1e-9) * size
    parts = _pieces(split(polygon, LineString(points)))
    if len(parts) < 2:
        raise AnnotationError(
            "the line must cross the region from one side to the other, and leaves it whole; "
            "draw it across"
        )
    return [rings_of(part) for part in sorted(parts, key=lambda part: -part.area)]


def _pieces(shape: BaseGeometry) -> list[Polygon]:
    if isinstance(shape, Polygon):
        return [shape] if shape.area > 0 else []
    return [piece for one in getattr(shape, "geoms", ()) for piece in _pieces(one)]


def _largest(shape: BaseGeometry) -> Polygon:
    return max(_pieces(shape), key=lambda one: one.area, default=Polygon())
