"""What the review's keys and buttons do; its dock only shows it and sends wishes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from napari.components import ViewerModel
from psygnal import Signal

from napari_hagmil.errors import HagmilError
from napari_hagmil.export.annotations_reader import read_annotations
from napari_hagmil.geometry import magnification_label
from napari_hagmil.review import (
    Decision,
    Offer,
    PathClass,
    ReviewRegion,
    ReviewState,
    Sitting,
    edit,
    with_class,
)
from napari_hagmil.review.queue import Filter, next_unseen, queue_of, step
from napari_hagmil.session import Session, sentence
from napari_hagmil.slide import Slide
from napari_hagmil.widgets.preferences import keep_class, open_review, preference
from napari_hagmil.widgets.review.layers import ReviewLayers
from napari_hagmil.widgets.review.tools import ReviewTools
from napari_hagmil.widgets.style import counted

#: Share of the canvas that a region fills when it is gone to.
_FILL = 0.4

_DONE = {"unseen": "put region back", "accepted": "accept region", "rejected": "reject region"}
_EDITED = {"regions": "edit regions", "annotations": "edit annotations"}


class ReviewDesk:
    """The review of one window.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where the regions are.
    session : Session
        Whose slide is under review.

    Attributes
    ----------
    current : str
        Id of the region in hand; empty while there is none.
    chosen : tuple of str
        Ids that are marked in the list, for merging.
    wanted : Filter
        What the queue shows.
    """

    changed = Signal()
    said = Signal(str)

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        self.viewer, self.session = viewer, session
        self.current = ""
        self.chosen: tuple[str, ...] = ()
        self.wanted = Filter()
        self.path_class = ""
        self.layers = ReviewLayers(viewer, self._take_edit)
        self.tools = ReviewTools(self)
        session.slide_changed.connect(self._sit_down)
        if session.slide is not None:
            self._sit_down(session.slide)

    @property
    def sitting(self) -> Sitting | None:
        """The review in hand."""
        return self.session.sitting

    @property
    def state(self) -> ReviewState:
        """What holds now."""
        return self.sitting.state if self.sitting else ReviewState()

    @property
    def mpp(self) -> float:
        """µm per level-0 px; 1 where the slide has none."""
        slide = self.session.slide
        return slide.mpp if slide is not None and slide.mpp else 1.0

    def queue(self) -> list[ReviewRegion]:
        """The regions that are to be seen, in their order."""
        return queue_of(self.state.regions, self.mpp, self.wanted)

    def region(self) -> ReviewRegion | None:
        """The region in hand."""
        return edit.region_by_id(self.state, self.current)

    def choose(self, region_id: str, *, centre: bool = False) -> None:
        """Take a region in hand; the view moves only when asked to."""
        self.current = region_id
        self._show()
        if centre:
            self.centre()

    def step(self, by: int) -> None:
        """Go to the next or the previous region of the queue."""
        self.choose(step(self.queue(), self.current, by), centre=True)

    def centre(self) -> None:
        """Show the region in hand whole, no closer than one screen pixel per slide pixel."""
        region = self.region()
        if region is None:
            return
        ys, xs = zip(*region.polygon, strict=True)
        top, bottom, left, right = (self.mpp * v for v in (min(ys), max(ys), min(xs), max(xs)))
        camera = self.viewer.scene.camera
        camera.center = ((top + bottom) / 2, (left + right) / 2)
        height, width = self.viewer.canvas.size
        columns = 2 if self.viewer.canvas.grid.enabled else 1
        whole = min(height / max(bottom - top, 1.0), width / columns / max(right - left, 1.0))
        camera.zoom = min(_FILL * whole, 1 / self.mpp)

    def decide(self, decision: Decision) -> None:
        """Accept, reject or put back the region in hand, and go on to the next one."""
        region = self.region()
        if region is None:
            self.say("No region is chosen: press N for the next one.")
            return
        follower = next_unseen(self.queue(), self.current)
        fields = edit.with_region(self.state, region.id, decision=decision)
        if self.change(_DONE[decision], **fields) and decision != "unseen":
            self._advance(follower)

    def reclassify(self, name: str) -> None:
        """Give the region in hand another class."""
        fields = edit.with_region(self.state, self.current, path_class=name)
        self.change(f"class {name or 'none'}", **fields)

    def comment(self, text: str) -> None:
        """Say something of the region in hand; letters in a row are one step."""
        fields = edit.with_region(self.state, self.current, comment=text)
        self.change("comment", coalesce=f"comment {self.current}", **fields)

    def add_class(self, name: str, color: tuple[int, int, int]) -> None:
        """Put a class of one's own on offer, or give one another colour."""
        try:
            classes = with_class(self.state.classes, PathClass(name.strip(), color))
        except ValueError as error:
            self.say(str(error))
        else:
            if self.change(f"class {name.strip()}", classes=classes):
                keep_class(PathClass(name.strip(), color))

    def set_drawing_class(self, name: str) -> None:
        """What is drawn next gets this class."""
        self.path_class = self.layers.path_class = name
        if self.tools.drawing.active:
            kind = self.tools.drawing.kind
            self.tools.draw(kind)  # type: ignore[arg-type]
            self.tools.draw(kind)  # type: ignore[arg-type]
        self.changed.emit()

    def import_annotations(self, path: str | Path) -> str:
        """Take the annotations of a GeoJSON file; a sentence when that cannot be, else empty."""
        try:
            drawn, named = read_annotations(path)
        except HagmilError as error:
            self.say(sentence(error))
            return sentence(error)
        known = {one.name for one in self.state.classes}
        classes = (*self.state.classes, *(one for one in named if one.name not in known))
        annotations = (*self.state.annotations, *drawn)
        if not self.change("import annotations", annotations=annotations, classes=classes):
            return "Open a slide first." if self.sitting is None else self.sitting.held_by
        self.say(f"{counted(len(drawn), 'annotation')} imported from {Path(path).name}.")
        return ""

    def choose_at(self, position: Sequence[float]) -> None:
        """Take the region at a place (y, x), µm, in hand; the view stays."""
        place = (float(position[0]) / self.mpp, float(position[1]) / self.mpp)
        found = edit.region_at(self.state, place)
        if found and found != self.current:
            self.chosen = ()
            self.choose(found)

    def answer(self, offer: Offer | None) -> None:
        """Take the review over from another window, or go on with one of an earlier content."""
        if self.sitting is None:
            return
        try:
            if self.sitting.held_by or (self.sitting.journal and self.sitting.journal.lost):
                self.sitting.take_over()
            elif offer is not None:
                self.sitting.accept_offer(offer)
        except HagmilError as error:
            self.say(sentence(error))

    def undo(self) -> None:
        """Take the last change back, whatever it was."""
        self._move("undo")

    def redo(self) -> None:
        """Bring back what was undone last."""
        self._move("redo")

    def change(self, action: str, *, coalesce: str = "", **fields: Any) -> bool:
        """Change the review; False, and a sentence, when it cannot be."""
        if self.sitting is None:
            self.say("Open a slide first: there is nothing to review yet.")
            return False
        try:
            self.sitting.change(action, coalesce=coalesce, **fields)
        except HagmilError as error:
            self.say(sentence(error))
            # Take back what people see in the layers and the state did not take.
            self._show()
            return False
        return True

    def find(self) -> None:
        """Find the attention regions anew; what was dealt with stays."""
        slide, stages = self.session.slide, self.session.stages
        if slide is None or slide.mpp is None or not stages:
            return
        depth = stages[-1].depth
        share = preference("review", "region_share", 25)
        seen = self.session.regions(quantile=1 - share / 100)
        at = magnification_label(self.session.grids[depth].downsample * slide.mpp)
        whence = f"{self.session.model_name} at {at}"
        fields = edit.found(self.state, seen, depth=depth, provenance=whence)
        # Budgets that are tried one after the other are one step.
        self.change("find regions", coalesce="find regions", **fields)

    def say(self, words: str) -> None:
        """Tell the reader of the slide something."""
        self.said.emit(words)

    def _sit_down(self, slide: Slide | None) -> None:
        self.tools.drawing.stop()
        self.layers.clear(bright=slide is None or slide.is_rgb)
        self.current, self.chosen = "", ()
        if self.sitting is not None:
            self.sitting.changed.connect(self._show)
            self._show()
        self.changed.emit()

    def _show(self, *_: Any) -> None:
        ids = {one.id for one in self.state.regions}
        self.current = self.current if self.current in ids else ""
        self.chosen = tuple(one for one in self.chosen if one in ids)
        if self.session.slide is not None:
            self.layers.path_class = self.path_class
            self.layers.show(self.state, self.mpp, self.current)
        self.changed.emit()

    def _take_edit(self, what: str, members: Any) -> None:
        self.change(_EDITED[what], **{what: members})

    def _advance(self, follower: str) -> None:
        if preference("review", "auto_advance", True):
            if follower:
                self.choose(follower, centre=True)
            else:
                self.say("Every region of the queue has a decision.")

    def _move(self, which: str) -> None:
        if self.sitting is not None:
            try:
                name = getattr(self.sitting, which)()
            except HagmilError as error:
                self.say(sentence(error))
            else:
                verb = "Undone" if which == "undo" else "Done again"
                self.say(f"{verb}: {name}." if name else f"There is nothing to {which}.")


#: Kept alive by the docks that show them.
_DESKS: WeakValueDictionary[int, ReviewDesk] = WeakValueDictionary()


def review_desk_of(viewer: ViewerModel) -> ReviewDesk:
    """The one review of a window; whichever dock is opened first makes it."""
    window = getattr(viewer, "__wrapped__", viewer)
    desk = _DESKS.get(id(window))
    if desk is None:
        session = Session()
        session.open_review = open_review
        desk = _DESKS[id(window)] = ReviewDesk(viewer, session)
    return desk
