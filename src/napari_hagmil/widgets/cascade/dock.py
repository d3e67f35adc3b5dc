"""The dock: open a slide, run the cascade, see why it looked where it did, and steer it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QTabWidget, QVBoxLayout, QWidget

from napari_hagmil.session import session_of
from napari_hagmil.slide import Slide
from napari_hagmil.widgets.cascade.camera import PRESETS
from napari_hagmil.widgets.cascade.run.stage_layers import StageLayers
from napari_hagmil.widgets.cascade.run.tab import CascadeTab
from napari_hagmil.widgets.cascade.shared import CascadeContext
from napari_hagmil.widgets.cascade.slide.tab import SlideTab
from napari_hagmil.widgets.cascade.slide_layers import Overlay
from napari_hagmil.widgets.cascade.steer.tab import SteerTab
from napari_hagmil.widgets.cascade.why.tab import WhyTab
from napari_hagmil.widgets.focus import go_to_tab, leave_with_escape
from napari_hagmil.widgets.keys import HAGMIL_KEYS, bind
from napari_hagmil.widgets.review.canvas import review_canvas_of
from napari_hagmil.widgets.style import MAX_WIDTH
from napari_hagmil.widgets.work import Background

_PRESET_KEYS = ("at_1.25x", "at_2.5x", "at_5x", "at_10x", "at_20x", "at_40x")


class CascadeDock(QWidget):  # type: ignore[misc]
    """Reads a slide with the cascade, and shows where it looked.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Given by napari.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.session = session_of(napari_viewer)
        self.review_canvas = review_canvas_of(napari_viewer)
        self.review = self.review_canvas.review
        self.overlay = Overlay(napari_viewer, self.session)
        self._work = Background()
        stages = StageLayers(napari_viewer, self.session)
        self.desk = CascadeContext(napari_viewer, self.session, self.overlay, stages, self._work)
        self.slide = SlideTab(self.desk)
        self.cascade, self.why = CascadeTab(self.desk), WhyTab(self.desk)
        self.steer = SteerTab(self.desk)
        self.slide_panel, self.pointer = self.slide.slide_panel, self.why.pointer
        self.run_panel, self.findings = self.cascade.run_panel, self.cascade.findings
        # Polygons take long to draw: they follow when the budget has come to rest.
        self._rest = QTimer(self, singleShot=True, interval=400)
        self._rest.timeout.connect(self.review.find)
        self._lay_out()
        self._connect()
        self._unbind = bind(napari_viewer, self._key_actions())
        leave_with_escape(self)
        # A window that is closed in the middle of a run should not wait for the run's end.
        QApplication.instance().aboutToQuit.connect(self.session.cancel)
        self._adopt_from_viewer()

    def open(self, path: str | Path, *, mpp: float | None = None, run: bool = False) -> None:
        """Open a slide in the background; with `run`, start the cascade when it is there."""
        self.slide.open(path, mpp=mpp, run=run)

    def open_phantom(self, *, run: bool = False) -> None:
        """Open the built-in phantom, made on first use."""
        self.slide.open_phantom(run=run)

    def dragEnterEvent(self, event: Any) -> None:  # noqa: N802
        """Take files that are dragged over the dock."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:  # noqa: N802
        """Open the first file that was dropped; GeoJSON comes into the review of the slide."""
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if not paths:
            return
        event.acceptProposedAction()
        if Path(paths[0]).suffix.lower() in (".geojson", ".json"):
            self.slide.slide_panel.show_error(self.review.import_annotations(paths[0]))
        else:
            self.open(paths[0])

    def run(self) -> None:
        """Run the cascade on the open slide."""
        self.cascade.run()

    def open_review(self) -> None:
        """Open the dock in which regions are decided, behind this one."""
        self.viewer.window.add_plugin_dock_widget("napari-hagmil", "HAG-MIL review", tabify=True)

    def closeEvent(self, event: Any) -> None:  # noqa: N802
        """Stop what runs and let go of the file."""
        if self._on_pointer in self.viewer.mouse_move_callbacks:
            self.viewer.mouse_move_callbacks.remove(self._on_pointer)
            self.viewer.layers.events.inserted.disconnect(self._adopt_from_viewer)
            self._unbind()
            self.slide.close_work()
            self.desk.stages.close()
        self._rest.stop()
        self.session.cancel()
        self._work.wait()
        self.cascade.close_work()
        self.why.close_work()
        self.steer.close_work()
        self.session.close()
        super().closeEvent(event)

    def _lay_out(self) -> None:
        self.tabs = QTabWidget()
        self.tabs.addTab(self.slide, "Slide")
        self.tabs.addTab(self.cascade, "Cascade")
        self.tabs.addTab(self.why, "Why")
        self.tabs.addTab(self.steer, "Steer")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.tabs)
        self.setAcceptDrops(True)
        self.setMinimumWidth(360)
        self.setMaximumWidth(MAX_WIDTH)

    def _connect(self) -> None:
        self.slide.opened.connect(self._after_opening)
        self.cascade.findings.review_button.clicked.connect(self.open_review)
        self.steer.run_asked.connect(self.run)
        self.session.slide_changed.connect(self._show_slide)
        self.session.finished.connect(self._show_result)
        self.viewer.mouse_move_callbacks.append(self._on_pointer)
        self.viewer.layers.events.inserted.connect(self._adopt_from_viewer)

    def _toggle_overlays(self) -> None:
        """Bare glass, or everything that lies on it: findings and the review's outlines alike."""
        stages = self.desk.stages
        stages.toggle_all()
        self.review_canvas.layers.set_visible(any(stages.shown.values()))

    def _key_actions(self) -> dict[Any, Any]:
        stages = self.desk.stages
        actions: dict[str, Callable[[], object]] = {
            "overview": self.viewer.reset_view,
            "run": self.run,
            "cancel": self.session.cancel,
            "overlay": self._toggle_overlays,
            "branches": lambda: stages.toggle("branches"),
            "unseen": lambda: stages.toggle("unseen"),
            "hold": self._hold,
            "without": lambda: self.why.ask_without(0),
            "follow": lambda: self.steer.follow_at(self.why.place),
            "leave_out": lambda: self.steer.leave_out_at(self.why.place),
            "second_look": self.steer.second_look,
            "set_pins": self.steer.layers.set_pins,
            "draw_place": self.steer.layers.draw_place,
            "tissue_brush": partial(self.slide.take_tool, "paint"),
            "tissue_polygon": partial(self.slide.take_tool, "polygon"),
            "tissue_eraser": partial(self.slide.take_tool, "erase"),
        }
        for name in ("slide", "cascade", "why", "steer"):
            actions[f"tab_{name}"] = partial(go_to_tab, self.tabs, getattr(self, name))
        for name, preset in zip(_PRESET_KEYS, PRESETS, strict=True):
            actions[name] = partial(self.slide.look_at, preset)
        return {HAGMIL_KEYS[name]: action for name, action in actions.items()}

    def _after_opening(self, run: bool) -> None:
        if run:
            self.tabs.setCurrentWidget(self.cascade)
            self.run()
        else:
            self.cascade.make_ready()

    def _adopt_from_viewer(self, event: Any = None) -> None:
        """Take over a slide that was opened by File ▸ Open or Open Sample."""
        path = self.overlay.slide_of_others()
        if path is not None and self.session.slide is None and not self._work.busy:
            self.open(path)

    def _show_slide(self, slide: Slide) -> None:
        self.overlay.show_slide()

    def _show_result(self, result: Any) -> None:
        if not self.review.state.regions:
            self.review.find()
        else:
            self._rest.start()

    def _on_pointer(self, viewer: Any, event: Any) -> None:
        self.why.point_at(self.overlay.pixel_at(event.position))

    def _hold(self) -> None:
        self.why.toggle_hold()
        self.tabs.setCurrentWidget(self.why)
