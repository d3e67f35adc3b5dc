"""Areas combined: united, taken out of each other, what they share, holes filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shapely import intersection_all, union_all
from shapely.geometry.base import BaseGeometry

from napari_hagmil.errors import AnnotationError
from napari_hagmil.polygons import Rings, pieces_of, shape_of
from napari_hagmil.review.drawing.objects import (
    Drawn,
    changed,
    removed,
    replaced,
    require_unlocked,
)
from napari_hagmil.review.state import Annotation, ReviewState


def united(state: ReviewState, ids: Sequence[str]) -> Drawn:
    """One area for all, with the class and comment of the first; where they touch nowhere, refused.

    Where only some touch, an area for each group of those. The others go, and their parts become
    parts of the first.

    Raises
    ------
    AnnotationError
        When there are fewer than two areas, none touches another, or one is locked.
    """
    areas = _areas(state, ids, "united")
    parts = pieces_of(union_all([shape_of(one.rings) for one in areas]))
    if len(parts) == len(areas):
        raise _refusal("areas that are united", "must touch or overlap, and these do not")
    return _in_place_of(state, areas, parts)


def shared(state: ReviewState, ids: Sequence[str]) -> Drawn:
    """What all areas share, in the place of the first; the others go.

    Raises
    ------
    AnnotationError
        When there are fewer than two areas, they share nothing, or one is locked.
    """
    areas = _areas(state, ids, "intersected")
    parts = pieces_of(intersection_all([shape_of(one.rings) for one in areas]))
    if not parts:
        raise _refusal("areas that are intersected", "must overlap, and these do not")
    return _in_place_of(state, areas, parts)


def subtracted(state: ReviewState, ids: Sequence[str]) -> Drawn:
    """The first area without the others, which stay: a hole where one lies inside.

    Raises
    ------
    AnnotationError
        When there are fewer than two areas, nothing or all of it would remain, or it is locked.
    """
    first, *others = _areas(state, ids, "subtracted", all_change=False)
    shape = shape_of(first.rings)
    rest = shape.difference(union_all([shape_of(one.rings) for one in others]))
    parts = pieces_of(rest)
    if not parts or rest.area == shape.area:
        raise _refusal("areas that are subtracted", "must overlap a part of the first one")
    return replaced(state.annotations, first, parts)


def filled(state: ReviewState, ids: Sequence[str]) -> Drawn:
    """Fill the holes of areas.

    Raises
    ------
    AnnotationError
        When none has any, or one is locked.
    """
    holed = [one.id for one in state.annotations if one.id in set(ids) and one.holes]
    if not holed:
        raise _refusal("what is filled", "must have a hole, and this has none")
    require_unlocked(state.annotations, holed)
    made = changed(state.annotations, holed, lambda one: replace(one, holes=()))
    return Drawn(made, tuple(ids))


def painted(state: ReviewState, annotation_id: str, shape: BaseGeometry) -> Drawn:
    """Give an area another shape: pieces that came off become annotations of their own.

    An area of which nothing is left goes.
    """
    old = next(one for one in state.annotations if one.id == annotation_id)
    require_unlocked(state.annotations, [annotation_id])
    return replaced(state.annotations, old, pieces_of(shape))


def _areas(
    state: ReviewState, ids: Sequence[str], done: str, *, all_change: bool = True
) -> list[Annotation]:
    """The areas among some annotations, in the order of their ids."""
    known = {one.id: one for one in state.annotations}
    areas = [known[name] for name in ids if name in known and known[name].is_area]
    if len(areas) < 2:
        raise AnnotationError(
            f"areas that are {done}",
            "must be two or more",
            value=len(areas),
            remedy="select another one with Shift held down",
        )
    require_unlocked(state.annotations, [one.id for one in (areas if all_change else areas[:1])])
    return areas


def _in_place_of(state: ReviewState, areas: Sequence[Annotation], parts: Sequence[Rings]) -> Drawn:
    """Put pieces in the place of the first area; the parts of the others become its parts."""
    first, gone = areas[0], {one.id for one in areas[1:]}
    orphans = [one.id for one in state.annotations if one.parent in gone and one.id != first.id]
    kept = changed(state.annotations, orphans, lambda one: replace(one, parent=first.id))
    return replaced(removed(kept, gone), first, parts)


def _refusal(subject: str, rule: str) -> AnnotationError:
    return AnnotationError(subject, rule, remedy="select others")
