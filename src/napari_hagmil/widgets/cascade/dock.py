"""The HAG-MIL dock: open a slide, run the cascade, see why it looked where it did, and steer it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout
from superqt.utils import qdebounced

from napari_hagmil.export.annotations_reader import ANNOTATION_SUFFIXES
from napari_hagmil.slide import Slide
from napari_hagmil.widgets.cascade.camera import PRESETS
from napari_hagmil.widgets.cascade.context import CascadeContext, CascadePage
from napari_hagmil.widgets.cascade.run.last_result import LastResult
from napari_hagmil.widgets.cascade.run.save_analysis import SaveAnalysis
from napari_hagmil.widgets.cascade.run.stage_layers import StageLayers
from napari_hagmil.widgets.cascade.run.tab import CascadeTab
from napari_hagmil.widgets.cascade.slide.switch import SlideSwitch
from napari_hagmil.widgets.cascade.slide.tab import SlideTab
from napari_hagmil.widgets.cascade.slide_layers import SlideLayers
from napari_hagmil.widgets.cascade.steer.tab import SteerTab
from napari_hagmil.widgets.cascade.why.tab import WhyTab
from napari_hagmil.widgets.desk import HAGMIL, REVIEW
from napari_hagmil.widgets.dock import TabbedDock
from napari_hagmil.widgets.focus import focus_canvas
from napari_hagmil.widgets.keys import HAGMIL_KEYS
from napari_hagmil.widgets.telling.banner import ReviewBanner
from napari_hagmil.widgets.telling.message import Message
from napari_hagmil.widgets.work import Background

#: Milliseconds without another run before regions are found: polygons take long to draw.
_REST = 400


class CascadeDock(TabbedDock):
    """Runs the cascade on a slide, and shows where it looked.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Given by napari.

    Signals
    -------
    refused : str
        Why a slide, or its stored result, could not be opened, as a sentence.
    """

    NAME = HAGMIL

    refused = Signal(str)

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer, min_width=320)
        self.review = self.desk.review
        self.session = self.review.session
        self.slide_layers = SlideLayers(napari_viewer, self.session)
        self._work = Background()
        stages = StageLayers(napari_viewer, self.session, self.desk.looks)
        links, follower = self.links, self.desk.follower
        self.context = CascadeContext(
            napari_viewer, self.session, self.slide_layers, stages, self._work, links, follower
        )
        self.slide = SlideTab(self.context)
        self.cascade, self.why = CascadeTab(self.context), WhyTab(self.context)
        self.steer = SteerTab(self.context)
        self.switch = SlideSwitch(self, self.context, self.open, self._drawing)
        self.switch.on_analysis = self.take_result
        self.slide_panel, self.pointer = self.slide.slide_panel, self.why.pointer
        self.run_panel, self.findings = self.cascade.run_panel, self.cascade.findings
        self.last_result = LastResult(self.context, self.findings, self.run_panel.models)
        self.save_analysis = SaveAnalysis(self.context, self.findings)
        self._wanted_result: Path | None = None
        self._to_read = False
        self._find_regions = qdebounced(self.review.find, timeout=_REST)
        self._lay_out()
        self._connect()
        self.bind_keys(self._key_actions())
        self._show_session()
        self.switch.look()

    def open(
        self,
        path: str | Path,
        *,
        mpp: float | None = None,
        run: bool = False,
        result: Path | None = None,
    ) -> None:
        """Open a slide in the background; then run the cascade, or show the result in a folder."""
        self._wanted_result, self._to_read = result, False
        self.slide.open(path, mpp=mpp, run=run)

    def open_to_read(
        self, path: Path, *, mpp: float | None = None, result: Path | None = None
    ) -> bool:
        """Open a slide with its review and a stored result, and prepare no run of the cascade.

        Returns
        -------
        bool
            False when the user would rather go on with what is under way.
        """

        def opens(path: Path) -> None:
            self._wanted_result, self._to_read = result, True
            self.slide.open(path, mpp=mpp)

        return self.switch.open(path, opens)

    def open_phantom(self, *, run: bool = False) -> None:
        """Open the built-in phantom, made on first use."""
        self.slide.open_phantom(run=run)

    def take_dropped(self, path: Path) -> None:
        """Open a slide; a GeoJSON file goes into the review of the open slide."""
        if path.suffix.lower() in ANNOTATION_SUFFIXES:
            self.desk.importer.take(path)
        elif (path / "result.json").is_file():
            self.take_result(path)
        else:
            self.switch.open(path)

    def take_result(self, folder: Path) -> None:
        """Show the result that `analyze` has written for the open slide."""
        sentence = self.last_result.take(folder)
        self.run_panel.show_error(sentence)
        if sentence:
            self.refused.emit(sentence)
        self.tabs.setCurrentWidget(self.cascade)

    def run(self) -> None:
        """Run the cascade on the open slide."""
        self.cascade.run()

    def open_review(self) -> None:
        """Bring the review dock to the front; the hand goes to the canvas, where its keys work."""
        self.desk.dock(REVIEW).go_to("queue")
        focus_canvas(self)

    def abandon(self) -> None:
        """Hear no more of a run, of the look for encoders and of levels in other colours."""
        self._work.forget()
        self.cascade.abandon()
        self.slide.colors.abandon()

    def closeEvent(self, event: Any) -> None:  # noqa: N802
        """Stop the run; slide, findings and review stay with the window."""
        if self._on_pointer in self.viewer.mouse_move_callbacks:
            self.viewer.mouse_move_callbacks.remove(self._on_pointer)
            self.switch.stop()
            self._find_regions.cancel()
            self.banner.stop()
            self.message.close_work()
            self.session.cancel()
            for page in self._pages().values():
                page.close_work()
            self.context.stages.close()
            self.links.undo()
        self._work.wait(1.0)
        self.session.give_up()
        super().closeEvent(event)

    def _show_session(self) -> None:
        """Show what the window has open already: this dock may have been closed before."""
        if self.session.slide is not None:
            self.slide_layers.take_over()
            if not self.slide_layers.owns:  # its layer was deleted while no dock looked
                self.session.close_slide()
                return
            for page in self._pages().values():
                page.show_session()
            self.cascade.make_ready()

    def _pages(self) -> dict[str, CascadePage]:
        return {
            "Slide": self.slide,
            "Cascade": self.cascade,
            "Why": self.why,
            "Steer": self.steer,
        }

    def _lay_out(self) -> None:
        for title, page in self._pages().items():
            self.tabs.addTab(page, title)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        self.banner = ReviewBanner(self.review, self.links)
        self.message = Message()
        self.links.connect(self.review.said, self.message.say)
        for part, stretch in ((self.banner, 0), (self.tabs, 1), (self.message, 0), (self.strip, 0)):
            outer.addWidget(part, stretch)
        self.tabs.currentChanged.connect(self._quiet_strip)

    def _quiet_strip(self) -> None:
        """The Cascade tab has a progress bar of its own."""
        self.strip.rows[0].set_quiet(self.tabs.currentWidget() is self.cascade)

    def _connect(self) -> None:
        self.slide.opened.connect(self._after_opening)
        self.slide.refused.connect(self.refused)
        self.cascade.findings.review_button.clicked.connect(self.open_review)
        self.steer.run_asked.connect(self.run)
        connect = self.links.connect
        connect(self.session.slide_changed, self._show_slide)
        connect(self.session.finished, self._show_result)
        connect(self.review.changed, self._make_way)
        connect(self.desk.importer.ended, self.slide_panel.show_error)
        self.viewer.mouse_move_callbacks.append(self._on_pointer)
        self.slide.switch_asked.connect(lambda path: self.switch.open(Path(path)))
        self.slide.slide_panel.close_asked.connect(self.switch.close)

    def _key_actions(self) -> dict[Any, Any]:
        stages = self.context.stages
        actions: dict[str, Callable[[], object]] = {
            "overview": self.viewer.reset_view,
            "run": self.run,
            "cancel": self.session.cancel,
            "branches": lambda: stages.toggle("branches"),
            "unseen": lambda: stages.toggle("unseen"),
            "hold": self._hold,
            "without": lambda: self.why.ask_without(0),
            "alike": self._find_alike,
            "unseen_next": partial(self._step_unseen, 1),
            "unseen_previous": partial(self._step_unseen, -1),
            "replay": self.why.looked.play,
            "follow": lambda: self.steer.follow_at(self.why.place),
            "leave_out": lambda: self.steer.leave_out_at(self.why.place),
            "second_look": self.steer.second_look,
            "set_pins": self.steer.layers.set_pins,
            "draw_place": self.steer.layers.draw_place,
            "tissue_brush": partial(self.slide.take_tool, "paint"),
            "tissue_polygon": partial(self.slide.take_tool, "polygon"),
            "tissue_eraser": partial(self.slide.take_tool, "erase"),
        }
        actions |= {name: partial(self.slide.look_at, at) for name, at in PRESETS.items()}
        return {HAGMIL_KEYS[name]: action for name, action in actions.items()}

    def _after_opening(self, run: bool) -> None:
        if run:
            self.tabs.setCurrentWidget(self.cascade)
            self.run()
            return
        folder, self._wanted_result = self._wanted_result, None
        if folder is None:
            self.last_result.show_kept()
        else:
            self.take_result(folder)
        if not self._to_read:
            self.cascade.make_ready()

    def _drawing(self) -> bool:
        return self.desk.canvas.tools.active

    def _make_way(self) -> None:
        self.context.stages.make_way(self.review.region())

    def _show_slide(self, slide: Slide | None) -> None:
        self.slide_layers.show_slide()

    def _show_result(self, result: Any) -> None:
        run = self.session.shown
        if not run.complete or (run.restored and self.review.state.regions):
            return
        if not self.review.state.regions:
            self.review.find()
        else:
            self._find_regions()

    def _on_pointer(self, viewer: Any, event: Any) -> None:
        self.why.point_at(self.slide_layers.pixel_at(event.position))

    def _find_alike(self) -> None:
        self.why.find_alike()
        self.tabs.setCurrentWidget(self.why)

    def _step_unseen(self, by: int) -> None:
        self.why.looked.step(by)
        self.tabs.setCurrentWidget(self.why)

    def _hold(self) -> None:
        self.why.toggle_hold()
        self.tabs.setCurrentWidget(self.why)
