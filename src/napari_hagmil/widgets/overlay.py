"""The slide and its regions as layers, in step with the session."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer

from napari_hagmil.attention import AttentionRegion
from napari_hagmil.plugin.layers import (
    KEY,
    LayerTuple,
    regions_from_layer,
    regions_layer,
    slide_layer,
)
from napari_hagmil.session import Session

#: Width of outlines on the screen, px.
_REGION_PX = 2.0

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
        self._slide: Layer | None = None
        self._regions: Layer | None = None
        self._drawn: list[np.ndarray] = []
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
        self._drop(self._regions)
        self._regions = None

    def show_regions(self, quantile: float) -> int:
        """Draw the attention regions anew; how many there are."""
        self._drop(self._regions)
        regions = self.session.regions(quantile=quantile)
        self._regions = self._add(regions_layer(regions, self._mpp))
        self._drawn = [np.array(shape) for shape in self._regions.data]
        self._keep_line_width(force=True)
        return len(regions)

    def regions(self) -> list[AttentionRegion]:
        """The regions as they stand in the viewer, edits included."""
        if self._regions is None or self._regions not in self.viewer.layers:
            return []
        return regions_from_layer(self._regions, self._mpp)

    @property
    def has_regions(self) -> bool:
        """Whether regions are drawn."""
        return self._regions is not None and self._regions in self.viewer.layers

    @property
    def regions_edited(self) -> bool:
        """Whether somebody has changed the regions since they were drawn."""
        if self._regions is None or not self.has_regions:
            return False
        now = self._regions.data
        return len(now) != len(self._drawn) or not all(map(np.array_equal, now, self._drawn))

    def go_to_region(self, index: int) -> None:
        """Centre one region at a magnification that shows it whole."""
        regions = self.regions()
        if not regions:
            return
        y0, x0, y1, x1 = (self._mpp * v for v in regions[index % len(regions)].bounds)
        camera = self.viewer.scene.camera
        camera.center = ((y0 + y1) / 2, (x0 + x1) / 2)
        height, width = self.viewer.canvas.size
        whole = 0.4 * min(height / max(y1 - y0, 1.0), width / max(x1 - x0, 1.0))
        # No closer than one screen pixel per level-0 pixel: beyond it there is nothing to see.
        camera.zoom = min(whole, 1 / self._mpp)

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
        if self._regions is not None and self._regions in self.viewer.layers:
            self._regions.edge_width = _REGION_PX * um_per_px
            self._regions.refresh(extent=False)

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
