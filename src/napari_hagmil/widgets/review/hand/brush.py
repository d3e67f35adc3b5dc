"""Brush and eraser."""

from __future__ import annotations

from typing import Any

from napari_hagmil.review import Annotation
from napari_hagmil.review.drawing.stroke import Stroke
from napari_hagmil.widgets.review.hand.reach import Drag, Reach

#: How far the outline of a stroke may lie from the brush's edge, px of the screen.
_TOLERANCE_PX = 0.7


class Brush:
    """Paints on the picked area that it touches, or begins a new one; the eraser takes away.

    Alt held down makes one the other.
    """

    def __init__(self, reach: Reach, *, erases: bool) -> None:
        self.reach, self.erases = reach, erases

    def drag(self, event: Any) -> Drag:
        """Paint from the press to the release; a stroke is one step of undo."""
        reach = self.reach
        erases = self.erases != ("Alt" in event.modifiers)
        radius = reach.size_px / 2 * reach.px()
        base = self._base(reach.place(event), radius, erases=erases)
        if erases and base is None:
            reach.review.say("Erase on an area that is not locked: there is none.")
            return
        stroke = Stroke(radius, base.rings if base else None, erases=erases)
        self._go_on(stroke, event)
        yield
        while event.type == "mouse_move":
            self._go_on(stroke, event)
            yield
        shape = stroke.finished(_TOLERANCE_PX * reach.px())
        reach.drawn.paint(base, shape, erases=erases)
        reach.sheet.show(())

    def _base(
        self, place: tuple[float, float], radius: float, *, erases: bool
    ) -> Annotation | None:
        drawn = self.reach.drawn
        return drawn.erased_at(place, radius) if erases else drawn.base_of(place, radius)

    def _go_on(self, stroke: Stroke, event: Any) -> None:
        stroke.move(self.reach.place(event))
        rings = stroke.rings()
        self.reach.sheet.show([(ring, True) for one in rings for ring in (one.outer, *one.holes)])
