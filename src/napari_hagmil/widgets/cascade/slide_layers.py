"""The slide as layers, in step with the session."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer

from napari_hagmil.plugin.layers import (
    KEY,
    LayerTuple,
    slide_layer,
)
from napari_hagmil.session import Session


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

    def show_slide(self) -> None:
        """Replace the slide before, and all that lay on it, by the one in hand."""
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

    def pixel_at(self, position: Any) -> tuple[float, float] | None:
        """Level-0 pixel (y, x) of a world position; None off the slide."""
        if self.session.slide is None:
            return None
        y, x = (float(v) for v in np.asarray(position)[-2:] / self._mpp)
        height, width = self.session.slide.shape
        inside = -0.5 <= y < height - 0.5 and -0.5 <= x < width - 0.5
        return (y, x) if inside else None

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
