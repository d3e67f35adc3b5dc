"""Keeps the viewer's layers in step with the session."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer

from napari_hagmil.plugin.layers import (
    ATTENTION_OPACITY,
    KEY,
    LayerTuple,
    attention_layer,
    branches_layer,
    slide_layer,
)
from napari_hagmil.session import Session

#: Width of outlines on the screen, px.
_BRANCH_PX = 1.5

#: Outlines are restyled when their width on the screen is off by more than this factor.
_WIDTH_SLACK = 1.3


class Overlay:
    """The layers of one sitting in one viewer.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where layers are added; what others put there is left alone.
    session : Session
        What is shown.
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        self.viewer, self.session = viewer, session
        self.opacity = ATTENTION_OPACITY
        self.branches_visible = True
        self._slide: Layer | None = None
        self._attention: dict[int, Layer] = {}
        self._branches: Layer | None = None
        self._line_um = 0.0
        viewer.scene.camera.events.zoom.connect(self._keep_line_width)

    def close(self) -> None:
        """Let go of the viewer; its layers stay."""
        self.viewer.scene.camera.events.zoom.disconnect(self._keep_line_width)

    def show_slide(self) -> None:
        """Replace the slide before, and all that lay on it, by the one in hand."""
        self.clear_findings()
        for layer in [one for one in self.viewer.layers if "path" in one.metadata.get(KEY, {})]:
            self._drop(layer)
        slide = self.session.slide
        if slide is None:
            return
        added = self._add(slide_layer(slide))
        self._slide = added
        self.viewer.reset_view()
        # Never hidden again, in pixels where the slide has no µm: hiding and showing it between
        # slides crashed the canvas (napari 0.9.2, Mesa's software GL).
        self.viewer.canvas.overlays.scale_bar.visible = True

    def slide_of_others(self) -> str | None:
        """Path of a slide that the plugin's reader put into the viewer, not this sitting."""
        for layer in self.viewer.layers:
            facts = layer.metadata.get(KEY, {})
            if "path" in facts and (self._slide is None or layer != self._slide):
                return str(facts["path"])
        return None

    def clear_findings(self) -> None:
        """Take the last run's layers away."""
        for layer in (*self._attention.values(), self._branches):
            self._drop(layer)
        self._attention, self._branches = {}, None

    def show_stage(self, depth: int) -> None:
        """Show one more depth; it hides the coarser ones below it."""
        stage, mpp = self.session.stages[depth], self._mpp
        for layer in self._attention.values():
            layer.visible = False
        data = attention_layer(self.session.grids[depth], stage, mpp, opacity=self.opacity)
        self._attention[depth] = self._add(data)
        self._drop(self._branches)
        self._branches = self._add(branches_layer(self.session.grids, self.session.stages, mpp))
        self._branches.visible = self.branches_visible
        self._keep_line_width(force=True)

    def set_depth_visible(self, depth: int, visible: bool) -> None:
        """Show or hide one depth's attention."""
        if depth in self._attention:
            self._attention[depth].visible = visible

    def set_branches_visible(self, visible: bool) -> None:
        """Show or hide the outlines."""
        self.branches_visible = visible
        if self._branches is not None:
            self._branches.visible = visible

    def set_opacity(self, opacity: float) -> None:
        """Opacity of all attention layers, 0 to 1."""
        self.opacity = opacity
        for layer in self._attention.values():
            layer.opacity = opacity

    def pixel_at(self, position: Any) -> tuple[float, float] | None:
        """Level-0 pixel (y, x) of a world position; None off the slide."""
        if self.session.slide is None:
            return None
        y, x = (float(v) for v in np.asarray(position)[-2:] / self._mpp)
        height, width = self.session.slide.shape
        inside = -0.5 <= y < height - 0.5 and -0.5 <= x < width - 0.5
        return (y, x) if inside else None

    def _keep_line_width(self, event: Any = None, *, force: bool = False) -> None:
        """Outlines are as thin at 40× as in the overview: napari's widths are in µm."""
        um_per_px = 1 / max(self.viewer.scene.camera.zoom, 1e-9)
        drift = um_per_px / self._line_um if self._line_um else np.inf
        if not force and 1 / _WIDTH_SLACK < drift < _WIDTH_SLACK:
            return
        self._line_um = um_per_px
        if self._branches is not None and self._branches in self.viewer.layers:
            self._branches.edge_width = _BRANCH_PX * um_per_px
            self._branches.refresh(extent=False)

    @property
    def _mpp(self) -> float:
        slide = self.session.slide
        return slide.mpp if slide is not None and slide.mpp is not None else 1.0

    def _add(self, layer_tuple: LayerTuple) -> Layer:
        data, meta, kind = layer_tuple
        added = getattr(self.viewer, f"add_{kind}")(data, **meta)
        return added[0] if isinstance(added, list) else added

    def _drop(self, layer: Layer | None) -> None:
        # The user may have deleted it already.
        if layer is not None and layer in self.viewer.layers:
            self.viewer.layers.remove(layer)
