"""The actions of a review that keys and buttons trigger; no Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from psygnal import Signal

from napari_hagmil.errors import HagmilError
from napari_hagmil.geometry import magnification_label
from napari_hagmil.polygons import Outline, Rings, simplified
from napari_hagmil.review import (
    Annotation,
    AnnotationKind,
    Decision,
    Offer,
    PathClass,
    ReviewRegion,
    ReviewState,
    SignOff,
    Sitting,
    edit,
    new_id,
    with_class,
)
from napari_hagmil.review.drawing.objects import with_annotation
from napari_hagmil.review.patches import outline_of, patch_at
from napari_hagmil.review.queue import Filter, next_unseen, queue_of, step
from napari_hagmil.review.state import AREAS
from napari_hagmil.session.background.importing import FoundAnnotations
from napari_hagmil.session.numbers import counted
from napari_hagmil.session.sentences import error_sentence
from napari_hagmil.session.session import Session
from napari_hagmil.slide import Slide

_ACTION = {"unseen": "put region back", "accepted": "accept region", "rejected": "reject region"}
_PATCH_ACTION = {
    "unseen": "decide patch with its region",
    "accepted": "accept patch",
    "rejected": "reject patch",
}


@dataclass(frozen=True, slots=True)
class ReviewPreferences:
    """How a user likes to review.

    Attributes
    ----------
    auto_advance : bool
        Go to the next undecided region after a decision.
    region_share : float
        Share of the nodes, best first, that attention regions are made of, %.
    """

    auto_advance: bool = True
    region_share: float = 25


class Review:
    """The review of the slide that a session has open.

    Parameters
    ----------
    session : Session
        Its slide is reviewed.
    preferences : callable
        Returns the preferences as they are now; asked each time they matter.
    remember_class : callable
        Called with every class that the user makes or recolours.

    Attributes
    ----------
    current : str
        Id of the current region; empty when there is none.
    chosen : tuple of str
        Ids that are selected in the list, for merging.
    wanted : Filter
        What the queue shows.
    path_class : str
        The class that the next annotation gets; empty for none.

    Signals
    -------
    reset : Slide or None
        Another slide is open, and nothing of the last review counts any more.
    changed
        Emitted after every change, and after a change that was refused, so that the layers
        drop what the state did not accept.
    drawing_class_changed
        `path_class` is another one.
    centre_asked : ReviewRegion
        The view should go there.
    said : str
        A sentence for the user.
    finished
        The review was signed off: the next slide may come.
    """

    reset = Signal(object)
    changed = Signal()
    drawing_class_changed = Signal()
    centre_asked = Signal(object)
    said = Signal(str)
    finished = Signal()

    def __init__(
        self,
        session: Session,
        *,
        preferences: Callable[[], ReviewPreferences] = ReviewPreferences,
        remember_class: Callable[[PathClass], object] = lambda new: None,
    ) -> None:
        self.session = session
        self.preferences, self.remember_class = preferences, remember_class
        self.current = ""
        self.chosen: tuple[str, ...] = ()
        self.wanted = Filter()
        self.path_class = ""
        session.slide_changed.connect(self._open)
        if session.slide is not None:
            self._open(session.slide)

    @property
    def sitting(self) -> Sitting | None:
        """Where changes go; None while no slide is open."""
        return self.session.sitting

    @property
    def state(self) -> ReviewState:
        """The current state."""
        return self.sitting.state if self.sitting else ReviewState()

    @property
    def mpp(self) -> float:
        """µm per level-0 px; 1 where the slide has none."""
        return self.session.mpp

    def queue(self) -> list[ReviewRegion]:
        """The regions that pass the filter, in its order."""
        return queue_of(self.state.regions, self.mpp, self.wanted)

    def place(self) -> tuple[int, int]:
        """Where the current region stands in the queue, from 1 (0: not in it), and its length."""
        ids = [one.id for one in self.queue()]
        return (ids.index(self.current) + 1 if self.current in ids else 0), len(ids)

    def region(self) -> ReviewRegion | None:
        """The current region."""
        return edit.region_by_id(self.state, self.current)

    def choose(self, region_id: str, *, centre: bool = False) -> None:
        """Make a region the current one; with `centre`, the view goes there."""
        self.current = region_id
        self._show()
        if centre:
            self.centre()

    def choose_at(self, position: Sequence[float]) -> None:
        """Make the region at a place (y, x), µm, the current one; the view stays."""
        place = (float(position[0]) / self.mpp, float(position[1]) / self.mpp)
        found = edit.region_at(self.state, place)
        if found and found != self.current:
            self.chosen = ()
            self.choose(found)

    def step(self, by: int) -> None:
        """Go to the next or the previous region of the queue."""
        self.choose(step(self.queue(), self.current, by), centre=True)

    def centre(self) -> None:
        """Ask the view to show the current region."""
        region = self.region()
        if region is not None:
            self.centre_asked.emit(region)

    def decide(self, decision: Decision) -> None:
        """Accept, reject or put back the current region, and go on to the next one."""
        region = self.region()
        if region is None:
            self.say("No region is chosen: press N for the next one.")
            return
        follower = next_unseen(self.queue(), self.current)
        fields = edit.with_decision(self.state, region.id, decision)
        if self.change(_ACTION[decision], **fields) and decision != "unseen":
            self._advance(follower)

    def decide_patches(self, indexes: Iterable[int], decision: Decision) -> None:
        """Give single patches of the current region a decision of their own.

        "unseen" takes it back: then they are decided with their region.
        """
        fields = edit.with_patches(self.state, self.current, indexes, decision)
        self.change(_PATCH_ACTION[decision], **fields)

    def decide_patch_at(self, position: Sequence[float], decision: Decision) -> None:
        """Decide on the patch at a place (y, x), µm, alone; the same decision again takes it back.

        Its region becomes the current one; the view stays.
        """
        place = (float(position[0]) / self.mpp, float(position[1]) / self.mpp)
        region = edit.region_by_id(self.state, edit.region_at(self.state, place))
        index = patch_at(region, place) if region else None
        if region is None or index is None:
            self.say("Point at a patch of a region: there is none.")
            return
        if region.id != self.current:
            self.choose(region.id)
        again = region.patches[index].decision == decision
        self.decide_patches([index], "unseen" if again else decision)

    def centre_patch(self, index: int) -> None:
        """Ask the view to show a patch of the current region."""
        region = self.region()
        if region is not None:
            self.centre_asked.emit(ReviewRegion(region.id, outline_of(region.patches[index])))

    def reclassify(self, name: str) -> None:
        """Give the current region another class."""
        fields = edit.with_region(self.state, self.current, path_class=name)
        self.change(f"class {name or 'none'}", **fields)

    def comment(self, text: str) -> None:
        """Comment on the current region; consecutive letters are one step of undo."""
        fields = edit.with_region(self.state, self.current, comment=text)
        self.change("comment", coalesce=f"comment {self.current}", **fields)

    def add_class(self, name: str, color: tuple[int, int, int]) -> None:
        """Add a class, or give an existing one another colour."""
        new = PathClass(name.strip(), color)
        try:
            classes = with_class(self.state.classes, new)
        except HagmilError as error:
            self.say(error_sentence(error))
        else:
            if self.change(f"class {new.name}", classes=classes):
                self.remember_class(new)

    def set_drawing_class(self, name: str) -> None:
        """Give this class to what is drawn next."""
        self.path_class = name
        self.drawing_class_changed.emit()
        self.changed.emit()

    def class_by_number(self, number: int) -> None:
        """Give the current region, and what is drawn next, the n-th class; 0 is none."""
        classes = self.state.classes
        if number <= len(classes):
            name = classes[number - 1].name if number else ""
            if self.region() is not None:
                self.reclassify(name)
            self.set_drawing_class(name)

    def merge(self) -> None:
        """Join the selected regions, or the current one and its nearest neighbour."""
        ids = self.chosen if len(self.chosen) > 1 else edit.with_nearest(self.state, self.current)
        self._edit("merge regions", lambda: edit.merge(self.state, ids))

    def split(self, region_id: str, line: Outline) -> None:
        """Cut a region along a line; the larger part becomes the current region."""
        self._edit("split region", lambda: edit.split(self.state, region_id, line))

    def redraw(self, region_id: str, outer: Outline) -> None:
        """Give a region another outline."""
        self._edit("redraw region", lambda: edit.redraw(self.state, region_id, outer))

    def remove(self) -> None:
        """Take the selected regions, or the current one, out of the review."""
        ids = self.chosen or (self.current,)
        follower = next_unseen(self.queue(), self.current)
        if self.change("remove region", **edit.without_regions(self.state, ids)):
            self.choose(follower)

    def add_annotation(
        self, kind: AnnotationKind, points: Outline, *, tolerance: float = 0.0
    ) -> None:
        """Keep a finished drawing in the current class; one with too few corners is dropped.

        An area is kept with the corners that `tolerance` level-0 px of accuracy need.
        """
        rings = Rings(points)
        if tolerance and kind in AREAS and len(points) > 3:
            rings = simplified(rings, tolerance)
        made = Annotation(new_id(), kind, rings.outer, self.path_class, holes=rings.holes)
        if made.complete:
            self.change(f"draw {kind}", **with_annotation(self.state, made))

    def keep_sketch(self, kind: AnnotationKind, points: Outline) -> None:
        """Put a drawing that is not finished into the journal, so that a crash keeps it."""
        sitting = self.sitting
        if sitting is None:
            return
        drawn = Annotation("sketch", kind, points, self.path_class)
        try:
            sketch = sitting.sketch
            sitting.keep_sketch(replace(drawn, id=sketch.id if sketch else new_id()))
        except HagmilError as error:
            self.say(error_sentence(error))

    def drop_sketch(self) -> None:
        """Take a drawing that the user has given up out of the journal."""
        if self.sitting is not None and self.sitting.sketch is not None:
            try:
                self.sitting.keep_sketch(None)
            except HagmilError as error:
                self.say(error_sentence(error))

    def take_import(self, found: FoundAnnotations) -> None:
        """Add the annotations of a file, as one step that can be undone."""
        known = {one.name for one in self.state.classes}
        classes = (*self.state.classes, *(one for one in found.classes if one.name not in known))
        annotations = (*self.state.annotations, *found.annotations)
        if self.change("import annotations", annotations=annotations, classes=classes):
            count = counted(len(found.annotations), "annotation")
            self.say(" ".join([f"{count} imported from {found.name}.", *found.notes]))

    def answer(self, offer: Offer | None) -> None:
        """Take the review over from another window, or go on with one of an earlier content."""
        if self.sitting is None:
            return
        try:
            if self.sitting.held_by or self.sitting.lost:
                self.sitting.take_over()
            elif offer is not None:
                self.sitting.accept_offer(offer)
        except HagmilError as error:
            self.say(error_sentence(error))

    def find(self) -> None:
        """Find the regions of the last complete run; those that the user has dealt with stay."""
        session = self.session
        slide, result = session.slide, session.result
        if slide is None or slide.mpp is None or result is None or not session.shown.complete:
            return
        depth = session.stages[-1].depth
        quantile = 1 - self.preferences().region_share / 100
        seen = session.regions(quantile=quantile)
        at = magnification_label(session.grids[depth].downsample * slide.mpp)
        provenance = f"{result.model.name} at {at}"
        fields = edit.found(
            self.state, seen, depth=depth, provenance=provenance, in_hand=self.current
        )
        # Trying several budgets one after the other is one step of undo.
        self.change("find regions", coalesce="find regions", **fields)

    def undo(self) -> None:
        """Take the last change back, whatever it was."""
        if self.sitting is not None:
            self._move(self.sitting.undo, "Undone: {}.", "There is nothing to undo.")

    def redo(self) -> None:
        """Bring back what was undone last."""
        if self.sitting is not None:
            self._move(self.sitting.redo, "Done again: {}.", "There is nothing to redo.")

    def sign_off(self, signed: SignOff) -> None:
        """Note in the journal that the review is finished, and say so to whoever opens slides."""
        if self.change("finish", signed=signed):
            self.finished.emit()

    def change(self, action: str, *, coalesce: str = "", **fields: Any) -> bool:
        """Change the review; False, after a sentence to the user, when that is refused."""
        refusal = "Open a slide first: there is nothing to review yet."
        if self.sitting is not None:
            try:
                self.sitting.change(action, coalesce=coalesce, **fields)
                return True
            except HagmilError as error:
                refusal = error_sentence(error)
                self._show()
        self.say(refusal)
        return False

    def say(self, sentence: str) -> None:
        """Show the user a sentence."""
        self.said.emit(sentence)

    def _open(self, slide: Slide | None) -> None:
        self.current, self.chosen = "", ()
        self.reset.emit(slide)
        if self.sitting is not None:
            self.sitting.changed.connect(self._show)
            self.current = self._left_off()
        self._show()

    def _left_off(self) -> str:
        """Id of the first region without a decision, in a review that was begun; else empty."""
        begun = any(one.decision != "unseen" for one in self.state.regions)
        return next_unseen(self.queue(), "") if begun else ""

    def _show(self, *_: object) -> None:
        ids = {one.id for one in self.state.regions}
        self.current = self.current if self.current in ids else ""
        self.chosen = tuple(one for one in self.chosen if one in ids)
        self.changed.emit()

    def _advance(self, follower: str) -> None:
        if not self.preferences().auto_advance:
            return
        if follower:
            self.choose(follower, centre=True)
        else:
            self.say("Every region of the queue has a decision.")

    def _edit(self, action: str, make: Callable[[], edit.Edit]) -> None:
        try:
            made = make()
        except HagmilError as error:
            self.say(error_sentence(error))
            return
        if self.change(action, **made.fields) and made.region_id:
            self.choose(made.region_id)

    def _move(self, move: Callable[[], str], done: str, nothing: str) -> None:
        try:
            name = move()
        except HagmilError as error:
            self.say(error_sentence(error))
        else:
            self.say(done.format(name) if name else nothing)
