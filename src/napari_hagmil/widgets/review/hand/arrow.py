"""The arrow: picks annotations, moves them and their corners."""

from __future__ import annotations

from typing import Any

from napari_hagmil.polygons import Place
from napari_hagmil.review import Annotation
from napari_hagmil.review.drawing.corners import (
    Corner,
    corner_at,
    rings_of,
    with_corner,
    with_new_corner,
    without_corner,
)
from napari_hagmil.review.drawing.objects import shifted_by
from napari_hagmil.widgets.review.hand.reach import Drag, Reach
from napari_hagmil.widgets.review.hand.sheet import Line


class Arrow:
    """Picks what is clicked, Shift adds to it; what is picked is moved, and its corners are.

    Nothing snaps: a corner stays where the hand leaves it.
    """

    def __init__(self, reach: Reach) -> None:
        self.reach = reach

    def drag(self, event: Any) -> Drag | None:
        """Move a corner, or the picked ones; from a place where there is nothing, pick a box."""
        reach, start = self.reach, self.reach.place(event)
        adds, takes = "Shift" in event.modifiers, "Alt" in event.modifiers
        one = self._only()
        corner = corner_at(one, start, reach.slack) if one is not None and not adds else None
        if one is not None and corner is not None:
            if takes:
                reach.drawn.reshape(without_corner(one, corner))
                return None
            return self._move_corner(event, one, corner)
        found = reach.drawn.at(start, reach.slack)
        if adds or found not in reach.drawn.picked:
            reach.drawn.pick_at(start, reach.slack, add=adds)
        return self._move(event, start) if found else self._pick_box(event, start, adds=adds)

    def add_corner(self, event: Any) -> None:
        """Put a corner where the outline of the picked annotation was clicked twice."""
        one = self._only()
        if one is not None:
            place, slack = self.reach.place(event), self.reach.slack
            self.reach.drawn.reshape(with_new_corner(one, place, slack))

    def show(self) -> None:
        """Outline what is picked; of a single one that is not locked, mark the corners."""
        chosen = [one for one in self.reach.drawn.chosen if one.kind != "point"]
        self._outline(chosen, marked=self._only() is not None)

    def _outline(self, annotations: list[Annotation], *, marked: bool = False) -> None:
        lines = [line for one in annotations for line in _lines(one)]
        self.reach.sheet.show(lines, [ring for ring, _ in lines] if marked else ())

    def _only(self) -> Annotation | None:
        """The picked annotation, when there is one alone whose corners can be moved."""
        chosen = self.reach.drawn.chosen
        return chosen[0] if len(chosen) == 1 and not chosen[0].locked else None

    def _move_corner(self, event: Any, one: Annotation, corner: Corner) -> Drag:
        moved = one
        yield
        while event.type == "mouse_move":
            moved = with_corner(one, corner, self.reach.place(event))
            self._outline([moved], marked=True)
            yield
        if moved is not one:
            self.reach.drawn.reshape(moved)

    def _move(self, event: Any, start: Place) -> Drag:
        by, chosen = (0.0, 0.0), self.reach.drawn.chosen
        yield
        while event.type == "mouse_move":
            y, x = self.reach.place(event)
            by = y - start[0], x - start[1]
            self._outline([shifted_by(one, by) for one in chosen])
            yield
        # A hand that trembles during a click moves nothing.
        if max(map(abs, by)) > self.reach.slack / 2:
            self.reach.drawn.move(by)
        self.show()

    def _pick_box(self, event: Any, start: Place, *, adds: bool) -> Drag:
        end = start
        yield
        while event.type == "mouse_move":
            end = self.reach.place(event)
            box = (start, (start[0], end[1]), end, (end[0], start[1]))
            self.reach.sheet.show([(box, True)])
            yield
        if end != start:
            self.reach.drawn.pick_within(start, end, add=adds)
        self.show()


def _lines(annotation: Annotation) -> list[Line]:
    """Its outlines, and whether they are closed."""
    return [(ring, annotation.is_area) for ring in rings_of(annotation)]
