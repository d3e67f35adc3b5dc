"""Outlines that nobody edits as one layer: a picture of what is in view, as fine as the screen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from qtpy.QtGui import QGuiApplication
from superqt.utils import qdebounced

from napari_hagmil.plugin.layers import LayerTuple
from napari_hagmil.plugin.outline_picture import OutlinePicture
from napari_hagmil.plugin.review_layers import ANNOTATION_PX, OutlineFrame, outlines_layer
from napari_hagmil.review import Annotation, PathClass
from napari_hagmil.widgets.cascade.camera import um_per_screen_px, view_rectangle

#: What is drawn around the view, as a share of its sides: room to move before it is drawn anew.
_MARGIN = 0.25

#: Milliseconds that the view has rested when it is drawn anew, and the pixels of a side at most.
_REST, _MOST = 60, 4096

#: So coarse or fine a picture may be, beside the screen, while the view moves within it.
_SLACK = 1.02


class OutlineLayer:
    """Keeps the picture in step with the view.

    napari draws some hundred shapes a second and thousands of lines with every repaint; a picture
    costs the same however many outlines are in it.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where the layer is.
    place : callable
        Puts a layer into the viewer, in the place of the one before, and returns it.
    """

    def __init__(self, viewer: ViewerModel, place: Callable[[LayerTuple], Any]) -> None:
        self.viewer, self._place = viewer, place
        self.layer: Any = None
        self._picture, self._mpp = OutlinePicture(), 1.0
        self._bold: tuple[str, ...] = ()
        self._window: OutlineFrame | None = None
        self._follow_soon = qdebounced(self._follow, timeout=_REST)
        camera = viewer.scene.camera.events
        camera.zoom.connect(self._moved)
        camera.center.connect(self._moved)

    def close(self) -> None:
        """Stop listening to the viewer; the layer stays."""
        self._follow_soon.cancel()
        camera = self.viewer.scene.camera.events
        camera.zoom.disconnect(self._moved)
        camera.center.disconnect(self._moved)

    def clear(self) -> None:
        """Draw nothing any more; the layer is taken away by whoever placed it."""
        self._follow_soon.cancel()
        self.layer, self._window = None, None

    def show(
        self,
        annotations: Sequence[Annotation],
        classes: tuple[PathClass, ...],
        mpp: float,
        bold: Collection[str],
    ) -> None:
        """Draw these, some of them bold; `mpp` is µm per level-0 px."""
        self._picture.show(annotations, classes)
        self._mpp, self._bold = mpp, tuple(bold)
        self._draw()

    def embolden(self, bold: Collection[str]) -> None:
        """Draw others bold."""
        if self.layer is not None and tuple(bold) != self._bold:
            self._bold = tuple(bold)
            self._draw()

    def _moved(self, event: Any) -> None:
        if self.layer is not None:
            self._follow_soon()

    def _follow(self) -> None:
        """Draw what is in view now, unless that is drawn already."""
        if self.layer is None or self.layer not in self.viewer.layers:
            return
        view, window = view_rectangle(self.viewer, self._mpp), self._window
        if window is not None:
            factor = window.downsample / self._downsample()
            clipped = self._picture.clip((view.y0, view.x0, view.y1, view.x1))
            if 1 / _SLACK < factor < _SLACK and (clipped is None or window.holds(*clipped)):
                return
        self._draw()

    def _downsample(self) -> float:
        screen = QGuiApplication.primaryScreen()
        ratio = screen.devicePixelRatio() if screen is not None else 1.0
        return um_per_screen_px(self.viewer) / self._mpp / ratio

    def _draw(self) -> None:
        self._follow_soon.cancel()
        self._window = window = self._wanted()
        width = ANNOTATION_PX * um_per_screen_px(self.viewer) / self._mpp / window.downsample
        picture = self._picture.draw(window, width, self._bold)
        if self.layer is None or self.layer not in self.viewer.layers:
            self.layer = self._place(outlines_layer(picture, window, self._mpp))
            return
        _, meta, _ = outlines_layer(picture, window, self._mpp)
        layer = self.layer
        with layer.events.blocker_all():
            layer.scale, layer.translate = meta["scale"], meta["translate"]
        layer.data = picture
        layer.events.scale()
        layer.events.translate()

    def _wanted(self) -> OutlineFrame:
        """What is in view with a margin, as far as there are outlines."""
        view, downsample = view_rectangle(self.viewer, self._mpp), self._downsample()
        my, mx = _MARGIN * view.height, _MARGIN * view.width
        box = self._picture.clip((view.y0 - my, view.x0 - mx, view.y1 + my, view.x1 + mx))
        if box is None:
            return OutlineFrame(view.y0, view.x0, 1, 1, downsample)
        y0, x0, y1, x1 = box
        downsample = max(downsample, (y1 - y0) / _MOST, (x1 - x0) / _MOST)
        rows, columns = (int(np.ceil(side / downsample)) + 1 for side in (y1 - y0, x1 - x0))
        return OutlineFrame(y0, x0, rows, columns, downsample)
