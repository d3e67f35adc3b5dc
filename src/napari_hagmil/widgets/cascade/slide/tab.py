"""The Slide tab: open slides, set the magnification, correct the pixel size, edit the tissue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from superqt.utils import qthrottled

from napari_hagmil.errors import HagmilError
from napari_hagmil.geometry import magnification
from napari_hagmil.plugin.sample_data import phantom_path
from napari_hagmil.review import ReviewState
from napari_hagmil.session import error_sentence
from napari_hagmil.session.recent import RecentSlides
from napari_hagmil.session.steering import correct_mpp, import_tissue, set_tissue
from napari_hagmil.slide import Slide
from napari_hagmil.widgets.cascade.camera import magnification_shown, set_magnification
from napari_hagmil.widgets.cascade.context import CascadeContext, CascadePage
from napari_hagmil.widgets.cascade.slide.epithelium_section import EpitheliumSection
from napari_hagmil.widgets.cascade.slide.quality_section import QualitySection
from napari_hagmil.widgets.cascade.slide.slide_colors import SlideColors
from napari_hagmil.widgets.cascade.slide.slide_panel import SlidePanel
from napari_hagmil.widgets.cascade.slide.tissue_layer import TissueLayer
from napari_hagmil.widgets.cascade.slide.tissue_of_layer import take_tissue
from napari_hagmil.widgets.cascade.slide.tissue_panel import NO_SLIDE, TissuePanel
from napari_hagmil.widgets.cascade.slide.view_panel import ViewPanel
from napari_hagmil.widgets.focus import focus_canvas
from napari_hagmil.widgets.style import QUIET_COLOR, text_label
from napari_hagmil.widgets.work import load_tables

#: Milliseconds between two updates of the view while the camera moves.
_TOGETHER = 30


class SlideTab(CascadePage):
    """Opens slides, and sets how large the canvas shows them.

    Parameters
    ----------
    context : CascadeContext
        What the tabs share.

    Signals
    -------
    opened : bool
        A slide is open; True: the cascade is to run at once.
    switch_asked : str
        The user has chosen a slide to open.
    refused : str
        Why a slide could not be opened, as a sentence.
    """

    opened = Signal(bool)
    switch_asked = Signal(str)
    refused = Signal(str)

    def __init__(self, context: CascadeContext) -> None:
        super().__init__(context)
        self.slide_panel, self.view_panel = SlidePanel(), ViewPanel()
        self.tissue_panel = TissuePanel()
        self.tissue = TissueLayer(
            context.viewer,
            lambda mask: self._correct(set_tissue, mask),
            self.tissue_panel.box.setChecked,
        )
        self.colors = SlideColors(context, self.view_panel.srgb)
        research = text_label("Research use only. Not for diagnosis.", color=QUIET_COLOR)
        self.quality = QualitySection(context)
        self.epithelium = EpitheliumSection(context)
        self.add(self.slide_panel, self.view_panel, self.tissue_panel, self.quality)
        self.add(self.epithelium, research)
        self._recent, self._run_when_open = RecentSlides(), False
        self._given: float | None = None
        self._correction: float | None = None
        self._show_view_soon = qthrottled(self.show_view, timeout=_TOGETHER, leading=False)
        self._connect_panels()
        self._connect_session()
        context.viewer.scene.camera.events.zoom.connect(self._camera_moved)
        self.slide_panel.show_recent(self._recent.paths())

    def open(self, path: str | Path, *, mpp: float | None = None, run: bool = False) -> None:
        """Open a slide in the background; with `run`, run the cascade once it is open."""
        self._given = mpp
        self._start(f"Opening {Path(path).name}…", lambda: Path(path), mpp, run=run)

    def open_phantom(self, *, run: bool = False) -> None:
        """Open the built-in phantom, made on first use."""
        self._given = None
        self._start("Making the phantom slide (once)…", phantom_path, None, run=run)

    def look_at(self, wanted: float) -> None:
        """Zoom to a magnification."""
        if self.session.slide is not None:
            set_magnification(self.viewer, wanted)

    def show_view(self) -> None:
        """Show the magnification of the camera."""
        slide = self.session.slide
        if slide is None:
            return
        scanned = magnification(slide.mpp) if slide.mpp else None
        shown = magnification_shown(self.viewer) if slide.mpp else None
        self.view_panel.show_magnification(shown, scanned)

    def show_session(self) -> None:
        """Show the open slide and its tissue."""
        self._show_slide(self.session.slide)
        self.slide_panel.set_enabled(self.session.state != "opening")
        self._tissue_ready()

    def close_work(self) -> None:
        """Stop following the camera, hand on what was painted last, and take the mask away."""
        self._show_view_soon.cancel()
        self.colors.close_work()
        self.tissue.close()
        self.tissue.clear()
        self.viewer.scene.camera.events.zoom.disconnect(self._camera_moved)

    def _start(self, what: str, find: Callable[[], Path], mpp: float | None, *, run: bool) -> None:
        if self.context.work.busy:
            self.context.work.when_free(lambda: self._start(what, find, mpp, run=run))
            return
        self._run_when_open = run
        self.slide_panel.show_busy(what)
        self.session.set_state("opening")

        def work() -> Iterator[Slide]:
            load_tables()
            yield self.session.ahead.take(find(), mpp)

        self.context.work.start(
            work,
            on_item=self.session.adopt,
            on_done=self._after_opening,
            on_cancelled=self._opening_stopped,
            on_error=self._opening_failed,
        )

    def _after_opening(self) -> None:
        slide, sitting = self.session.slide, self.session.sitting
        run, self._run_when_open = self._run_when_open, False
        if slide is None:
            return
        corrected = sitting.state.mpp_override if sitting else None
        if self._given is None and corrected is not None and slide.mpp != corrected:
            self._start(f"Opening {slide.name}…", lambda: slide.path, corrected, run=run)
            return
        self._recent.add(self.session.ahead.behind(slide.path))
        self.slide_panel.show_recent(self._recent.paths())
        self.opened.emit(run)

    def _opening_stopped(self) -> None:
        self.session.set_state("ready" if self.session.slide else "empty")

    def _opening_failed(self, error: BaseException) -> None:
        if self.session.slide is None:
            self.slide_panel.show_none()
        else:
            self._show_facts(self.session.slide)
        self._opening_stopped()
        self.slide_panel.show_error(error_sentence(error))
        self.refused.emit(error_sentence(error))

    def _connect_panels(self) -> None:
        panel, view, tissue = self.slide_panel, self.view_panel, self.tissue_panel
        panel.open_asked.connect(self.switch_asked)
        panel.phantom_asked.connect(self.open_phantom)
        panel.forget_asked.connect(self._forget_recent)
        panel.mpp_given.connect(lambda mpp: self._correct(correct_mpp, mpp))
        view.magnification_asked.connect(self.look_at)
        view.whole_asked.connect(self.viewer.reset_view)
        tissue.shown.connect(lambda on: self._show_tissue() if on else self.tissue.hide())
        tissue.tool_asked.connect(self.take_tool)
        tissue.imported.connect(self.import_tissue)
        tissue.layer_asked.connect(self.tissue_of_layer)
        tissue.detected_again.connect(lambda: self._correct(set_tissue, None))

    def _connect_session(self) -> None:
        session, connect = self.session, self.context.links.connect
        connect(
            session.state_changed, lambda state: self.slide_panel.set_enabled(state != "opening")
        )
        connect(session.slide_changed, self._show_slide)
        connect(session.review_changed, self._review_changed)
        connect(session.preparation_ended, self._tissue_ready)
        connect(session.finished, lambda result: self._tissue_ready())

    def _camera_moved(self, event: Any = None) -> None:
        self._show_view_soon()

    def import_tissue(self, path: str | Path) -> None:
        """Replace the tissue by the polygons of a GeoJSON file."""
        self._correct(import_tissue, path)

    def tissue_of_layer(self) -> None:
        """Replace the tissue by the areas of the selected layer, of whichever plugin."""
        self._correct(take_tissue, self.context.viewer.layers.selection.active)

    def _correct(self, correction: Callable[..., object], value: Any) -> None:
        try:
            correction(self.session, value)
        except HagmilError as error:
            self.tissue_panel.show_error(error_sentence(error))
        else:
            self.tissue_panel.show_error("")

    def _show_slide(self, slide: Slide | None) -> None:
        sitting = self.session.sitting
        self.tissue.clear()
        self.tissue_panel.box.setChecked(False)
        if slide is None:
            self.slide_panel.show_none()
            self.view_panel.show_none()
            self.colors.show_slide(None)
            self.tissue_panel.show_none(NO_SLIDE)
            return
        self._correction = sitting.state.mpp_override if sitting else None
        self._show_facts(slide)
        self.colors.show_slide(slide)
        self.tissue_panel.show_none("")
        self._show_view_soon()

    def _show_facts(self, slide: Slide) -> None:
        self.slide_panel.show_slide(slide, corrected=self._correction is not None)

    def _review_changed(self, state: ReviewState, action: str) -> None:
        """Open the slide again where its pixel size was corrected, or the correction undone."""
        slide, wanted = self.session.slide, state.mpp_override
        if slide is None or wanted == self._correction:
            return
        self._correction = wanted
        if wanted == slide.mpp:
            self._show_facts(slide)
        else:
            self.open(slide.path, mpp=wanted)

    def _forget_recent(self) -> None:
        self._recent.clear()
        self.slide_panel.show_recent(())

    def _tissue_ready(self, problem: str = "") -> None:
        """Show the area of the tissue, and the mask where it is shown."""
        prepared, sitting = self.session.prepared, self.session.sitting
        if prepared is None or sitting is None:
            self.tissue_panel.show_none(problem)
            return
        self.tissue_panel.set_available(available=True)
        area = prepared.tissue.area_um2(self.session.mpp) / 1e6
        drawn, notes = sitting.state.tissue is not None, prepared.tissue.notes
        self.tissue_panel.show_facts(area, drawn=drawn, notes=notes)
        if self.tissue_panel.box.isChecked():
            self._show_tissue()

    def _show_tissue(self) -> None:
        if self.session.prepared is not None:
            self.tissue.show(self.session.prepared.tissue, self.session.mpp)

    def take_tool(self, tool: str) -> None:
        """Take a tool for the tissue: "paint", "erase" or "polygon"."""
        if self.session.prepared is None:
            return
        self.tissue_panel.box.setChecked(True)
        self._show_tissue()
        self.tissue.take_tool(tool)
        focus_canvas(self)  # where Escape leaves the tool
