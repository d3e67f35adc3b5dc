"""The Steer tab: follow, leave out, run again, and take a second look at what was cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from magicgui.widgets import ComboBox, Container, PushButton, SpinBox
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton

from napari_hagmil.cascade import SecondLook, SecondLookPlan
from napari_hagmil.errors import HagmilError
from napari_hagmil.review import ReviewState
from napari_hagmil.session import error_sentence
from napari_hagmil.session.questions import second_look_sentence
from napari_hagmil.session.run_report import change_at_depth, stage_labels
from napari_hagmil.session.steering import (
    clear_steering,
    draw_left_out,
    follow,
    leave_out,
    set_pins,
    steered,
)
from napari_hagmil.widgets.cascade.context import CascadeContext, CascadePage
from napari_hagmil.widgets.cascade.steer.layers import SteerLayers
from napari_hagmil.widgets.focus import focus_canvas
from napari_hagmil.widgets.style import (
    ERROR_COLOR,
    QUIET_COLOR,
    Section,
    plain_label,
    show_text,
    text_label,
)

_NO_SLIDE = "Open a slide to steer."


class SteerTab(CascadePage):
    """Steers the next run, and shows what that changed.

    Parameters
    ----------
    context : CascadeContext
        What the tabs share.

    Signals
    -------
    run_asked
        The cascade is to be run with the steering.
    """

    run_asked = Signal()

    def __init__(self, context: CascadeContext) -> None:
        super().__init__(context)
        self.layers = SteerLayers(
            context.viewer,
            context.session,
            on_pins=lambda places: self._steer(lambda: set_pins(self.session, places)),
            on_rings=lambda rings: self._steer(lambda: draw_left_out(self.session, rings)),
        )
        self._make_steering()
        self._make_changes()
        self._make_second_look()
        self._seed = 0
        session, connect = context.session, context.links.connect
        connect(session.slide_changed, self._slide_changed)
        connect(session.review_changed, lambda state, action: self._show_review(state))
        connect(session.finished, self._show_changes)
        connect(session.started, self._show_steering)
        connect(session.stage_found, lambda stage: self._offer_depths())

    def follow_at(self, place: tuple[float, float] | None) -> None:
        """Follow the branch at a level-0 pixel, or stop following it."""
        if place is not None:
            self._steer(lambda: follow(self.session, place))

    def leave_out_at(self, place: tuple[float, float] | None) -> None:
        """Leave out the branch at a level-0 pixel, or take it back in."""
        if place is not None:
            self._steer(lambda: leave_out(self.session, place))

    def second_look(self) -> None:
        """Open some of the pruned branches and say what they hide."""
        questions = self.session.questions()
        if questions is None or len(questions.stages) < 2 or self.context.work.busy:
            show_text(self.answer, "Run the cascade first, to its second depth at least.")
            return
        plan = SecondLookPlan(self.depth.value or 0, self.n.value, self._seed)
        self._seed += 1
        show_text(self.answer, "Opening them…")
        self.context.work.start(
            lambda: iter([questions.second_look(plan)]),
            on_item=self._show_second_look,
            on_done=_nothing,
            on_cancelled=_nothing,
            on_error=lambda error: show_text(self.answer, error_sentence(error)),
        )

    def show_session(self) -> None:
        """Show what is steered, and what the last run changed."""
        self._slide_changed(self.session.slide)
        self._offer_depths()
        self._show_changes(self.session.result)

    def close_work(self) -> None:
        """Hand on what was drawn last, and take the layers away: nobody reads their edits."""
        self.layers.close()
        self.layers.clear()

    def _make_steering(self) -> None:
        section = Section("Steering")
        self.summary = text_label(_NO_SLIDE)
        self.error = text_label(color=ERROR_COLOR, selectable=True)
        self.pin_button = QPushButton("Mark to follow")
        self.draw_button = QPushButton("Draw to leave out")
        self.clear_button, self.run_button = QPushButton("Clear"), QPushButton("Run with steering")
        hint = text_label(
            "At the pointer, G follows the branch whatever its attention and U leaves it out; "
            "press again to undo. Draw around pen marks, folds and control tissue.",
            color=QUIET_COLOR,
        )
        self.pin_button.setToolTip("Click branches on the slide to follow them (Alt-7)")
        self.draw_button.setToolTip("Draw around a place on the slide to leave it out (Alt-8)")
        first, second = QHBoxLayout(), QHBoxLayout()
        for line, buttons in (
            (first, (self.pin_button, self.draw_button)),
            (second, (self.run_button, self.clear_button)),
        ):
            for button in buttons:
                line.addWidget(button)
        section.add(hint)
        section.body.addLayout(first)
        section.add(self.summary, self.error)
        section.body.addLayout(second)
        self.add(section)
        self.pin_button.clicked.connect(lambda: self._take(self.layers.set_pins))
        self.draw_button.clicked.connect(lambda: self._take(self.layers.draw_place))
        self.clear_button.clicked.connect(lambda: self._steer(lambda: clear_steering(self.session)))
        self.run_button.clicked.connect(self.run_asked)

    def _take(self, tool: Callable[[], None]) -> None:
        """Take a tool; then the hand goes to the canvas, where Escape leaves it."""
        tool()
        focus_canvas(self)

    def _make_changes(self) -> None:
        self.changes = plain_label()
        self.changes.setWordWrap(True)
        self.changed_section = Section("What the last run changed")
        self.changed_section.add(self.changes)
        self.changed_section.hide()
        self.add(self.changed_section)

    def _make_second_look(self) -> None:
        section = Section("Second look")
        section.add(
            text_label(
                "Opens a random sample of the cut branches, and estimates how many of all hide as "
                "much attention as the followed ones.",
                color=QUIET_COLOR,
            )
        )
        tip = "Branches to open; each costs four patches"
        self.n = SpinBox(label="Open", value=12, min=1, max=1000, tooltip=tip)
        self.depth = ComboBox(label="cut at", choices=(), tooltip="The depth that cut them")
        self.n.max_width, self.depth.max_width = 68, 64
        self.look_button = PushButton(text="Look", tooltip="Open and judge them (Shift-G)")
        form = Container(layout="horizontal", widgets=[self.n, self.depth, self.look_button])
        form.margins = (0, 0, 0, 0)
        section.add(form.native)
        self.answer = text_label(selectable=True)
        section.add(self.answer)
        self.look_button.clicked.connect(lambda _: self.second_look())
        self.add(section)

    def _steer(self, edit: Callable[[], str | None]) -> None:
        try:
            edit()
        except HagmilError as error:
            show_text(self.error, error_sentence(error))
        else:
            show_text(self.error, "")

    def _slide_changed(self, slide: Any) -> None:
        self.layers.clear()
        self.changed_section.hide()
        show_text(self.answer, "")
        self.depth.choices = ()
        if self.session.sitting is not None:
            self._show_review(self.session.sitting.state)
        else:
            show_text(self.summary, _NO_SLIDE)

    def _show_steering(self) -> None:
        """Draw what the run is steered by: its layer may have been deleted."""
        if self.session.sitting is not None:
            self.layers.show_state(self.session.sitting.state)

    def _show_review(self, state: ReviewState) -> None:
        show_text(self.summary, steered(state))
        self.layers.show_state(state)

    def _show_changes(self, result: Any) -> None:
        changes, sitting = self.session.changes, self.session.sitting
        self.changed_section.setVisible(bool(changes))
        self.changes.setText("\n".join(change_at_depth(self.session, one) for one in changes))
        is_steered = sitting is not None and bool(sitting.state.pins or sitting.state.vetoes)
        self.layers.show_changes(changes if is_steered else ())

    def _offer_depths(self) -> None:
        labels = stage_labels(self.session)[:-1]  # the last depth has cut nothing
        self.depth.choices = [(label, depth) for depth, label in enumerate(labels)]

    def _show_second_look(self, look: SecondLook | None) -> None:
        model = self.session.model
        if look is None or model is None:
            show_text(self.answer, "Nothing was cut there: every branch was followed.")
            return
        mpp = self.session.grids[look.depth].downsample * self.session.mpp
        show_text(self.answer, second_look_sentence(look, mpp, classes=model.config.classes))


def _nothing() -> None:
    """For work whose end needs no answer."""
