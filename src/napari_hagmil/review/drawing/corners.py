"""Corners of an annotation: found by place, moved, added and removed one by one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.polygons import Outline, Place
from napari_hagmil.review.state import FEWEST, LINES, Annotation, AnnotationKind


@dataclass(frozen=True, slots=True, order=True)
class Corner:
    """A corner of an annotation.

    Attributes
    ----------
    ring : int
        0 is the outer ring, or the line; then the holes.
    index : int
        Of the corner in it.
    """

    ring: int
    index: int


def rings_of(annotation: Annotation) -> tuple[Outline, ...]:
    """Its outlines: the outer one, then those of the holes."""
    return (annotation.points, *annotation.holes)


def corner_at(annotation: Annotation, place: Place, slack: float) -> Corner | None:
    """The corner nearest to a place, not farther than `slack` level-0 px; None without one."""
    found: list[tuple[float, Corner]] = []
    for ring, points in enumerate(rings_of(annotation)):
        away = np.hypot(*(np.asarray(points) - place).T)
        index = int(away.argmin())
        found.append((float(away[index]), Corner(ring, index)))
    distance, corner = min(found)
    return corner if distance <= slack else None


def with_corner(annotation: Annotation, corner: Corner, place: Place) -> Annotation:
    """Move a corner to a place."""
    ring = rings_of(annotation)[corner.ring]
    moved = (*ring[: corner.index], place, *ring[corner.index + 1 :])
    return _with_ring(annotation, corner.ring, moved)


def without_corner(annotation: Annotation, corner: Corner) -> Annotation:
    """Take a corner out; a hole of three goes with it, and an outline of the fewest stays."""
    ring = rings_of(annotation)[corner.ring]
    rest = (*ring[: corner.index], *ring[corner.index + 1 :])
    fewest = 3 if corner.ring else min(FEWEST[annotation.kind], 3)
    if len(rest) >= fewest:
        return _with_ring(annotation, corner.ring, rest)
    if not corner.ring:
        return annotation
    at = corner.ring - 1
    return replace(annotation, holes=(*annotation.holes[:at], *annotation.holes[at + 1 :]))


def with_new_corner(annotation: Annotation, place: Place, slack: float) -> Annotation:
    """Put a corner where an outline passes a place, not farther off than `slack` level-0 px."""
    best: tuple[float, Corner] | None = None
    for ring, points in enumerate(rings_of(annotation)):
        starts = np.asarray(points, np.float64)
        ends = np.roll(starts, -1, axis=0)
        if annotation.kind in LINES:
            starts, ends = starts[:-1], ends[:-1]
        away = _distances(starts, ends, place)
        index = int(away.argmin())
        if away[index] <= slack and (best is None or away[index] < best[0]):
            best = float(away[index]), Corner(ring, index + 1)
    if best is None or annotation.kind in ("point", "ruler"):
        return annotation
    number, at = best[1].ring, best[1].index
    ring_points = rings_of(annotation)[number]
    return _with_ring(annotation, number, (*ring_points[:at], place, *ring_points[at:]))


def _distances(
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    place: Place,
) -> NDArray[np.float64]:
    """From a place to each of some sides."""
    ways = ends - starts
    lengths = np.maximum((ways**2).sum(axis=1), 1e-12)
    along = np.clip(((np.asarray(place) - starts) * ways).sum(axis=1) / lengths, 0, 1)
    return np.asarray(np.hypot(*(starts + along[:, None] * ways - place).T))


def _with_ring(annotation: Annotation, ring: int, points: Outline) -> Annotation:
    """Another outline: what was a rectangle or an ellipse is a polygon then."""
    if ring:
        holes = annotation.holes
        return replace(annotation, holes=(*holes[: ring - 1], points, *holes[ring:]))
    is_free = annotation.kind not in ("rectangle", "ellipse")
    kind: AnnotationKind = annotation.kind if is_free else "polygon"
    return replace(annotation, kind=kind, points=points)
