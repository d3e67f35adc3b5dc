"""The dock: open a slide, run the cascade, see where it looked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QPushButton, QScrollArea, QVBoxLayout, QWidget

from napari_hagmil.bags import EncodingProgress
from napari_hagmil.bundles import find_bundle, shipped_bundles
from napari_hagmil.cascade import Stage
from napari_hagmil.errors import HagmilError
from napari_hagmil.models import load_bundle
from napari_hagmil.plugin.sample_data import phantom_path
from napari_hagmil.session import sentence
from napari_hagmil.slide import Slide, open_slide
from napari_hagmil.widgets.findings_panel import FindingsPanel
from napari_hagmil.widgets.overlay import Overlay
from napari_hagmil.widgets.pointer_panel import PointerPanel
from napari_hagmil.widgets.review_desk import review_desk_of
from napari_hagmil.widgets.run_panel import RunPanel
from napari_hagmil.widgets.slide_panel import SlidePanel
from napari_hagmil.widgets.style import MAX_WIDTH, QUIET_COLOR, text_label
from napari_hagmil.widgets.work import Background, Relay

#: Seconds between two updates of the progress bar: more only slow the window.
_TICK = 0.1


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
        self.review = review_desk_of(napari_viewer)
        self.session = self.review.session
        self.overlay = Overlay(napari_viewer, self.session)
        self.slide_panel, self.run_panel = SlidePanel(), RunPanel(list(shipped_bundles()))
        self.findings, self.pointer = FindingsPanel(), PointerPanel()
        self.review_button = QPushButton("Review the regions…")
        self._work, self._relay, self._last_tick = Background(), Relay(), 0.0
        self._run_when_open = False
        self._lay_out()
        self._connect_panels()
        self._connect_session()
        self._choose_model(self.run_panel.chosen_model())
        napari_viewer.mouse_move_callbacks.append(self._on_pointer)
        napari_viewer.layers.events.inserted.connect(self._adopt_from_viewer)
        # A window that is closed in the middle of a run should not wait for the run's end.
        QApplication.instance().aboutToQuit.connect(self.session.cancel)
        self._adopt_from_viewer()

    def open(self, path: str | Path, *, mpp: float | None = None, run: bool = False) -> None:
        """Open a slide in the background; with `run`, start the cascade when it is there."""
        self._run_when_open = run
        self._start_opening(f"Opening {Path(path).name}…", lambda: Path(path), mpp)

    def open_phantom(self, *, run: bool = False) -> None:
        """Open the built-in phantom, made on first use."""
        self._run_when_open = run
        self._start_opening("Making the phantom slide (once)…", phantom_path, None)

    def run(self) -> None:
        """Run the cascade on the open slide."""
        if self._work.busy or self.session.slide is None:
            return
        self.session.device = self.run_panel.device.currentText()
        self.session.budget = self.run_panel.chosen_budget()
        self.session.begin()
        self._work.start(
            lambda: self.session.run(self._relay.sent.emit),
            on_item=self._take_stage,
            on_done=lambda: self._end_run(complete=True),
            on_cancelled=lambda: self._end_run(complete=False),
            on_error=self.session.fail,
        )

    def open_review(self) -> None:
        """Open the dock in which regions are decided, behind this one."""
        self.viewer.window.add_plugin_dock_widget("napari-hagmil", "HAG-MIL review", tabify=True)

    def closeEvent(self, event: Any) -> None:  # noqa: N802
        """Stop what runs and let go of the file."""
        if self._on_pointer in self.viewer.mouse_move_callbacks:
            self.viewer.mouse_move_callbacks.remove(self._on_pointer)
            self.viewer.layers.events.inserted.disconnect(self._adopt_from_viewer)
        self.session.cancel()
        self._work.wait()
        self.overlay.close()
        self.session.close()
        super().closeEvent(event)

    def _lay_out(self) -> None:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(6, 6, 6, 6)
        for panel in (
            self.slide_panel,
            self.run_panel,
            self.findings,
            self.pointer,
            self.review_button,
            text_label("Research use only. Not for diagnosis.", color=QUIET_COLOR),
        ):
            column.addWidget(panel)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        content.setMaximumWidth(MAX_WIDTH)
        scroll.setWidget(content)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)
        self.setMinimumWidth(360)
        self.setMaximumWidth(MAX_WIDTH)

    def _connect_panels(self) -> None:
        self.slide_panel.open_asked.connect(self.open)
        self.slide_panel.phantom_asked.connect(self.open_phantom)
        self.slide_panel.mpp_given.connect(self._set_mpp)
        self.run_panel.run_asked.connect(self.run)
        self.run_panel.cancel_asked.connect(self.session.cancel)
        self.run_panel.model_chosen.connect(self._choose_model)
        self.findings.visibility_changed.connect(self.overlay.set_depth_visible)
        self.findings.branches_changed.connect(self.overlay.set_branches_visible)
        self.findings.opacity_changed.connect(self.overlay.set_opacity)
        self.review_button.clicked.connect(self.open_review)
        self._relay.sent.connect(self._show_progress)

    def _connect_session(self) -> None:
        self.session.state_changed.connect(self._show_state)
        self.session.slide_changed.connect(self._show_slide)
        self.session.started.connect(self._clear_findings)
        self.session.stage_found.connect(self._show_stage)
        self.session.finished.connect(self._show_result)
        self.session.failed.connect(self.run_panel.show_error)

    def _start_opening(self, what: str, find: Any, mpp: float | None) -> None:
        if self._work.busy:
            return
        self.slide_panel.show_busy(what)
        self.session.set_state("opening")

        def work() -> Iterator[Slide]:
            slide = open_slide(find(), mpp=mpp)
            # Reads the coarsest level, which napari would otherwise read on the GUI thread.
            slide.view_levels()
            yield slide

        self._work.start(
            work,
            on_item=self.session.adopt,
            on_done=self._after_opening,
            on_cancelled=self._opening_stopped,
            on_error=self._opening_failed,
        )

    def _after_opening(self) -> None:
        if self._run_when_open:
            self._run_when_open = False
            self.run()

    def _opening_stopped(self) -> None:
        self.session.set_state("ready" if self.session.slide else "empty")

    def _opening_failed(self, error: BaseException) -> None:
        if self.session.slide is None:
            self.slide_panel.show_busy("No slide is open.")
            self.session.set_state("empty")
        else:
            self.slide_panel.show_slide(self.session.slide)
            self.session.set_state("ready")
        self.run_panel.show_error(sentence(error))

    def _adopt_from_viewer(self, event: Any = None) -> None:
        """Take over a slide that was opened by File ▸ Open or Open Sample."""
        path = self.overlay.slide_of_others()
        if path is not None and self.session.slide is None and not self._work.busy:
            self.open(path)

    def _set_mpp(self, mpp: float) -> None:
        if self.session.slide is not None:
            self.open(self.session.slide.path, mpp=mpp)

    def _choose_model(self, name: str) -> None:
        try:
            config = load_bundle(find_bundle(name)).config
        except HagmilError as error:
            self.run_panel.show_error(sentence(error))
            return
        self.session.model_name = name
        self.run_panel.show_error("")
        self.run_panel.show_budget(config.mpp, config.budget)
        self.run_panel.show_intended_use(config.intended_use)

    def _show_state(self, state: str) -> None:
        self.run_panel.set_state(state)
        self.slide_panel.set_enabled(state not in ("opening", "running"))

    def _show_slide(self, slide: Slide) -> None:
        self.slide_panel.show_slide(slide)
        self.findings.clear()
        self.overlay.show_slide()

    def _clear_findings(self) -> None:
        self.findings.clear()
        self.overlay.clear_findings()

    def _take_stage(self, stage: Stage) -> None:
        self.session.add_stage(stage)

    def _show_stage(self, stage: Stage) -> None:
        self.overlay.show_stage(stage.depth)
        model, slide = self.session.model, self.session.slide
        if model is not None and slide is not None and slide.mpp is not None:
            mpp = self.session.grids[stage.depth].downsample * slide.mpp
            self.findings.add_stage(stage, mpp, model.config)

    def _end_run(self, *, complete: bool) -> None:
        self.session.finish(complete=complete)

    def _show_result(self, result: Any) -> None:
        if result is not None:
            self.findings.show_result(result)

    def _show_progress(self, progress: EncodingProgress) -> None:
        now = time.monotonic()
        slide, reading = self.session.slide, self.session.reading
        if slide is None or reading is None or slide.mpp is None:
            return
        if now - self._last_tick >= _TICK or progress.done == progress.total:
            self._last_tick = now
            mpp = reading.quadtree.grids[progress.depth].downsample * slide.mpp
            self.run_panel.show_progress(progress, mpp)

    def _on_pointer(self, viewer: Any, event: Any) -> None:
        at = self.overlay.pixel_at(event.position)
        self.pointer.show_facts(self.session.node_facts(*at) if at is not None else [])
