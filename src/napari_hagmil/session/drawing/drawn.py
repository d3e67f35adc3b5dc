"""What the user does to annotations that are there: pick, combine, paint, move, lock; no Qt."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from psygnal import Signal
from shapely.geometry.base import BaseGeometry

from napari_hagmil.errors import AnnotationError, HagmilError
from napari_hagmil.geometry import Region
from napari_hagmil.polygons import Place, Rings, pieces_of
from napari_hagmil.review import Annotation, AnnotationKind, ReviewState, new_id
from napari_hagmil.review.drawing import areas, objects
from napari_hagmil.review.drawing.objects import Annotations, Drawn
from napari_hagmil.review.drawing.places import AnnotationIndex
from napari_hagmil.review.drawing.wand import Wand
from napari_hagmil.session.review import Review
from napari_hagmil.session.sentences import error_sentence
from napari_hagmil.slide import read_scaled

Box = tuple[float, float, float, float]
"""y0, x0, y1, x1, level-0 px."""


class DrawnObjects:
    """The annotations of a review, of which some are picked: what is done is done to those.

    Parameters
    ----------
    review : Review
        Whose annotations they are.

    Attributes
    ----------
    picked : tuple of str
        Their ids, first picked first.

    Signals
    -------
    changed
        Others are picked.
    """

    changed = Signal()

    def __init__(self, review: Review) -> None:
        self.review = review
        self.picked: tuple[str, ...] = ()
        self._index = AnnotationIndex()
        review.reset.connect(lambda slide: self.pick(()))
        review.changed.connect(self._forget)

    @property
    def chosen(self) -> list[Annotation]:
        """The annotations that are picked, first picked first."""
        known = {one.id: one for one in self.review.state.annotations if one.id in self.picked}
        return [known[name] for name in self.picked if name in known]

    def pick(self, ids: Sequence[str]) -> None:
        """Pick these and no others."""
        if tuple(ids) != self.picked:
            self.picked = tuple(ids)
            self.changed.emit()

    def at(self, place: Place, slack: float) -> str:
        """Id of the annotation at a place, level-0 px, as of `AnnotationIndex.at`."""
        self._index.show(self.review.state.annotations)
        return self._index.at(place, slack)

    def pick_at(self, place: Place, slack: float, *, add: bool = False) -> None:
        """Pick what is at a place; with `add` beside what is picked, or no longer."""
        found = self.at(place, slack)
        if not add:
            self.pick((found,) if found else ())
        elif found:
            others = tuple(one for one in self.picked if one != found)
            self.pick(others if found in self.picked else (*others, found))

    def base_of(self, place: Place, radius: float) -> Annotation | None:
        """The picked area that a brush goes on with: it lies under the brush, and is not locked."""
        self._index.show(self.review.state.annotations)
        near = self._index.near(place, radius)
        free = [one for one in self.chosen if one.is_area and not one.locked and one.id in near]
        return free[0] if free else None

    def erased_at(self, place: Place, radius: float) -> Annotation | None:
        """The area that an eraser takes from: the picked one, else the smallest under it."""
        known = self.base_of(place, radius)
        if known is not None:
            return known
        near = self._index.near(place, radius)
        found = [one for one in self.review.state.annotations if one.id in near]
        free = [one for one in found if one.is_area and not one.locked]
        return min(free, key=self._index.area, default=None)

    def pick_within(self, one: Place, other: Place, *, add: bool = False) -> None:
        """Pick what lies wholly between two corners of a box, level-0 px."""
        (y0, y1), (x0, x1) = (sorted(pair) for pair in zip(one, other, strict=True))
        self._index.show(self.review.state.annotations)
        found = self._index.within((y0, x0), (y1, x1))
        kept = [name for name in self.picked if name not in found] if add else []
        self.pick((*kept, *found))

    def wand(self, view: Box, downsample: float) -> Wand:
        """A wand on the pixels of the slide that are in view.

        Parameters
        ----------
        view : tuple of float
            y0, x0, y1, x1 of what is in view, level-0 px.
        downsample : float
            Level-0 px per pixel of the screen.

        Raises
        ------
        AnnotationError
            When nothing of a slide is in view.
        """
        slide = self.review.session.slide
        downsample = max(downsample, 1.0)
        region = None if slide is None else _on_slide(view, slide.shape)
        if slide is None or region is None:
            raise AnnotationError(
                "the wand", "takes pixels of a slide, and none is in view", remedy="move to it"
            )
        shape = max(1, round(region.height / downsample)), max(1, round(region.width / downsample))
        pixels = slide.shown(read_scaled(slide, region, shape, mark_unreadable=True))
        factor = region.height / shape[0]
        first = region.y - 0.5 + factor / 2, region.x - 0.5 + factor / 2
        return Wand(np.ascontiguousarray(pixels[..., :3], np.uint8), first, factor)

    def add(self, kind: AnnotationKind, rings: Rings) -> None:
        """Keep an area in the current class; it is picked then."""
        made = Annotation(new_id(), kind, rings.outer, self.review.path_class, holes=rings.holes)
        if made.complete:
            fields = objects.with_annotation(self.review.state, made)
            if self.review.change(f"draw {kind}", **fields):
                self.pick((made.id,))

    def paint(self, base: Annotation | None, shape: BaseGeometry, *, erases: bool) -> None:
        """Keep what a stroke has made of an area, or a new one in the current class."""
        if base is not None:
            name, painted = base.id, lambda state: areas.painted(state, base.id, shape)
            picks = name in self.picked
            if erases:
                self._edit("erase", painted, picks=picks)
            else:
                self._edit("paint", painted, picks=picks)
        elif not erases and (parts := pieces_of(shape)):
            self.add("freehand", parts[0])

    def unite(self) -> None:
        """Make one area of the picked ones."""
        self._edit_picked("unite areas", lambda state: areas.united(state, self.picked))

    def subtract(self) -> None:
        """Take the other picked areas out of the first."""
        self._edit_picked("subtract areas", lambda state: areas.subtracted(state, self.picked))

    def intersect(self) -> None:
        """Keep what the picked areas share."""
        self._edit_picked("intersect areas", lambda state: areas.shared(state, self.picked))

    def fill_holes(self) -> None:
        """Fill the holes of the picked areas."""
        self._edit_picked("fill holes", lambda state: areas.filled(state, self.picked))

    def duplicate(self, by: Place) -> None:
        """Put copies of the picked ones beside them, by level-0 px, and pick the copies."""
        self._edit_picked("duplicate annotation", lambda s: objects.duplicated(s, self.picked, by))

    def move(self, by: Place) -> None:
        """Move the picked ones with their parts, by level-0 px."""
        self._edit_picked("move annotation", lambda state: objects.moved(state, self.picked, by))

    def lock(self) -> None:
        """Lock the picked ones; where all are, unlock them."""
        self._edit_picked("lock annotation", lambda state: objects.locked(state, self.picked))

    def nest(self) -> None:
        """Make each picked one a part of the area around it, or of none again."""
        self._edit_picked("nest annotation", lambda state: objects.nested(state, self.picked))

    def delete(self) -> None:
        """Remove the picked ones."""

        def remove(state: ReviewState) -> Drawn:
            return Drawn(objects.without_annotations(state, self.picked)["annotations"], ())

        self._edit_picked("delete annotation", remove)

    def reshape(self, annotation: Annotation) -> None:
        """Keep other corners of an annotation."""

        def edited(state: ReviewState) -> Drawn:
            objects.require_unlocked(state.annotations, [annotation.id])
            fields = objects.with_annotation(state, annotation)
            return Drawn(fields["annotations"], (annotation.id,))

        self._edit("edit annotations", edited)

    def take_edited(self, annotations: Annotations) -> None:
        """Keep what was changed with napari's own tools; refused where a locked one was."""
        state = self.review.state
        new = {one.id: one for one in annotations}
        touched = [one.id for one in state.annotations if new.get(one.id) != one]
        gone = [name for name in touched if name not in new]

        def edited(state: ReviewState) -> Drawn:
            objects.require_unlocked(state.annotations, touched)
            kept = objects.removed(state.annotations, gone)
            parents = {one.id: one.parent for one in kept}
            made = tuple(objects.within(one, parents.get(one.id, "")) for one in annotations)
            return Drawn(made, self.picked)

        self._edit("edit annotations", edited, picks=False)

    def _edit_picked(self, action: str, make: Callable[[ReviewState], Drawn]) -> None:
        if self.picked:
            self._edit(action, make)
        else:
            self.review.say("Pick an annotation first: take the arrow, and click it.")

    def _edit(
        self, action: str, make: Callable[[ReviewState], Drawn], *, picks: bool = True
    ) -> None:
        try:
            made = make(self.review.state)
        except HagmilError as error:
            self.review.say(error_sentence(error))
            self.review.changed.emit()  # the layers drop what the state did not accept
            return
        if self.review.change(action, **made.fields) and picks:
            self.pick(made.ids)

    def _forget(self) -> None:
        """Pick no longer what is gone."""
        if self.picked:
            there = {one.id for one in self.review.state.annotations}
            self.pick(tuple(name for name in self.picked if name in there))


def _on_slide(view: Box, shape: tuple[int, int]) -> Region | None:
    """The whole pixels of a slide that are in view; None where there are none."""
    y0, x0, y1, x1 = view
    top, left = (max(0, int(np.floor(edge + 0.5))) for edge in (y0, x0))
    bottom, right = (
        min(side, int(np.ceil(edge + 0.5))) for side, edge in zip(shape, (y1, x1), strict=True)
    )
    if top >= bottom or left >= right:
        return None
    return Region(top, left, bottom - top, right - left)
