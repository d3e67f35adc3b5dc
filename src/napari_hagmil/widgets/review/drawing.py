"""Drawing one outline at a time, for whatever it is wanted; unfinished ones are kept, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtCore import QObject, QTimer

from napari_hagmil.plugin.layers import KEY
from napari_hagmil.polygons import Outline, outline
from napari_hagmil.review import AnnotationKind

#: How often an outline in the making is looked at, ms: each of its corners is saved within 1 s.
_GLANCE = 400

_MODES = {
    "polygon": "add_polygon",
    "freehand": "add_polygon_lasso",
    "rectangle": "add_rectangle",
    "ruler": "add_line",
    "line": "add_polyline",
}

Done = Callable[[Outline], None]


class Drawing(QObject):  # type: ignore[misc]
    """A layer that is there only while something is drawn.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where.
    on_sketch : callable
        Told the outline in the making, every now and then.
    """

    def __init__(self, viewer: ViewerModel, on_sketch: Done) -> None:
        super().__init__()
        self.viewer, self.on_sketch = viewer, on_sketch
        self.kind = ""
        self._layer: Layer | None = None
        self._before: Layer | None = None
        self._mpp = 1.0
        self._done: Done = lambda outline: None
        self._keep = False
        self._timer = QTimer(self, interval=_GLANCE)
        self._timer.timeout.connect(self._glance)

    @property
    def active(self) -> bool:
        """Whether something is being drawn."""
        return self._layer is not None

    def start(
        self, kind: AnnotationKind | str, mpp: float, done: Done, *, color: Any, keep: bool = False
    ) -> None:
        """Let the pointer draw one outline, or with `keep` one after the other.

        Parameters
        ----------
        kind : str
            "polygon", "freehand", "rectangle", "ruler", "point", or "line" (of many points).
        mpp : float
            µm per level-0 px.
        done : callable
            Told each finished outline.
        color : color
            Of the line.
        """
        self.stop()
        self._before = self.viewer.layers.selection.active
        self.kind, self._mpp, self._done, self._keep = kind, mpp, done, keep
        common = {
            "name": "Drawing",
            "ndim": 2,
            "units": ("um", "um"),
            "metadata": {KEY: {"drawing": True}},
        }
        if kind == "point":
            layer = self.viewer.add_points(np.empty((0, 2)), face_color=color, **common)
        else:
            width = 2.5 / max(self.viewer.scene.camera.zoom, 1e-9)
            layer = self.viewer.add_shapes(
                edge_color=color, edge_width=width, face_color="transparent", **common
            )
        layer.mode = "add" if kind == "point" else _MODES[kind]
        layer.events.data.connect(self._on_data)
        self._layer = layer
        self.viewer.layers.selection.active = layer
        self._timer.start()

    def stop(self) -> None:
        """Put the pencil away; what is not finished goes."""
        self._timer.stop()
        layer, self._layer, self.kind = self._layer, None, ""
        if layer is None:
            return
        layer.events.data.disconnect(self._on_data)
        if layer in self.viewer.layers:
            self.viewer.layers.remove(layer)
        if self._before is not None and self._before in self.viewer.layers:
            self.viewer.layers.selection.active = self._before

    def _on_data(self, event: Any) -> None:
        if str(getattr(event, "action", "")).endswith("added"):
            # napari is not through with its own mouse event yet.
            QTimer.singleShot(0, self._take)

    def _take(self) -> None:
        layer = self._layer
        if layer is None:
            return
        drawn = self._last()
        done, keep = self._done, self._keep
        if keep:
            with layer.events.data.blocker():
                layer.data = [] if self.kind != "point" else np.empty((0, 2))
        else:
            self.stop()
        if drawn:
            done(drawn)

    def _glance(self) -> None:
        if self._layer not in self.viewer.layers:
            self.stop()
        elif self.kind != "point" and (drawn := self._last()):
            self.on_sketch(drawn)

    def _last(self) -> Outline:
        data = self._layer.data if self._layer is not None else []
        if not len(data):
            return ()
        return outline(np.atleast_2d(np.asarray(data[-1]))[:, -2:] / self._mpp)
