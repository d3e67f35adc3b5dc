"""The open slide as layers of the viewer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
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

    Attributes
    ----------
    changing : bool
        Whether layers come and go by this object's doing.
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        self.viewer, self.session = viewer, session
        self._own: list[Layer] = []
        self.changing = False

    @property
    def lost(self) -> bool:
        """Whether the user has deleted the layers of the open slide."""
        return bool(self._own) and not any(layer in self.viewer.layers for layer in self._own)

    @property
    def owns(self) -> bool:
        """Whether the open slide was added here."""
        return bool(self._own)

    def take_over(self) -> None:
        """Take the layers of the open slide that an earlier dock has added."""
        slide, ahead = self.session.slide, self.session.ahead
        paths = (str(slide.path), str(ahead.behind(slide.path))) if slide else ()
        self._own = [one for one in self._with_path() if one.metadata[KEY]["path"] in paths]

    def remove_others(self) -> None:
        """Remove the slides that napari opened."""
        with self._ours():
            for layer in self._with_path():
                if layer not in self._own:
                    self.viewer.layers.remove(layer)

    def show_slide(self) -> None:
        """Replace the previous slide, and all that lay on it, by the open one."""
        with self._ours():
            self._replace()
        if self._own:
            self.viewer.reset_view()

    def _replace(self) -> None:
        for layer in self._with_path():
            self.viewer.layers.remove(layer)
        slide, self._own = self.session.slide, []
        if slide is None:
            return
        data, meta, kind = slide_layer(slide)
        added = getattr(self.viewer, f"add_{kind}")(data, **meta)
        self._own = added if isinstance(added, list) else [added]
        # Never hidden again, in pixels where the slide has no µm: hiding and showing it between
        # slides crashed the canvas (napari 0.9.2, Mesa's software GL).
        self.viewer.canvas.overlays.scale_bar.visible = True

    def show_levels(self, levels: Any) -> None:
        """Show the open slide, and its bare copy where there is one, in other colours."""
        for layer in self.viewer.layers:
            if layer in self._own or layer.metadata.get(KEY, {}).get("bare"):
                layer.data = levels

    def slide_of_others(self) -> str | None:
        """Path of a slide that napari opened through the plugin's reader; None without one."""
        for layer in self._with_path():
            if layer not in self._own:
                return str(layer.metadata[KEY]["path"])
        return None

    def take_analysis(self) -> Path | None:
        """Take layers of an analysis that napari opened out of the viewer; its folder, if any."""
        found = [one for one in self.viewer.layers if "result" in one.metadata.get(KEY, {})]
        with self._ours():
            for layer in found:
                self.viewer.layers.remove(layer)
        return Path(found[0].metadata[KEY]["result"]) if found else None

    def _with_path(self) -> list[Layer]:
        return [one for one in self.viewer.layers if "path" in one.metadata.get(KEY, {})]

    @contextmanager
    def _ours(self) -> Iterator[None]:
        """Layers that come and go in here are not the user's doing."""
        self.changing = True
        try:
            yield
        finally:
            self.changing = False

    def pixel_at(self, position: Any) -> tuple[float, float] | None:
        """Level-0 pixel (y, x) of a world position; None off the slide."""
        if self.session.slide is None:
            return None
        y, x = (float(v) for v in np.asarray(position)[-2:] / self.session.mpp)
        height, width = self.session.slide.shape
        inside = -0.5 <= y < height - 0.5 and -0.5 <= x < width - 0.5
        return (y, x) if inside else None
