"""Annotations added, moved, duplicated, locked, nested and removed, as wholes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from napari_hagmil.errors import AnnotationError
from napari_hagmil.polygons import Outline, Place, Rings
from napari_hagmil.review.drawing.nesting import (
    parent_among,
    parents_of,
    smallest_around,
    with_descendants,
)
from napari_hagmil.review.state import Annotation, ReviewState, new_id

Annotations = tuple[Annotation, ...]
Fields = dict[str, Any]
"""Names of fields of `ReviewState` with their new values."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """An edit of annotations.

    Attributes
    ----------
    annotations : tuple of Annotation
        All, as they are then.
    ids : tuple of str
        Those to go on with.
    """

    annotations: Annotations
    ids: tuple[str, ...]

    @property
    def fields(self) -> Fields:
        """New values of fields of the state."""
        return {"annotations": self.annotations}


def with_annotation(state: ReviewState, annotation: Annotation) -> Fields:
    """Add an annotation, or replace the one with its id."""
    known = any(one.id == annotation.id for one in state.annotations)
    if not known:
        return {"annotations": (*state.annotations, annotation)}
    return {"annotations": changed(state.annotations, [annotation.id], lambda one: annotation)}


def without_annotations(state: ReviewState, ids: Collection[str]) -> Fields:
    """Remove annotations; what is a part of them becomes a part of what they are a part of.

    Raises
    ------
    AnnotationError
        When one of them is locked.
    """
    require_unlocked(state.annotations, ids)
    return {"annotations": removed(state.annotations, ids)}


def removed(annotations: Sequence[Annotation], ids: Collection[str]) -> Annotations:
    """The annotations without some, whose parts go to the next parent that stays."""
    gone = set(ids)
    kept = [one for one in annotations if one.id not in gone]
    if not any(one.parent in gone for one in kept):
        return tuple(kept)
    parents, among = parents_of(annotations), {one.id for one in kept}
    return tuple(
        replace(one, parent=parent_among(parents, one.id, among)) if one.parent in gone else one
        for one in kept
    )


def moved(state: ReviewState, ids: Collection[str], by: Place) -> Drawn:
    """Move annotations and all their parts by (y, x) level-0 px; parts that are locked stay.

    Raises
    ------
    AnnotationError
        When one of them is locked.
    """
    require_unlocked(state.annotations, ids)
    going = with_descendants(state.annotations, ids)
    free = [one.id for one in state.annotations if one.id in going and not one.locked]
    shifted = changed(state.annotations, free, lambda one: shifted_by(one, by))
    return Drawn(shifted, tuple(ids))


def shifted_by(annotation: Annotation, by: Place) -> Annotation:
    """An annotation somewhere else."""

    def shift(ring: Outline) -> Outline:
        return tuple((y + by[0], x + by[1]) for y, x in ring)

    holes = tuple(shift(hole) for hole in annotation.holes)
    return replace(annotation, points=shift(annotation.points), holes=holes)


def duplicated(state: ReviewState, ids: Collection[str], by: Place) -> Drawn:
    """Put copies of annotations and of all their parts (y, x) level-0 px beside them, unlocked."""
    going = with_descendants(state.annotations, ids)
    names = {one.id: new_id() for one in state.annotations if one.id in going}
    copies = tuple(
        replace(
            shifted_by(one, by),
            id=names[one.id],
            parent=names.get(one.parent, one.parent),
            locked=False,
        )
        for one in state.annotations
        if one.id in going
    )
    return Drawn((*state.annotations, *copies), tuple(names[one] for one in ids if one in names))


def locked(state: ReviewState, ids: Collection[str]) -> Drawn:
    """Lock annotations; where all are locked already, unlock them."""
    chosen = [one for one in state.annotations if one.id in set(ids)]
    lock = not all(one.locked for one in chosen)
    made = changed(state.annotations, ids, lambda one: replace(one, locked=lock))
    return Drawn(made, tuple(ids))


def nested(state: ReviewState, ids: Collection[str]) -> Drawn:
    """Make each a part of the smallest area around it; where all are that already, of none.

    Raises
    ------
    AnnotationError
        When no area lies around any of them, or one of them is locked.
    """
    require_unlocked(state.annotations, ids)
    chosen = [one for one in state.annotations if one.id in set(ids)]
    around = {one.id: smallest_around(state.annotations, one) for one in chosen}
    if not any(around.values()):
        raise AnnotationError(
            "a part", "lies within another area, and this does not", remedy="draw one around it"
        )
    if all(one.parent == around[one.id] for one in chosen):
        around = dict.fromkeys(around, "")
    made = changed(state.annotations, ids, lambda one: replace(one, parent=around[one.id]))
    return Drawn(made, tuple(ids))


def within(annotation: Annotation, parent: str) -> Annotation:
    """An annotation as a part of another; itself where it is that already."""
    return annotation if annotation.parent == parent else replace(annotation, parent=parent)


def changed(
    annotations: Sequence[Annotation],
    ids: Collection[str],
    change: Callable[[Annotation], Annotation],
) -> Annotations:
    """The annotations with some of them changed."""
    chosen = set(ids)
    return tuple(change(one) if one.id in chosen else one for one in annotations)


def replaced(annotations: Sequence[Annotation], old: Annotation, parts: Sequence[Rings]) -> Drawn:
    """Put pieces in the place of an area: the first keeps its id, and with it its parts."""
    made = [
        replace(
            old,
            id=new_id() if number else old.id,
            kind="polygon" if old.kind in ("rectangle", "ellipse") else old.kind,
            points=part.outer,
            holes=part.holes,
        )
        for number, part in enumerate(parts)
    ]
    at = next(i for i, one in enumerate(annotations) if one.id == old.id)
    rest = (*annotations[:at], *made, *annotations[at + 1 :])
    if not made:
        rest = removed(annotations, [old.id])
    return Drawn(rest, tuple(one.id for one in made))


def require_unlocked(annotations: Sequence[Annotation], ids: Collection[str]) -> None:
    """Refuse to change what is locked.

    Raises
    ------
    AnnotationError
        When one of them is.
    """
    kept = sum(one.locked for one in annotations if one.id in set(ids))
    if kept:
        raise AnnotationError(
            "a locked annotation",
            "stays as it is and where it is",
            value=f"{kept} of {len(ids)}",
            remedy="unlock it first",
        )
