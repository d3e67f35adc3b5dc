"""What stands in the corners of the canvas on every tab: the overview, and the magnification."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget
from superqt.utils import qthrottled

from napari_hagmil.attention import attention_map
from napari_hagmil.cascade import Stage
from napari_hagmil.geometry import magnification
from napari_hagmil.session import Session
from napari_hagmil.slide import Slide
from napari_hagmil.widgets.cascade.camera import centre_on, magnification_shown, view_rectangle
from napari_hagmil.widgets.links import Links
from napari_hagmil.widgets.preferences import preference, set_preference
from napari_hagmil.widgets.reading.looks import LOOKS, Looks
from napari_hagmil.widgets.reading.navigator import Navigator
from napari_hagmil.widgets.style import plain_label

#: Room between a corner and what stands in it, px.
_MARGIN = 10

#: The overview is no larger than this share of the canvas's width, nor than this, px.
_SHARE, _WIDEST, _HIGHEST = 0.28, 230, 190

#: Milliseconds between two updates of the view while the camera moves.
_TOGETHER = 30

#: On pink, violet, white and black slides alike, in every theme.
_STYLE = (
    "QLabel { background: rgba(16, 19, 26, 205); color: #ffffff; font-size: 14px; "
    "font-weight: 600; padding: 3px 8px; border-radius: 4px; }"
)


class SlideCorners:
    """The overview at the upper right, the magnification at the lower left.

    The scale bar, at the lower right, is napari's.

    Parameters
    ----------
    canvas : QWidget
        The canvas of the window.
    viewer : napari.components.ViewerModel
        Whose camera is followed, and moved.
    session : Session
        Whose slide is shown.
    looks : Looks
        What it says of itself stands beside the magnification.
    """

    def __init__(
        self, canvas: QWidget, viewer: ViewerModel, session: Session, looks: Looks
    ) -> None:
        self.viewer, self.session, self.looks = viewer, session, looks
        self._canvas = canvas
        self.navigator, self.power = Navigator(canvas), plain_label()
        self.power.setParent(canvas)
        self.power.setStyleSheet(_STYLE)
        self.power.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._wanted = preference("display", "overview", True)
        self._links = Links()
        self._show_view_soon = qthrottled(self.show_view, timeout=_TOGETHER, leading=False)
        self._connect()
        self.show_slide(session.slide)

    def show_slide(self, slide: Slide | None) -> None:
        """Show another slide; None: no corner has anything to show."""
        for widget in (self.navigator, self.power):
            widget.setVisible(slide is not None)
        if slide is None:
            self.navigator.show_none()
            return
        overview = np.asarray(slide.view_levels()[-1])
        self.navigator.show_slide(overview, slide.shape, rgb=slide.is_rgb)
        self.navigator.setVisible(self._wanted)
        for stage in self.session.stages[:1]:
            self._tint(stage)
        self.show_view()

    def show_view(self) -> None:
        """Show where the camera is, and its magnification."""
        slide = self.session.slide
        if slide is None:
            return
        self.navigator.show_view(view_rectangle(self.viewer, self.session.mpp))
        said = [_power(slide, self.viewer), LOOKS[self.looks.look]]
        self.power.setText(" · ".join(one for one in said if one))
        self.power.setVisible(bool(self.power.text()))
        self._place()

    def toggle_overview(self) -> None:
        """Hide the overview or show it; the next window keeps it so."""
        self._wanted = not self._wanted
        set_preference("display", "overview", self._wanted)
        self.navigator.setVisible(self._wanted and self.session.slide is not None)

    def close(self) -> None:
        """Take everything out of the corners, and follow the camera no more."""
        self.abandon()
        for widget in (self.navigator, self.power):
            widget.hide()
            widget.deleteLater()

    def abandon(self) -> None:
        """Follow camera and session no more: the canvas goes, and what stands on it."""
        self._links.undo()
        self._show_view_soon.cancel()
        for event in self._view_events():
            event.disconnect(self._moved)

    def _connect(self) -> None:
        for event in self._view_events():
            event.connect(self._moved)
        connect = self._links.connect
        connect(self.session.slide_changed, self.show_slide)
        connect(self.session.stage_found, self._tint)
        connect(self.session.colors_changed, lambda colors: self.show_slide(self.session.slide))
        connect(self.looks.changed, lambda look: self.show_view())
        self.navigator.centre_asked.connect(
            lambda y, x: centre_on(self.viewer, (y, x), self.session.mpp)
        )

    def _view_events(self) -> tuple[Any, ...]:
        camera = self.viewer.scene.camera.events
        return camera.center, camera.zoom, self.viewer.canvas.events.size

    def _moved(self, event: Any = None) -> None:
        self._show_view_soon()

    def _tint(self, stage: Stage) -> None:
        """Tint the overview with the first depth, which looks at all the tissue."""
        if stage.depth == 0:
            amap = attention_map(self.session.grids[0], stage.nodes, stage.scores)
            self.navigator.show_attention(amap)

    def _place(self) -> None:
        width, height = self._canvas.width(), self._canvas.height()
        size = self.navigator.fitting(min(_WIDEST, round(_SHARE * width)), _HIGHEST)
        self.navigator.setGeometry(width - size.width() - _MARGIN, _MARGIN, *_sides(size))
        self.power.adjustSize()
        self.power.move(_MARGIN, height - self.power.height() - _MARGIN)


def _sides(size: Any) -> tuple[int, int]:
    return size.width(), size.height()


def _power(slide: Slide, viewer: ViewerModel) -> str:
    """The magnification on the screen; none of a slide without a pixel size."""
    if not slide.mpp:
        return ""
    shown, scanned = magnification_shown(viewer), magnification(slide.mpp)
    beyond = f", beyond the scan's {scanned:.3g}×" if shown > 1.05 * scanned else ""
    return f"{shown:.3g}×{beyond}"
