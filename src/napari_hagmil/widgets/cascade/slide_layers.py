"""The open slide as layers of the viewer."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer

from napari_hagmil.plugin.layers import KEY, slide_layer
from napari_hagmil.session import Session


class SlideLayers:
    """Shows the session's slide, and finds the slides that others opened.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where layers are added; layers of others are left alone.
    session : Session
        Whose slide is shown.
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        self.viewer, self.session = viewer, session
        self._slide: Layer | None = None

    def show_slide(self) -> None:
        """Replace the previous slide, and all that lay on it, by the open one."""
        for layer in [one for one in self.viewer.layers if "path" in one.metadata.get(KEY, {})]:
            self.viewer.layers.remove(layer)
        slide = self.session.slide
        if slide is None:
            return
        data, meta, kind = slide_layer(slide)
        added = getattr(self.viewer, f"add_{kind}")(data, **meta)
        # Of several channels the first stands for the slide.
        self._slide = added[0] if isinstance(added, list) else added
        self.viewer.reset_view()
        # Never hidden again, in pixels where the slide has no µm: hiding and showing it between
        # slides crashed the canvas (napari 0.9.2, Mesa's software GL).
        self.viewer.canvas.overlays.scale_bar.visible = True

    def slide_of_others(self) -> str | None:
        """Path of a slide that napari opened through the plugin's reader; None without one."""
        for layer in self.viewer.layers:
            facts = layer.metadata.get(KEY, {})
            if "path" in facts and (self._slide is None or layer != self._slide):
                return str(facts["path"])
        return None

    def pixel_at(self, position: Any) -> tuple[float, float] | None:
        """Level-0 pixel (y, x) of a world position; None off the slide."""
        if self.session.slide is None:
            return None
        y, x = (float(v) for v in np.asarray(position)[-2:] / self.session.mpp)
        height, width = self.session.slide.shape
        inside = -0.5 <= y < height - 0.5 and -0.5 <= x < width - 0.5
        return (y, x) if inside else None
