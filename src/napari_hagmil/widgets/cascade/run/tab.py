"""The Cascade tab: choose settings, see the cost, run, and see the findings depth by depth."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from superqt.utils import qdebounced

from napari_hagmil.bundles import shipped_bundles
from napari_hagmil.cascade import SlideResult, Stage, called_class
from napari_hagmil.features import EncodingProgress
from napari_hagmil.polygons import Outline
from napari_hagmil.review import ReviewState
from napari_hagmil.session import Choice, bundle_choice, device_choices, encoder_choices
from napari_hagmil.session.recent import RecentBundles
from napari_hagmil.session.run_report import depth_label, stage_label
from napari_hagmil.widgets.cascade.context import CascadeContext, CascadePage
from napari_hagmil.widgets.cascade.run.depth_row import DepthFindings
from napari_hagmil.widgets.cascade.run.findings_panel import FindingsPanel
from napari_hagmil.widgets.cascade.run.run_panel import RunPanel
from napari_hagmil.widgets.work import Background, Relay

#: Seconds between two updates of the progress bar: more would only slow the window.
_TICK = 0.1

#: Milliseconds that a budget must stand before the cascade runs with it.
_REST = 25


class CascadeTab(CascadePage):
    """Runs the cascade, and again when the budget changes.

    Parameters
    ----------
    context : CascadeContext
        What the tabs share.
    """

    def __init__(self, context: CascadeContext) -> None:
        super().__init__(context)
        self._bundles = RecentBundles()
        self.run_panel, self.findings = RunPanel(self._models()), FindingsPanel()
        self.add(self.run_panel, self.findings)
        self._relay, self._last_tick = Relay(), 0.0
        self._again = self._follow = self._unready = False
        self._choices = Background()
        self._tissue: tuple[Outline, ...] | None = None
        self._plan_of: Path | None = None
        self._follow_soon = qdebounced(self.follow_plan, timeout=_REST)
        self._connect_panels()
        self._connect_session()
        self._choose_first_model()
        self._look_for_choices()

    def run(self) -> None:
        """Run the cascade on the open slide; a run under way is restarted with the new plan."""
        if self.session.slide is None:
            return
        if self.context.work.busy:
            self._again = True
            if self.session.state == "running" or self.session.trying:
                self.session.cancel()
            return
        self._again = self._follow = False
        self._take_plan()
        cost = self.session.cost()
        # Known patches come at once: the findings are shown in one go, and no button flashes.
        self.setUpdatesEnabled(cost is None or cost.new > 0)
        self._start(only_known=False)

    def follow_plan(self) -> None:
        """Show what the new plan finds, as far as that takes no patch that is not encoded yet."""
        if not self.session.shown.complete:
            return
        if self.context.work.busy:
            self._follow = True
            if self.session.trying:
                self.session.cancel()
            return
        self._follow = False
        self._take_plan()
        self._start(only_known=True)

    def _start(self, *, only_known: bool) -> None:
        self.session.begin(only_known=only_known)
        self.context.work.start(
            lambda: self.session.run(self._relay.sent.emit),
            on_item=self.session.add_stage,
            on_done=lambda: self._end_run(complete=True),
            on_cancelled=lambda: self._end_run(complete=False),
            on_error=self._fail,
        )

    def make_ready(self) -> None:
        """Load the model, detect the tissue and time a few patches, to estimate the cost."""
        if self.session.slide is None:
            return
        if self.context.work.busy:
            self._unready = True
            return
        self._unready = False
        self._take_plan()

        def work() -> Iterator[str]:
            yield self.session.make_ready()

        self.context.work.start(
            work,
            on_item=self.session.preparation_ended.emit,
            on_done=self._run_if_asked,
            on_cancelled=self._run_if_asked,
            on_error=self.session.fail,
        )

    def choose_model(self, name: str) -> None:
        """Use a bundle, by name or path, or say what it lacks."""
        if self._show_model(name):
            self.session.model_name = name
            self.make_ready()

    def _models(self) -> list[str]:
        """Bundles on offer: those that ship, then those that were chosen last."""
        return [*shipped_bundles(), *map(str, self._bundles.paths())]

    def _model_chosen(self, name: str) -> None:
        """Use a bundle that the user has chosen; it is offered again on another day."""
        self.choose_model(name)
        self.session.model_chosen = True
        if name not in shipped_bundles() and self.session.model_name == name:
            self._bundles.add(Path(name))

    def _show_model(self, name: str) -> bool:
        """Show a bundle's depths; where it cannot be read, why."""
        choice = bundle_choice(name)
        self.run_panel.show_missing(choice.missing)
        if choice.config is not None:
            self.run_panel.show_model(choice.config)
        return choice.config is not None

    def _choose_first_model(self) -> None:
        """Begin with the model and the plan of the session, where it has a slide already."""
        session, panel = self.session, self.run_panel
        begun, device = session.slide is not None, session.device
        budget, last_depth = session.budget or (), session.last_depth
        if begun:
            panel.select_model(session.model_name)
        self.choose_model(panel.chosen_model())
        if begun:
            panel.show_plan(budget, last_depth)
            panel.device.setCurrentText(device)
            self._take_plan()

    def show_session(self) -> None:
        """Show the model, the budget and the findings as they were left."""
        session, panel = self.session, self.run_panel
        self._tissue = session.sitting.state.tissue if session.sitting else None
        self._plan_of = session.slide.path if session.slide else None
        self.findings.clear(slide_open=session.slide is not None)
        for stage in session.stages:
            self._show_stage(stage)
        if session.shown.complete:
            self._show_result(session.result)
        panel.set_state(session.state)
        self._show_cost()

    def close_work(self) -> None:
        """Stop waiting runs, and wait for the check of encoders and devices."""
        self._follow_soon.cancel()
        self.findings.close_work()
        self._choices.wait()

    def abandon(self) -> None:
        """Hear no more of the check of encoders and devices."""
        self._choices.forget()

    def _connect_panels(self) -> None:
        panel, findings, stages = self.run_panel, self.findings, self.context.stages
        panel.run_asked.connect(self.run)
        panel.cancel_asked.connect(self.session.cancel)
        panel.model_chosen.connect(self._model_chosen)
        panel.features_chosen.connect(self._features_chosen)
        panel.plan_changed.connect(self._plan_changed)
        findings.visibility_changed.connect(
            lambda depth, on: stages.set_depth_shown(depth, shown=on)
        )
        stages.on_depth_shown = findings.show_visibility
        findings.opacity_changed.connect(stages.set_opacity)
        findings.threshold_changed.connect(stages.set_threshold)
        self._relay.sent.connect(self._show_progress)

    def _connect_session(self) -> None:
        session, connect = self.session, self.context.links.connect
        connect(session.state_changed, self.run_panel.set_state)
        connect(session.slide_changed, self._slide_changed)
        connect(session.review_changed, self._review_changed)
        connect(session.preparation_ended, self._show_prepared)
        connect(session.cleared, self._clear)
        connect(session.kept, self._show_kept)
        connect(session.stage_found, self._show_stage)
        connect(session.finished, self._show_result)
        connect(session.failed, self.run_panel.show_error)

    def _look_for_choices(self) -> None:
        """Find out in the background what this machine can use: every encoder is loaded once."""

        def work() -> Iterator[tuple[tuple[Choice, ...], tuple[Choice, ...]]]:
            yield encoder_choices(), device_choices()

        self._choices.start(
            work,
            on_item=lambda found: self.run_panel.mark_choices(*found),
            on_done=lambda: None,
            on_cancelled=lambda: None,
            on_error=self.session.fail,
        )

    def _take_plan(self) -> None:
        self.session.device = self.run_panel.device.currentText()
        self.session.features = self.run_panel.features.places
        self.session.budget = self.run_panel.chosen_budget()
        self.session.last_depth = self.run_panel.chosen_depth()

    def _plan_changed(self) -> None:
        self._take_plan()
        self._show_cost()
        if self.session.shown.complete and self.run_panel.live.isChecked():
            self._follow_soon()

    def _features_chosen(self) -> None:
        """Find them and lay their nodes; a slide that just opens is made ready by itself."""
        self.run_panel.show_error("")
        self.make_ready()

    def _fail(self, error: BaseException) -> None:
        self.setUpdatesEnabled(True)
        self.session.fail(error)
        self._say_unfinished()
        self._again = self._follow = False

    def _end_run(self, *, complete: bool) -> None:
        try:
            self.session.finish(complete=complete)
        finally:
            self.setUpdatesEnabled(True)  # whatever a listener raises, the tab must not stay frozen
        self._run_if_asked()

    def _run_if_asked(self) -> None:
        if self._again:
            self.run()
        elif self._unready:
            self.make_ready()
        elif self._follow:
            self.follow_plan()
        else:
            self._show_cost()

    def _slide_changed(self, slide: Any) -> None:
        self.run_panel.features.leave_slide()
        self.findings.clear(slide_open=slide is not None)
        self.context.stages.clear()
        self._tissue = self.session.sitting.state.tissue if self.session.sitting else None
        if slide is not None:
            self._begin_plan(slide.path)
        self._show_cost()

    def _begin_plan(self, path: Path) -> None:
        """A budget was chosen for one slide: the next begins with the model's own."""
        if self._plan_of not in (None, path):
            self.run_panel.show_own_plan()
            self._take_plan()
        self._plan_of = path

    def _review_changed(self, state: ReviewState, action: str) -> None:
        """Update the price after steering; another tissue mask needs a new quadtree first."""
        if state.tissue == self._tissue:
            self._show_cost()
            return
        self._tissue = state.tissue
        self.make_ready()

    def _show_prepared(self, problem: str) -> None:
        self._show_cost()
        if problem:
            self.run_panel.show_error(problem)

    def _show_cost(self) -> None:
        prepared = self.session.prepared
        n_nodes = [len(nodes) for nodes in prepared.quadtree.nodes] if prepared else []
        self.run_panel.show_cost(self.session.cost(), n_nodes)

    def _clear(self) -> None:
        self.findings.clear()
        self.context.stages.clear()

    def _show_kept(self) -> None:
        self.findings.say_kept()
        self._show_cost()

    def _show_stage(self, stage: Stage) -> None:
        session = self.session
        self.context.stages.show_stage(stage.depth)
        classes, thresholds = session.shown.called
        if not classes:
            return
        seconds = session.seconds
        self.findings.show_depth(
            DepthFindings(
                stage_label(session, stage.depth),
                stage,
                seconds[stage.depth] if stage.depth < len(seconds) else None,
                classes,
                called_class(stage.probabilities, classes, thresholds),
                session.shown.unfit,
            )
        )

    def _show_result(self, result: SlideResult | None) -> None:
        self.findings.keep_depths(len(self.session.stages))
        self.context.stages.keep_depths(len(self.session.stages))
        self.context.stages.draw()
        if result is not None:
            self.findings.show_result(result)
        self._say_unfinished()
        if result is not None and self.session.shown.restored:
            self._show_plan_of(result)
        self._show_cost()

    def _show_plan_of(self, result: SlideResult) -> None:
        """Show the model and the plan that a result which was read back was found with."""
        session, panel = self.session, self.run_panel
        if panel.chosen_model() != session.model_name:
            panel.select_model(session.model_name)
            self._show_model(session.model_name)
        panel.show_plan(result.settings.budget, session.last_depth)

    def _say_unfinished(self) -> None:
        """Leave no class in the headline when the run that is shown came to no end."""
        if self.session.stages and not self.session.shown.complete:
            last = self.session.stages[-1].depth
            self.findings.say_unfinished(stage_label(self.session, last))

    def _show_progress(self, progress: EncodingProgress) -> None:
        now = time.monotonic()
        if now - self._last_tick >= _TICK or progress.done == progress.total:
            self._last_tick = now
            label = depth_label(self.session, progress.depth)
            self.run_panel.show_progress(progress, label)
            self.session.task.step(progress.done, progress.total, label)
