"""Pins and left-out places as layers, kept in step with the review both ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtCore import QTimer

from napari_hagmil.cascade import DepthChange
from napari_hagmil.plugin.layers import KEY
from napari_hagmil.review import ReviewState
from napari_hagmil.session import Session

PIN_COLOR, OUT_COLOR, OUT_FACE = "#56b4e9", "#e69f00", "#e69f0044"

#: Milliseconds after the last movement of a corner that an edit is taken.
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
        Told of the places (n, 2) and of the list of rings, level-0 px, after an edit.
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
        self._showing = False
        self._on_pins, self._on_rings = on_pins, on_rings
        self._rest = QTimer(singleShot=True, interval=_REST)
        self._rest.timeout.connect(self._hand_on)

    def close(self) -> None:
        """Hand on what waits and let go."""
        if self._rest.isActive():
            self._rest.stop()
            self._hand_on()

    def show_state(self, state: ReviewState) -> None:
        """Draw the pins and places as they stand in the review."""
        self._showing = True
        pins = np.array(state.pins, dtype=float).reshape(-1, 2) * self.session.mpp
        rings = [np.array(ring) * self.session.mpp for ring in state.vetoes]
        if len(pins) or self._there(self._pins):
            layer = self._pins_layer()
            layer.data = pins
        if rings or self._there(self._rings):
            self._show_rings(rings)
        self._showing = False

    def draw_place(self) -> None:
        """Let the reader draw a place to leave out."""
        layer = self._rings_layer()
        self.viewer.layers.selection.active = layer
        layer.mode = "add_polygon_lasso"

    def set_pins(self) -> None:
        """Let the reader set branches to follow by clicking."""
        layer = self._pins_layer()
        self.viewer.layers.selection.active = layer
        layer.mode = "add"

    def show_changes(self, changes: tuple[DepthChange, ...]) -> None:
        """Outline what is looked at only now, and what no longer is."""
        self._drop(self._changed)
        self._changed = None
        segments, colors = [np.empty((0, 2, 2))], [np.empty((0, 4))]
        for change in changes[1:]:
            grid = self.session.grids[change.depth]
            for nodes, rgba in ((change.gained, (1, 1, 1, 1)), (change.lost, (0.9, 0.62, 0, 1))):
                y0, x0, y1, x1 = (grid.edges(nodes) - 0.5).T * self.session.mpp
                corners = np.stack([y0, x0, y0, x1, y1, x1, y1, x0], axis=1).reshape(-1, 4, 2)
                sides = np.stack([corners, np.roll(corners, -1, axis=1) - corners], axis=2)
                segments.append(sides.reshape(-1, 2, 2))
                colors.append(np.tile(rgba, (4 * len(nodes), 1)))
        found = np.concatenate(segments)
        if not len(found):
            return
        self._changed = self.viewer.add_vectors(
            found,
            name="Changed",
            vector_style="line",
            edge_color=np.concatenate(colors),
            edge_width=2.5 / max(self.viewer.scene.camera.zoom, 1e-9),
            units=("um", "um"),
            metadata={KEY: {"changed": True}},
        )

    def clear(self) -> None:
        """Take all of it away."""
        self._rest.stop()
        for layer in (self._pins, self._rings, self._changed):
            self._drop(layer)
        self._pins = self._rings = self._changed = None

    def _show_rings(self, rings: list[Any]) -> None:
        layer = self._rings_layer()
        now = list(layer.data)
        if len(now) == len(rings) and all(map(np.array_equal, now, rings)):
            return
        mode = layer.mode
        layer.data = []
        if rings:
            layer.add(rings, shape_type="polygon", edge_color=OUT_COLOR, face_color=OUT_FACE)
        layer.mode = mode

    def _pins_layer(self) -> Any:
        if not self._there(self._pins):
            self._pins = self.viewer.add_points(
                np.empty((0, 2)),
                name="Follow",
                symbol="diamond",
                size=16 / max(self.viewer.scene.camera.zoom, 1e-9),
                face_color=PIN_COLOR,
                border_color="#000000",
                units=("um", "um"),
                metadata={KEY: {"pins": True}},
            )
            self._pins.events.data.connect(self._edited)
        return self._pins

    def _rings_layer(self) -> Any:
        if not self._there(self._rings):
            self._rings = self.viewer.add_shapes(
                None,
                ndim=2,
                name="Leave out",
                edge_color=OUT_COLOR,
                face_color=OUT_FACE,
                edge_width=2 / max(self.viewer.scene.camera.zoom, 1e-9),
                units=("um", "um"),
                metadata={KEY: {"vetoes": True}},
            )
            self._rings.events.data.connect(self._edited)
        return self._rings

    def _edited(self, event: Any) -> None:
        # While a shape is being drawn it is in the data already; its end comes as "added".
        if not self._showing and str(getattr(event, "action", "")) not in ("adding", "changing"):
            self._rest.start()

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
