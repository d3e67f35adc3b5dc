"""Outlines: rings of level-0 places, what they enclose, their areas, unions and cuts.

One rule says what is inside, for points (`contains`) and for rasters (`mask_of`) alike: a ring
encloses by the even-odd rule, so that the middle of a ring that goes around it twice is outside;
a polygon is what its outer ring encloses without what its holes enclose; several polygons are
their union.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import ceil, hypot
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from shapely import LineString, Point, Polygon, box
from shapely.geometry.base import BaseGeometry
from shapely.ops import nearest_points, polygonize, split, unary_union

from napari_hagmil.errors import AnnotationError

Place = tuple[float, float]
"""(y, x), level-0 px, pixel centres at integers."""

Outline = tuple[Place, ...]
"""Corners of a line or ring; a ring is not closed: the last leads to the first."""


class Rings(NamedTuple):
    """Outlines of one polygon.

    Attributes
    ----------
    outer : Outline
        Around it.
    holes : tuple of Outline
        Around what does not belong to it.
    """

    outer: Outline
    holes: tuple[Outline, ...] = ()


#: Level-0 px that no slide reaches. Farther out, areas overflow and GEOS fails in its own words.
FARTHEST = 2.0**31

#: Share of a gap's size added when it is bridged to join separate regions.
_REACH = 1.02


def outline(points: ArrayLike) -> Outline:
    """Corners (n, 2) as an outline."""
    rows = np.asarray(points, dtype=np.float64).reshape(-1, 2).tolist()
    return tuple((y, x) for y, x in rows)


def are_on_a_slide(points: ArrayLike) -> bool:
    """Whether all coordinates are finite and within the bounds of any slide."""
    return bool((np.abs(np.asarray(points, dtype=np.float64)) <= FARTHEST).all())  # NaN is not


def polygon_of(rings: Rings) -> Polygon:
    """The largest part of what a polygon's rings enclose: a valid polygon in one piece.

    Raises
    ------
    AnnotationError
        When it encloses nothing.
    """
    largest = _largest(shape_of(rings))
    if largest.area <= 0:
        raise AnnotationError(
            "an outline",
            "must enclose something",
            value=f"{len(rings[0])} corners without an area",
            remedy="draw it again",
        )
    return largest


def shape_of(rings: Rings) -> BaseGeometry:
    """All that a polygon's rings enclose, as valid geometry; empty where that is nothing."""
    outer, holes = rings
    if len(outer) < 3:
        return Polygon()
    holes = tuple(hole for hole in holes if len(hole) >= 3)
    shape = Polygon(outer, holes)
    if shape.is_valid:
        return shape
    return _enclosed(outer).difference(unary_union([_enclosed(hole) for hole in holes]))


def valid_parts(rings: Rings) -> list[Rings]:
    """What a polygon's rings enclose, as valid polygons; empty where that is nothing."""
    return pieces_of(shape_of(rings))


def pieces_of(shape: BaseGeometry) -> list[Rings]:
    """The polygons of a geometry, largest first; lines and points are passed over."""
    return [rings_of(piece) for piece in sorted(_pieces(shape), key=lambda one: -one.area)]


def simplified(rings: Rings, tolerance: float) -> Rings:
    """A polygon with fewer corners, its outline nowhere farther off than `tolerance` level-0 px.

    Holes stay holes. By Douglas and Peucker, without the crossings that it can make.
    """
    shape = shape_of(rings)
    pieces = pieces_of(shapely.simplify(shape, tolerance, preserve_topology=True))
    return pieces[0] if pieces else rings


def simplified_line(line: Outline, tolerance: float) -> Outline:
    """A line with fewer corners, nowhere farther off than `tolerance` level-0 px."""
    if len(line) < 3:
        return line
    return outline(np.asarray(LineString(line).simplify(tolerance).coords))


#: Corners of an ellipse: its outline is nowhere farther off than 0.12% of its longer half-axis.
_ELLIPSE = 64


def ellipse_around(corners: ArrayLike) -> Outline:
    """The outline of an ellipse in a rectangle, which may be turned.

    Parameters
    ----------
    corners : (4, 2) array
        Of the rectangle, one after the other.
    """
    box = np.asarray(corners, dtype=np.float64)
    centre, across, down = box.mean(axis=0), (box[1] - box[0]) / 2, (box[3] - box[0]) / 2
    turn = np.linspace(0, 2 * np.pi, _ELLIPSE, endpoint=False)[:, None]
    return outline(centre + np.cos(turn) * across + np.sin(turn) * down)


def _enclosed(ring: Outline) -> BaseGeometry:
    """The area that a ring winds around an odd number of times.

    Not shapely's make_valid, which takes a side that a ring runs there and back for a border, and
    encloses something with it.
    """
    faces = polygonize(unary_union(LineString([*ring, ring[0]])))
    middles = [(face, face.representative_point()) for face in faces]
    # Shapely's x is our y.
    odd = [face for face, at in middles if fill([ring], np.array([at.x]), np.array([at.y])).any()]
    return unary_union(odd)


def rings_of(polygon: Polygon) -> Rings:
    """Outer ring and holes, none closed."""
    holes = tuple(outline(np.asarray(ring.coords)[:-1]) for ring in polygon.interiors)
    return Rings(outline(np.asarray(polygon.exterior.coords)[:-1]), holes)


def signed_area(ring: NDArray[np.int64] | NDArray[np.float64]) -> float:
    """Area of a ring of (y, x) corners; positive when clockwise on the screen (y down)."""
    y, x = ring[:, 0].astype(np.float64), ring[:, 1].astype(np.float64)
    # Relative to the first corner: the products of far coordinates would lose the digits.
    # That corner becomes 0, and with it the term of the closing side.
    y, x = y - y[0], x - x[0]
    return float(x[:-1] @ y[1:] - y[:-1] @ x[1:]) / 2


def contains(polygons: Iterable[Rings], places: ArrayLike) -> NDArray[np.bool_]:
    """Which places lie in at least one polygon; its edge belongs to it.

    Parameters
    ----------
    polygons : iterable of Rings
    places : (n, 2) array
        (y, x), level-0 px.

    Returns
    -------
    (n,) bool array
    """
    y, x = np.asarray(places, dtype=np.float64).reshape(-1, 2).T
    shape = unary_union([shape_of(rings) for rings in polygons])
    shapely.prepare(shape)
    return np.asarray(shapely.intersects_xy(shape, y, x), dtype=bool)


def merged(polygons: Iterable[Rings]) -> tuple[Outline, ...]:
    """Rings of the union of polygons: none crosses another, one within another is a hole."""
    union = unary_union([shape_of(rings) for rings in polygons])
    rings = map(rings_of, _pieces(union))
    return tuple(ring for outer, holes in rings for ring in (outer, *holes))


def mask_of(
    rings: Iterable[Outline], slide_shape: tuple[int, int], downsample: float
) -> NDArray[np.bool_]:
    """Raster over the slide of what rings enclose together by the even-odd rule.

    Parameters
    ----------
    rings : iterable of Outline
        Of one polygon, or of several that do not overlap, as `merged` gives them.
    slide_shape : tuple of int
        Rows and columns of level 0.
    downsample : float
        Level-0 pixels per raster pixel.

    Returns
    -------
    (h, w) bool array
        Whether the centre of each raster pixel is inside. Of a pixel that reaches over the
        slide's edge, the part on the slide counts.
    """
    rows, columns = (_centres(side, downsample) for side in slide_shape)
    return fill(rings, rows, columns)


def raster_shape(slide_shape: Sequence[int], downsample: float) -> tuple[int, int]:
    """Rows and columns of a raster that covers the whole slide."""
    rows, columns = (max(1, ceil(side / downsample - 1e-9)) for side in slide_shape)
    return rows, columns


def fill(
    rings: Iterable[Outline], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Where the points of a lattice lie in rings, by the even-odd rule.

    Parameters
    ----------
    rings : iterable of Outline
    rows, columns : (h,), (w,) float64
        y and x of the lattice, ascending, level-0 px.

    Returns
    -------
    (h, w) bool array
        Of two areas that share a side, a point on the side is in one of them only: the lower or
        right one. (cv2.fillPoly would take every pixel that a side touches into both.)
    """
    crossed = np.zeros((len(rows), len(columns) + 1), dtype=np.uint8)
    for ring in rings:
        corners = np.asarray(ring, dtype=np.float64).reshape(-1, 2)
        np.add.at(crossed, _crossings(corners, rows, columns), 1)
    return np.bitwise_xor.accumulate(crossed & 1, axis=1)[:, :-1].astype(bool)


def _centres(side: int, downsample: float) -> NDArray[np.float64]:
    """Centres of raster pixels along an axis, of their part on the slide, level-0 px."""
    edges = np.arange(raster_shape((side, side), downsample)[0] + 1) * downsample
    edges = np.minimum(edges, side)
    centres: NDArray[np.float64] = (edges[:-1] + edges[1:]) / 2 - 0.5
    return centres


def _crossings(
    corners: NDArray[np.float64], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where a ring crosses the rows of a lattice: the row, and the first column to the right."""
    start, stop = corners, np.roll(corners, -1, axis=0)
    rising = start[:, :1] > stop[:, :1]
    top, bottom = np.where(rising, stop, start), np.where(rising, start, stop)
    first, end = np.searchsorted(rows, top[:, 0]), np.searchsorted(rows, bottom[:, 0])
    count = end - first
    side = np.repeat(np.arange(len(top)), count)
    row = first[side] + np.arange(len(side)) - np.repeat(np.cumsum(count) - count, count)
    slope = (bottom - top)[side]
    x = top[side, 1] + (rows[row] - top[side, 0]) * slope[:, 1] / slope[:, 0]
    return row, np.searchsorted(columns, x)


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


def pieces_on(rings: Rings, ground: Iterable[Rings], *, slack: float = 0.0) -> list[Rings]:
    """What of a polygon lies on others, in pieces, largest first.

    `slack` is how far a cut may lie from the edge of the ground, level-0 px: less of it is followed
    corner by corner.
    """
    whole = unary_union([shape_of(one) for one in ground]).simplify(slack)
    pieces = _pieces(polygon_of(rings).intersection(whole))
    return [rings_of(piece) for piece in sorted(pieces, key=lambda piece: -piece.area)]


def bridged(parts: Sequence[Rings], *, width: float) -> Rings:
    """One polygon over all parts: a strip of `width` level-0 px leads from each to the next.

    Nothing but the strips is added, and they stay within the bounds of the parts.
    """
    whole = unary_union([polygon_of(part) for part in parts])
    bounds = box(*whole.bounds)
    while len(pieces := _pieces(whole)) > 1:
        nearest = min(pieces[1:], key=pieces[0].distance)
        start, stop = nearest_points(pieces[0], nearest)
        way = start if start.equals(stop) else LineString([start, stop])
        whole = unary_union([whole, way.buffer(width / 2, quad_segs=1).intersection(bounds)])
    return rings_of(pieces[0])


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

    Ends of the line that lie inside are extended straight until they are outside.

    Raises
    ------
    AnnotationError
        When the line does not divide it.
    """
    polygon = polygon_of(rings)
    if len(line) < 2 or length_of(line) == 0:
        raise AnnotationError(
            "a region", "is split along a line of two points or more", remedy="draw one"
        )
    size = hypot(*(polygon.bounds[2] - polygon.bounds[0], polygon.bounds[3] - polygon.bounds[1]))
    points = [np.asarray(place) for place in line]
    for end, beside in ((0, 1), (-1, -2)):
        if polygon.contains(Point(points[end])):
            way = points[end] - points[beside]
            points[end] = points[end] + way / max(np.linalg.norm(way), 1e-9) * size
    parts = _pieces(split(polygon, LineString(points)))
    if len(parts) < 2:
        raise AnnotationError(
            "the line",
            "must cross the region from one side to the other, and leaves it whole",
            remedy="draw it across",
        )
    return [rings_of(part) for part in sorted(parts, key=lambda part: -part.area)]


def _pieces(shape: BaseGeometry) -> list[Polygon]:
    if isinstance(shape, Polygon):
        return [shape] if shape.area > 0 else []
    return [piece for one in getattr(shape, "geoms", ()) for piece in _pieces(one)]


def _largest(shape: BaseGeometry) -> Polygon:
    return max(_pieces(shape), key=lambda one: one.area, default=Polygon())
