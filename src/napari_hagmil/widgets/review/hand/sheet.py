"""The layer that a tool of the hand works on: what is in the making, its cursor, its keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Vectors

from napari_hagmil.plugin.layers import KEY
from napari_hagmil.polygons import Outline
from napari_hagmil.widgets.cascade.camera import um_per_screen_px
from napari_hagmil.widgets.keys import KeyAction, bind

#: Width of what is in the making, and half a side of the mark of a corner, px of the screen.
_LINE_PX, _MARK_PX = 2.5, 2.5

#: More corners than this get no marks: they would hide the outline.
_MOST_MARKS = 150

Line = tuple[Outline, bool]
"""Corners in level-0 px, and whether the last leads to the first."""


class Sheet:
    """Lies over the slide while a tool is in the hand, and shows what it has in the making.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where it lies.
    mpp : float
        µm per level-0 px.
    color : color
        As napari takes it.
    """

    def __init__(self, viewer: ViewerModel, mpp: float, color: Any) -> None:
        self.viewer, self.mpp = viewer, mpp
        self._before = viewer.layers.selection.active
        self._lines: Sequence[Line] = ()
        self._marks: Sequence[Outline] = ()
        self._cursor_px = 0.0
        self._color = color
        self.layer: Any = Vectors(
            np.zeros((1, 2, 2)),
            ndim=2,
            name="Drawing",
            vector_style="line",
            edge_color=color,
            edge_width=1.0,
            units=("um", "um"),
            metadata={KEY: {"drawing": True}},
        )
        # Its picture in the list of layers would be made anew with every move of the hand.
        self.layer._update_thumbnail = lambda: None
        viewer.add_layer(self.layer)
        self.layer.mouse_pan = False
        viewer.layers.selection.active = self.layer
        viewer.scene.camera.events.zoom.connect(self._zoomed)

    @property
    def is_there(self) -> bool:
        """Whether the layer is still in the viewer."""
        return self.layer in self.viewer.layers

    def bind(self, actions: Mapping[KeyAction, Callable[[], object]]) -> None:
        """Bind keys for as long as the tool is in the hand."""
        bind(self.layer, actions)

    def show(self, lines: Sequence[Line], marks: Sequence[Outline] = ()) -> None:
        """Show outlines, and marks on corners, level-0 px."""
        if not self.is_there:
            return
        self._lines, self._marks = lines, marks
        px = um_per_screen_px(self.viewer)
        parts = [_segments(line, self.mpp) for line in lines]
        corners = [np.asarray(ring) * self.mpp for ring in marks]
        if sum(map(len, corners)) <= _MOST_MARKS:
            parts += [_squares(ring, _MARK_PX * px) for ring in corners]
        # Of no vector at all napari cannot tell the colour of the next.
        data = np.concatenate(parts) if parts else np.zeros((1, 2, 2))
        with self.layer.events.blocker_all():
            self.layer.edge_width = _LINE_PX * px
        self.layer.data = data

    def cursor(self, diameter_px: float) -> None:
        """Show the circle of a brush, px of the screen; 0: a cross."""
        self._cursor_px = diameter_px
        self.layer.cursor = "circle" if diameter_px else "cross"
        self._zoomed()

    def color(self, color: Any) -> None:
        """Go on in another colour."""
        self.layer.edge_color = self._color = color

    def remove(self) -> None:
        """Take the layer away, and give the hand back to the layer before."""
        self.viewer.scene.camera.events.zoom.disconnect(self._zoomed)
        layers = self.viewer.layers
        if self.is_there:
            layers.remove(self.layer)
        if self._before is not None and self._before in layers:
            layers.selection.active = self._before

    def _zoomed(self, event: Any = None) -> None:
        """The brush and the lines are as large on the screen at every magnification."""
        self.layer.cursor_size = self._cursor_px * um_per_screen_px(self.viewer)
        if event is not None:
            self.show(self._lines, self._marks)


def _segments(line: Line, mpp: float) -> np.ndarray[Any, Any]:
    """Sides of an outline as vectors: their starts and their ways."""
    points, closed = line
    starts = np.asarray(points, np.float64) * mpp
    ends = np.roll(starts, -1, axis=0)
    if not closed:
        starts, ends = starts[:-1], ends[:-1]
    return np.stack([starts, ends - starts], axis=1)


def _squares(corners: np.ndarray[Any, Any], half: float) -> np.ndarray[Any, Any]:
    """Four sides around each corner."""
    around = half * np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)], np.float64)
    starts = (corners[:, None] + around).reshape(-1, 2)
    ways = np.tile(np.roll(around, -1, axis=0) - around, (len(corners), 1))
    return np.stack([starts, ways], axis=1)
