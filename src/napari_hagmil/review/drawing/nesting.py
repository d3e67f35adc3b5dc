"""Annotations in annotations: which is a part of which."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from shapely import MultiPoint
from shapely.geometry.base import BaseGeometry

from napari_hagmil.polygons import area_of, shape_of
from napari_hagmil.review.state import Annotation

Parents = Mapping[str, str]
"""Id of the parent of each annotation that has one."""


def parents_of(annotations: Sequence[Annotation]) -> dict[str, str]:
    """The parent of each annotation that has one.

    A parent that is not among them, or encloses nothing, counts as none; so does one that would
    make an annotation a part of itself: journals come from anybody.
    """
    areas = {one.id for one in annotations if one.is_area}
    found = {one.id: one.parent for one in annotations if one.parent in areas}
    for name in list(found):
        seen = {name}
        above = found.get(name)
        while above is not None and above not in seen:
            seen.add(above)
            above = found.get(above)
        if above is not None:
            del found[name]
    return found


def children_of(annotations: Sequence[Annotation]) -> dict[str, list[Annotation]]:
    """The children of each parent, and under "" what has none, each in the order drawn."""
    parents = parents_of(annotations)
    found: dict[str, list[Annotation]] = {"": []}
    for one in annotations:
        found.setdefault(parents.get(one.id, ""), []).append(one)
    return found


def with_descendants(annotations: Sequence[Annotation], ids: Iterable[str]) -> set[str]:
    """Ids of annotations and of all that is a part of them, however deep."""
    children, found, waiting = children_of(annotations), set[str](), list(ids)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(one.id for one in children.get(name, ()))
    return found


def parent_among(parents: Parents, name: str, among: Collection[str]) -> str:
    """The nearest of `among` that an annotation is a part of; empty where there is none."""
    above = parents.get(name, "")
    while above and above not in among:
        above = parents.get(above, "")
    return above


def smallest_around(annotations: Sequence[Annotation], inner: Annotation) -> str:
    """Id of the smallest area that an annotation lies in; empty where there is none.

    None of its own parts is asked.
    """
    own = with_descendants(annotations, [inner.id])
    shape = _shape(inner)
    size = shape.area
    around = [
        one
        for one in annotations
        if one.is_area
        and one.id not in own
        and _holds_box(one, inner)
        and (outer := shape_of(one.rings)).area > size
        and outer.covers(shape)
    ]
    return min(around, key=lambda one: area_of(one.rings)).id if around else ""


def _shape(annotation: Annotation) -> BaseGeometry:
    shape = shape_of(annotation.rings) if annotation.is_area else MultiPoint(annotation.points)
    return shape if not shape.is_empty else MultiPoint(annotation.points)


def _holds_box(outer: Annotation, inner: Annotation) -> bool:
    """Whether the box around one lies in that around the other: asked first, being cheap."""
    (ys, xs), (inner_ys, inner_xs) = (zip(*one.points, strict=True) for one in (outer, inner))
    return bool(
        min(ys) <= min(inner_ys)
        and max(inner_ys) <= max(ys)
        and min(xs) <= min(inner_xs)
        and max(inner_xs) <= max(xs)
    )
