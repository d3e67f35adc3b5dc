"""Drawing outlines with the pointer, for annotations, cuts and regions alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtCore import QObject, QTimer

from napari_hagmil.plugin.layers import KEY
from napari_hagmil.polygons import Outline, ellipse_around, outline
from napari_hagmil.review import AnnotationKind
from napari_hagmil.widgets.keys import ESCAPE, bind

#: How often an unfinished outline is read, ms: each of its corners is saved within 1 s.
_READ_MS = 400

_MODES = {
    "polygon": "add_polygon",
    "freehand": "add_polygon_lasso",
    "rectangle": "add_rectangle",
    "ellipse": "add_ellipse",
    "polyline": "add_polyline",
    "ruler": "add_line",
    "line": "add_polyline",
}

Take = Callable[[Outline], object]


@dataclass(frozen=True, slots=True)
class Pen:
    """What is drawn, and how.

    Attributes
    ----------
    kind : str
        A kind of annotation, or "line" for a line of several points.
    color : color
        Of the line, as napari takes it.
    keep : bool
        Whether the next outline can be drawn after one is finished.
    classed : bool
        Whether it has the class, and so the colour, of the next annotation.
    """

    kind: AnnotationKind | Literal["line"]
    color: Any
    keep: bool = False
    classed: bool = False


class Drawing(QObject):  # type: ignore[misc]
    """A layer that exists only while something is drawn.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where the layer is added.
    on_sketch : callable
        Called with the unfinished outline every 0.4 s.

    Attributes
    ----------
    pen : Pen or None
        What is being drawn; None while nothing is.
    on_left : callable
        Called when Escape or a finished outline has put the tool away.
    """

    def __init__(self, viewer: ViewerModel, on_sketch: Take) -> None:
        super().__init__()
        self.viewer, self.on_sketch = viewer, on_sketch
        self.on_left: Callable[[], object] = lambda: None
        self.pen: Pen | None = None
        self._layer: Layer | None = None
        self._before: Layer | None = None
        self._mpp = 1.0
        self._take_finished: Take = lambda outline: None
        self._timer = QTimer(self, interval=_READ_MS)
        self._timer.timeout.connect(self._read_sketch)

    @property
    def active(self) -> bool:
        """Whether something is being drawn."""
        return self._layer is not None

    @property
    def kind(self) -> str:
        """What is being drawn; empty while nothing is."""
        return self.pen.kind if self.pen else ""

    def start(self, pen: Pen, mpp: float, take: Take) -> None:
        """Let the pointer draw.

        Parameters
        ----------
        pen : Pen
            What, and how.
        mpp : float
            µm per level-0 px.
        take : callable
            Called with each finished outline, level-0 px.
        """
        if self.active:
            self.leave()
        self._before = self.viewer.layers.selection.active
        self.pen, self._mpp, self._take_finished = pen, mpp, take
        layer = self._add_layer(pen)
        layer.events.data.connect(self._on_data)
        # napari takes this key for the end of the outline, and would keep it.
        bind(layer, {ESCAPE: self.leave})
        self._layer = layer
        self.viewer.layers.selection.active = layer
        self._timer.start()

    def _add_layer(self, pen: Pen) -> Layer:
        common = {
            "name": "Drawing",
            "ndim": 2,
            "units": ("um", "um"),
            "metadata": {KEY: {"drawing": True}},
        }
        if pen.kind == "point":
            layer = self.viewer.add_points(np.empty((0, 2)), face_color=pen.color, **common)
            layer.mode = "add"
            return layer
        width = 2.5 / max(self.viewer.scene.camera.zoom, 1e-9)
        layer = self.viewer.add_shapes(
            edge_color=pen.color, edge_width=width, face_color="transparent", **common
        )
        layer.mode = _MODES[pen.kind]
        return layer

    def recolor(self, color: Any) -> None:
        """Go on drawing in another colour; corners that are set stay."""
        layer: Any = self._layer
        if layer is None or self.pen is None:
            return
        self.pen = replace(self.pen, color=color)
        if self.pen.kind == "point":
            layer.current_face_color = color
            return
        # On a selected outline napari colours that one too.
        layer.current_edge_color = color
        if len(layer.data):
            layer.edge_color = [color] * len(layer.data)

    def stop(self) -> None:
        """Stop drawing; an unfinished outline goes from the canvas, and stays in the journal."""
        self._timer.stop()
        layer, self._layer, self.pen = self._layer, None, None
        if layer is None:
            return
        layer.events.data.disconnect(self._on_data)
        if layer in self.viewer.layers:
            self.viewer.layers.remove(layer)
        if self._before is not None and self._before in self.viewer.layers:
            self.viewer.layers.selection.active = self._before

    def leave(self) -> None:
        """Put the tool away, and drop an unfinished outline."""
        self.stop()
        self.on_left()

    def _on_data(self, event: Any) -> None:
        if str(getattr(event, "action", "")).endswith("added"):
            # napari is still inside its own mouse event, which needs the layer.
            QTimer.singleShot(0, self._take)

    def _take(self) -> None:
        layer, pen = self._layer, self.pen
        if layer is None or pen is None:
            return
        drawn, take = self._last(), self._take_finished
        if pen.keep:
            with layer.events.data.blocker():
                layer.data = [] if pen.kind != "point" else np.empty((0, 2))
        else:
            self.leave()
        if drawn:
            take(drawn)

    def _read_sketch(self) -> None:
        if self._layer not in self.viewer.layers:
            self.stop()
        elif self.kind != "point" and (drawn := self._last()):
            self.on_sketch(drawn)

    def _last(self) -> Outline:
        data = self._layer.data if self._layer is not None else []
        if not len(data):
            return ()
        corners = np.atleast_2d(np.asarray(data[-1]))[:, -2:] / self._mpp
        # napari keeps the box around an ellipse.
        return ellipse_around(corners) if self.kind == "ellipse" else outline(corners)
