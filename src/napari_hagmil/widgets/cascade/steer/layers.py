"""Pins and left-out places as layers; edits go to the review, and its changes come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtCore import QTimer
from superqt.utils import qdebounced

from napari_hagmil.cascade import DepthChange
from napari_hagmil.plugin.change_layer import change_layer
from napari_hagmil.plugin.colors import FOLLOWED, LEFT_OUT, LEFT_OUT_FACE
from napari_hagmil.plugin.layers import KEY
from napari_hagmil.review import ReviewState
from napari_hagmil.session import Session
from napari_hagmil.widgets.cascade.camera import um_per_screen_px
from napari_hagmil.widgets.keys import ESCAPE, bind
from napari_hagmil.widgets.preferences import keeps_tool

#: Milliseconds after the last edit of a layer that it is handed on.
_REST = 150


class SteerLayers:
    """Shows pins and left-out places, and hands on what is drawn.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where layers are added.
    session : Session
        Whose review holds the state.
    on_pins, on_rings : callable
        Called after an edit with the places (n, 2), and with the list of rings, level-0 px.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        *,
        on_pins: Callable[[Any], None],
        on_rings: Callable[[Any], None],
    ) -> None:
        self.viewer, self.session = viewer, session
        self._pins: Layer | None = None
        self._rings: Layer | None = None
        self._changed: Layer | None = None
        self._on_pins, self._on_rings = on_pins, on_rings
        self._hand_on_soon = qdebounced(self._hand_on, timeout=_REST)

    def close(self) -> None:
        """Hand on an edit that was still waiting."""
        self._hand_on_soon.flush(restart_timer=False)

    def show_state(self, state: ReviewState) -> None:
        """Draw the pins and places of the review."""
        pins = np.array(state.pins, dtype=float).reshape(-1, 2) * self.session.mpp
        rings = [np.array(ring) * self.session.mpp for ring in state.vetoes]
        if len(pins) or self._there(self._pins):
            layer = self._pins_layer()
            with layer.events.data.blocker(self._edited):
                layer.data = pins
        if rings or self._there(self._rings):
            layer = self._rings_layer()
            with layer.events.data.blocker(self._edited):
                _show_rings(layer, rings)

    def draw_place(self) -> None:
        """Take the tool that draws a place to leave out."""
        layer = self._rings_layer()
        self.viewer.layers.selection.active = layer
        layer.mode = "add_polygon_lasso"

    def set_pins(self) -> None:
        """Take the tool that sets branches to follow by clicks."""
        layer = self._pins_layer()
        self.viewer.layers.selection.active = layer
        layer.mode = "add"

    def show_changes(self, changes: tuple[DepthChange, ...]) -> None:
        """Outline what only the last run looked at, and what it no longer did."""
        self._drop(self._changed)
        self._changed = None
        session = self.session
        if session.slide is None:
            return
        data, meta, _ = change_layer(session.grids, changes, session.mpp, session.slide.shape)
        if len(data):
            meta["edge_width"] = 2.5 * um_per_screen_px(self.viewer)
            self._changed = self.viewer.add_vectors(data, **meta)

    def _leave_tool(self) -> None:
        """Take the hand off; a ring that is not finished is dropped."""
        self._hand_on_soon.flush(restart_timer=False)
        for layer in filter(self._there, (self._pins, self._rings)):
            with layer.events.data.blocker(self._edited):  # type: ignore[union-attr]
                layer.mode = "pan_zoom"  # type: ignore[union-attr]
        sitting = self.session.sitting
        if sitting is not None:
            self.show_state(sitting.state)

    def clear(self) -> None:
        """Remove all layers."""
        self._hand_on_soon.cancel()
        for layer in (self._pins, self._rings, self._changed):
            self._drop(layer)
        self._pins = self._rings = self._changed = None

    def _pins_layer(self) -> Any:
        if not self._there(self._pins):
            self._pins = self.viewer.add_points(
                np.empty((0, 2)),
                name="Follow",
                symbol="diamond",
                size=16 * um_per_screen_px(self.viewer),
                face_color=FOLLOWED,
                border_color="#000000",
                units=("um", "um"),
                metadata={KEY: {"pins": True}},
            )
            self._pins.events.data.connect(self._edited)
            bind(self._pins, {ESCAPE: self._leave_tool})
        return self._pins

    def _rings_layer(self) -> Any:
        if not self._there(self._rings):
            self._rings = self.viewer.add_shapes(
                None,
                ndim=2,
                name="Leave out",
                edge_color=LEFT_OUT,
                face_color=LEFT_OUT_FACE,
                edge_width=2 * um_per_screen_px(self.viewer),
                units=("um", "um"),
                metadata={KEY: {"vetoes": True}},
            )
            self._rings.events.data.connect(self._edited)
            bind(self._rings, {ESCAPE: self._leave_tool})
        return self._rings

    def _edited(self, event: Any) -> None:
        # A shape that is being drawn is in the data already; "added" tells that it is complete.
        action = str(getattr(event, "action", ""))
        if action in ("adding", "changing"):
            return
        self._hand_on_soon()
        if action == "added" and event.source == self._rings and not keeps_tool():
            # napari is still inside its own mouse event.
            QTimer.singleShot(0, self._let_go)

    def _let_go(self) -> None:
        if self._there(self._rings):
            self._rings.mode = "pan_zoom"  # type: ignore[union-attr]

    def _hand_on(self) -> None:
        mpp = self.session.mpp
        if self._there(self._pins):
            self._on_pins(np.asarray(self._pins.data)[:, -2:] / mpp)  # type: ignore[union-attr]
        if self._there(self._rings):
            layer: Any = self._rings
            self._on_rings([np.asarray(ring)[:, -2:] / mpp for ring in layer.data])

    def _there(self, layer: Layer | None) -> bool:
        return layer is not None and layer in self.viewer.layers

    def _drop(self, layer: Layer | None) -> None:
        if layer is not None and layer in self.viewer.layers:
            self.viewer.layers.remove(layer)


def _show_rings(layer: Any, rings: list[Any]) -> None:
    """Replace the shapes, unless they are the same; the tool in use stays."""
    now = list(layer.data)
    if len(now) == len(rings) and all(map(np.array_equal, now, rings)):
        return
    mode = layer.mode
    layer.data = []
    if rings:
        layer.add(rings, shape_type="polygon", edge_color=LEFT_OUT, face_color=LEFT_OUT_FACE)
    layer.mode = mode
