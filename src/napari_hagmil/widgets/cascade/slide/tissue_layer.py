"""The tissue mask as a layer to paint on; edits go to the review, and its changes come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import QTimer
from superqt.utils import qdebounced

from napari_hagmil.geometry import overlay_placement
from napari_hagmil.plugin.colors import TISSUE
from napari_hagmil.plugin.layers import KEY
from napari_hagmil.tissue import TissueMask
from napari_hagmil.widgets.keys import ESCAPE, bind
from napari_hagmil.widgets.preferences import keeps_tool

#: Milliseconds after the last stroke that the mask is handed on.
_REST = 300


class TissueLayer:
    """Shows a mask, and hands on its edits.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where the layer is added.
    on_edit : callable
        Called with the edited `TissueMask`.
    on_eye : callable
        Called with whether it is shown when that changes.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        on_edit: Callable[[TissueMask], None],
        on_eye: Callable[[bool], None],
    ) -> None:
        self.viewer, self._on_edit, self._on_eye = viewer, on_edit, on_eye
        self._layer: Any = None
        self._mask: TissueMask | None = None
        self._mpp = 1.0
        self._hand_on_soon = qdebounced(self._hand_on, timeout=_REST)

    @property
    def visible(self) -> bool:
        """Whether the mask is shown."""
        return bool(self._there() and self._layer.visible)

    def show(self, mask: TissueMask, mpp: float) -> None:
        """Show a mask; an existing layer is changed in place."""
        values = mask.values.astype(np.uint8)
        self._mask, self._mpp = mask, mpp
        if self._there() and self._layer.data.shape == values.shape:
            if not np.array_equal(self._layer.data, values):
                self._layer.data = values
            self._layer.visible = True
            return
        self.clear()
        self._mask, self._mpp = mask, mpp
        scale, translate = overlay_placement(mask.downsample, mpp)
        self._layer = self.viewer.add_labels(
            values,
            name="Tissue",
            scale=scale,
            translate=translate,
            units=("um", "um"),
            opacity=0.9,
            colormap=DirectLabelColormap(color_dict={1: TISSUE, None: "transparent"}),
            metadata={KEY: {"tissue": True}},
        )
        # An outline: a filled mask would tint the stain that it is judged by.
        self._layer.contour = 1
        self._layer.brush_size = 12
        self._layer.events.paint.connect(self._edited)
        self._layer.events.labels_update.connect(self._edited)
        self._layer.events.visible.connect(lambda event: self._on_eye(event.source.visible))
        bind(self._layer, {ESCAPE: self._leave_tool})

    def hide(self) -> None:
        """Hide the mask."""
        if self._there():
            self._layer.visible = False

    def take_tool(self, tool: str) -> None:
        """Select the layer and a tool: "paint", "erase" or "polygon"."""
        if self._there():
            self.viewer.layers.selection.active = self._layer
            self._layer.selected_label = 1
            self._layer.mode = tool

    def clear(self) -> None:
        """Remove the layer."""
        self._hand_on_soon.cancel()
        if self._there():
            self.viewer.layers.remove(self._layer)
        self._layer, self._mask = None, None

    def close(self) -> None:
        """Hand on an edit that was still waiting."""
        self._hand_on_soon.flush(restart_timer=False)

    def _leave_tool(self) -> None:
        """Take the hand off; a polygon that is not finished goes with the layer that holds it."""
        mask, mpp, layers = self._mask, self._mpp, self.viewer.layers
        if mask is None:
            return
        self.close()
        at = layers.index(self._layer)
        self.clear()
        self.show(mask, mpp)
        layers.move(layers.index(self._layer), at)

    def _edited(self, event: Any) -> None:
        self._hand_on_soon()
        if self._layer.mode == "polygon" and not keeps_tool():
            # napari is still inside its own mouse event.
            QTimer.singleShot(0, self._let_go)

    def _let_go(self) -> None:
        if self._there() and self._layer.mode == "polygon":
            self._layer.mode = "pan_zoom"

    def _hand_on(self) -> None:
        if self._mask is None or not self._there():
            return
        values = np.asarray(self._layer.data) > 0
        if not np.array_equal(values, self._mask.values):
            self._mask = TissueMask(values, self._mask.downsample)
            self._on_edit(self._mask)

    def _there(self) -> bool:
        return self._layer is not None and self._layer in self.viewer.layers
