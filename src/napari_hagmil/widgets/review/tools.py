"""Edits of the review that need a pencil, or more than one region."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_hagmil.errors import HagmilError
from napari_hagmil.plugin.review_layers import DECISION_COLORS
from napari_hagmil.polygons import Outline
from napari_hagmil.review import Annotation, AnnotationKind, ReviewRegion, class_named, edit, new_id
from napari_hagmil.review.queue import next_unseen
from napari_hagmil.session import sentence
from napari_hagmil.widgets.review.drawing import Drawing

if TYPE_CHECKING:
    from napari_hagmil.widgets.review.desk import ReviewDesk


class ReviewTools:
    """The pencil of one review.

    Parameters
    ----------
    desk : ReviewDesk
        Whose regions are edited.
    """

    def __init__(self, desk: ReviewDesk) -> None:
        self.desk = desk
        self.drawing = Drawing(desk.viewer, self._keep_sketch)

    def merge(self) -> None:
        """Join the marked regions, or the one in hand with its nearest neighbour."""
        desk = self.desk
        ids = desk.chosen if len(desk.chosen) > 1 else edit.with_nearest(desk.state, desk.current)
        self._edit("merge regions", lambda: edit.merge(desk.state, ids))

    def split(self) -> None:
        """Draw a line, and cut the region in hand along it."""
        desk = self.desk
        region = self._in_hand("split")
        if region is None:
            return

        def cut(line: Outline) -> None:
            self._edit("split region", lambda: edit.split(desk.state, region.id, line))

        desk.say("Click along the cut; double-click, or press Enter, at its end. Esc: leave it.")
        self.drawing.start("line", desk.mpp, cut, color="#ffffff")

    def redraw(self) -> None:
        """Draw the outline of the region in hand anew."""
        desk = self.desk
        region = self._in_hand("redraw")
        if region is None:
            return

        def put(outer: Outline) -> None:
            self._edit("redraw region", lambda: (edit.redraw(desk.state, region.id, outer), ""))

        desk.say("Draw its outline in one stroke, or move and click. Esc: leave it.")
        self.drawing.start("freehand", desk.mpp, put, color=DECISION_COLORS[region.decision])

    def remove(self) -> None:
        """Take the marked regions, or the one in hand, out of the review."""
        desk = self.desk
        ids = desk.chosen or (desk.current,)
        follower = next_unseen(desk.queue(), desk.current)
        if desk.change("remove region", **edit.without_regions(desk.state, ids)):
            desk.choose(follower)

    def draw(self, kind: AnnotationKind) -> None:
        """Draw annotations of one kind, one after the other; the same again stops."""
        desk = self.desk
        again = self.drawing.kind == kind
        self.drawing.stop()
        if not again and desk.session.slide is not None:
            color = [c / 255 for c in class_named(desk.state.classes, desk.path_class).color]
            self.drawing.start(
                kind, desk.mpp, lambda points: self._drawn(kind, points), color=color, keep=True
            )
        desk.changed.emit()

    def _keep_sketch(self, points: Outline) -> None:
        kind = self.drawing.kind
        desk = self.desk
        if desk.sitting is not None and kind in ("polygon", "freehand", "rectangle", "ruler"):
            sketch = desk.sitting.sketch
            drawn = Annotation("sketch", kind, points, desk.path_class)  # type: ignore[arg-type]
            try:
                desk.sitting.keep_sketch(replace(drawn, id=sketch.id if sketch else new_id()))
            except HagmilError as error:
                desk.say(sentence(error))

    def _drawn(self, kind: AnnotationKind, points: Outline) -> None:
        desk = self.desk
        made = Annotation(new_id(), kind, points, desk.path_class)
        if made.complete:
            desk.change(f"draw {kind}", **edit.with_annotation(desk.state, made))

    def _in_hand(self, what: str) -> ReviewRegion | None:
        desk = self.desk
        region = desk.region()
        if region is None:
            desk.say(f"Choose the region to {what} first.")
        return region

    def _edit(self, action: str, make: Callable[[], tuple[edit.Fields, str]]) -> None:
        desk = self.desk
        try:
            fields, region_id = make()
        except HagmilError as error:
            desk.say(sentence(error))
            return
        if desk.change(action, **fields) and region_id:
            desk.choose(region_id)
