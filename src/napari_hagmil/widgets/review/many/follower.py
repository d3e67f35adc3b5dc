"""Draws many outlines anew where the view has left what is drawn of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Vectors

from napari_hagmil.plugin.layers import LayerTuple
from napari_hagmil.plugin.review_layers import ANNOTATION_PX, ANNOTATIONS, common
from napari_hagmil.widgets.review.many.lines import Box, OutlineLines

#: What is drawn reaches half a view beyond the view, on each side.
_BEYOND = 2.0

#: Lines are drawn anew when the zoom is off by more than this factor.
_ZOOM_SLACK = 1.3


class ManyOutlines:
    """Outlines of a review as the lines of those in view, in a layer that others add.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Whose view counts.
    lines : OutlineLines
        All of them; at least one.
    """

    def __init__(self, viewer: ViewerModel, lines: OutlineLines) -> None:
        self._viewer, self._lines = viewer, lines
        self._drawn: Box = lines.box
        self._um_per_px = 1.0

    def layer(self) -> LayerTuple:
        """The layer of what is in view; of all of them where nothing is."""
        segments, colors = self._draw()
        return (
            segments,
            {
                **common(ANNOTATIONS),
                "vector_style": "line",
                "edge_color": colors,
                "edge_width": ANNOTATION_PX * self._um_per_px,
            },
            "vectors",
        )

    @property
    def stale(self) -> bool:
        """Whether the view shows what is not drawn, or not in its size."""
        (low, high), um_per_px = self._view()
        inside = (low >= self._drawn[0]).all() and (high <= self._drawn[1]).all()
        drift = um_per_px / self._um_per_px
        return not inside or not 1 / _ZOOM_SLACK < drift < _ZOOM_SLACK

    def show(self, layer: Any) -> None:
        """Change a layer to what `layer` would give, with one drawing."""
        segments, meta, _ = self.layer()
        with layer.events.blocker_all():
            layer.edge_width = meta["edge_width"]
            layer.data = segments
            layer.edge_color = meta["edge_color"]
        layer.refresh()

    def _draw(self) -> Any:
        (low, high), self._um_per_px = self._view()
        beyond = (_BEYOND - 1) / 2 * (high - low)
        self._drawn = low - beyond, high + beyond
        found = self._lines.within(self._drawn, self._um_per_px)
        if len(found[0]):
            return found
        # napari has no colours for no lines.
        return self._lines.within(self._lines.box, self._um_per_px)

    def _view(self) -> tuple[Box, float]:
        camera = self._viewer.scene.camera
        um_per_px = 1 / max(camera.zoom, 1e-9)
        centre = np.asarray(camera.center[-2:], dtype=np.float64)
        half = np.asarray(self._viewer.canvas.size) * um_per_px / 2
        return (centre - half, centre + half), um_per_px


def is_lines(layer: object) -> bool:
    """Whether a layer shows many outlines, which nobody can edit."""
    return isinstance(layer, Vectors)
