"""The magic wand on the slide's pixels."""

from __future__ import annotations

import time
from typing import Any

from napari_hagmil.errors import HagmilError
from napari_hagmil.polygons import Rings, shape_of
from napari_hagmil.session import error_sentence
from napari_hagmil.widgets.cascade.camera import view_rectangle
from napari_hagmil.widgets.review.hand.reach import Drag, Reach

#: Tolerance per px of the screen that the pointer is dragged, and its bounds.
_PER_PX, _LEAST, _MOST = 0.4, 2.0, 160.0

#: Share of the time that may go into areas while the pointer is dragged.
_PAUSE = 1.0


class WandTool:
    """Takes the pixels that look like those under the pointer; dragging away takes more of them.

    They are added to the picked area there, or make a new one; Alt takes them away.
    """

    def __init__(self, reach: Reach) -> None:
        self.reach = reach

    def drag(self, event: Any) -> Drag:
        """Show the area while the pointer is dragged, and keep it at the release."""
        reach, place = self.reach, self.reach.place(event)
        try:
            view = view_rectangle(reach.viewer, reach.review.mpp)
            wand = reach.drawn.wand((view.y0, view.x0, view.y1, view.x1), reach.px())
        except HagmilError as error:
            reach.review.say(error_sentence(error))
            return
        start, begun = event.pos, reach.tolerance
        area, took = wand.area(place, begun), 0.0
        self._show(area)
        last = time.perf_counter()
        yield
        while event.type == "mouse_move":
            # To the right and up is more, as on a slider.
            way = (event.pos[0] - start[0]) - (event.pos[1] - start[1])
            reach.tolerance = min(max(begun + _PER_PX * way, _LEAST), _MOST)
            if time.perf_counter() - last > _PAUSE * took:
                began = time.perf_counter()
                area = wand.area(place, reach.tolerance)
                self._show(area)
                last = time.perf_counter()
                took = last - began
            yield
        area = wand.area(place, reach.tolerance)
        reach.sheet.show(())
        if area is not None:
            self._keep(place, area, erases="Alt" in event.modifiers)

    def _show(self, area: Rings | None) -> None:
        rings = () if area is None else (area.outer, *area.holes)
        self.reach.sheet.show([(ring, True) for ring in rings])

    def _keep(self, place: tuple[float, float], area: Rings, *, erases: bool) -> None:
        drawn, shape = self.reach.drawn, shape_of(area)
        near = 2 * self.reach.px()
        base = drawn.erased_at(place, near) if erases else drawn.base_of(place, near)
        if base is not None:
            whole = shape_of(base.rings)
            shape = whole.difference(shape) if erases else whole.union(shape)
            drawn.paint(base, shape, erases=erases)
        elif not erases:
            drawn.add("polygon", area)
