"""The tab Steer: follow, leave out, run again, and a second look at what was cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QSpinBox

from napari_hagmil.cascade import DepthChange, SecondLook, SecondLookPlan
from napari_hagmil.errors import HagmilError
from napari_hagmil.geometry import magnification_label
from napari_hagmil.review import ReviewState
from napari_hagmil.session import error_sentence
from napari_hagmil.session.questions import second_look_sentence
from napari_hagmil.session.steering import (
    clear_steering,
    draw_left_out,
    follow,
    leave_out,
    set_pins,
    steered,
)
from napari_hagmil.widgets.cascade.shared import CascadeContext
from napari_hagmil.widgets.cascade.steer.layers import SteerLayers
from napari_hagmil.widgets.style import (
    ERROR_COLOR,
    QUIET_COLOR,
    Page,
    Section,
    percent,
    show_text,
    text_label,
)


class SteerTab(Page):
    """Takes the reader's wishes, and shows what they change.

    Parameters
    ----------
    desk : CascadeContext
        The sitting.

    Signals
    -------
    run_asked
        The cascade is to be run with the wishes.
    """

    run_asked = Signal()

    def __init__(self, desk: CascadeContext) -> None:
        super().__init__()
        self.desk, self.session = desk, desk.session
        self.layers = SteerLayers(
            desk.viewer,
            desk.session,
            on_pins=lambda places: self._wish(lambda: set_pins(self.session, places)),
            on_rings=lambda rings: self._wish(lambda: draw_left_out(self.session, rings)),
        )
        self._make_wishes()
        self._make_changes()
        self._make_second_look()
        self._seed = 0
        session = desk.session
        session.slide_changed.connect(self._slide_changed)
        session.review_changed.connect(lambda state, action: self._show_review(state))
        session.finished.connect(self._show_changes)
        session.stage_found.connect(lambda stage: self._offer_depths())

    def follow_at(self, place: tuple[float, float] | None) -> None:
        """Follow the branch of a level-0 pixel, or no longer."""
        if place is not None:
            self._wish(lambda: follow(self.session, place))

    def leave_out_at(self, place: tuple[float, float] | None) -> None:
        """Leave out the branch of a level-0 pixel, or no longer."""
        if place is not None:
            self._wish(lambda: leave_out(self.session, place))

    def second_look(self) -> None:
        """Open some of the pruned branches and say what they hide."""
        questions = self.session.questions()
        if questions is None or len(questions.stages) < 2 or self.desk.work.busy:
            show_text(self.answer, "Run the cascade first, to its second depth at least.")
            return
        plan = SecondLookPlan(max(self.depth.currentIndex(), 0), self.n.value(), self._seed)
        self._seed += 1
        show_text(self.answer, "Opening them…")
        self.desk.work.start(
            lambda: iter([questions.second_look(plan)]),
            on_item=self._show_second_look,
            on_done=_nothing,
            on_cancelled=_nothing,
            on_error=lambda error: show_text(self.answer, error_sentence(error)),
        )

    def close_work(self) -> None:
        """Take in what was drawn last."""
        self.layers.close()

    def _make_wishes(self) -> None:
        section = Section("Your wishes")
        self.summary = text_label("Open a slide to steer.")
        self.error = text_label(color=ERROR_COLOR, selectable=True)
        self.pin_button = QPushButton("Set branches to follow")
        self.draw_button = QPushButton("Draw a place to leave out")
        self.clear_button, self.run_button = QPushButton("Clear"), QPushButton("Run with them")
        hint = text_label(
            "At the pointer: G follows the branch whatever its attention, U leaves it out; "
            "again, and it is as before. For pen, folds and control tissue, draw.",
            color=QUIET_COLOR,
        )
        self.pin_button.setToolTip("By clicks on the slide (Alt-7)")
        self.draw_button.setToolTip("In one stroke around it (Alt-8)")
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
        self.pin_button.clicked.connect(self.layers.set_pins)
        self.draw_button.clicked.connect(self.layers.draw_place)
        self.clear_button.clicked.connect(lambda: self._wish(lambda: clear_steering(self.session)))
        self.run_button.clicked.connect(self.run_asked)

    def _make_changes(self) -> None:
        self.changes = QLabel()
        self.changes.setWordWrap(True)
        self.changed_section = Section("What the last run changed")
        self.changed_section.add(self.changes)
        self.changed_section.hide()
        self.add(self.changed_section)

    def _make_second_look(self) -> None:
        section = Section("Second look")
        section.add(
            text_label(
                "Opens some of the cut branches, drawn at random, and says how many may hide as "
                "much attention as the followed ones.",
                color=QUIET_COLOR,
            )
        )
        self.n, self.depth, self.look_button = QSpinBox(), QComboBox(), QPushButton("Look")
        self.n.setRange(1, 1000)
        self.n.setValue(12)
        self.n.setToolTip("Branches to open; each costs four patches")
        line = QHBoxLayout()
        for widget in (QLabel("Open"), self.n, QLabel("cut at"), self.depth, self.look_button):
            line.addWidget(widget)
        section.body.addLayout(line)
        self.answer = text_label(selectable=True)
        section.add(self.answer)
        self.look_button.clicked.connect(self.second_look)
        self.add(section)

    def _wish(self, wish: Callable[[], str | None]) -> None:
        try:
            wish()
        except HagmilError as error:
            show_text(self.error, error_sentence(error))
        else:
            show_text(self.error, "")

    def _slide_changed(self, slide: Any) -> None:
        self.layers.clear()
        self.changed_section.hide()
        show_text(self.answer, "")
        self.depth.clear()
        if self.session.sitting is not None:
            self._show_review(self.session.sitting.state)

    def _show_review(self, state: ReviewState) -> None:
        show_text(self.summary, steered(state))
        self.layers.show_state(state)

    def _show_changes(self, result: Any) -> None:
        changes = self.session.changes
        shown = [self._told(change) for change in changes]
        steered_now = self.session.sitting is not None and (
            self.session.sitting.state.pins or self.session.sitting.state.vetoes
        )
        self.changed_section.setVisible(bool(shown))
        self.changes.setText("\n".join(shown))
        self.layers.show_changes(changes if steered_now else ())

    def _told(self, change: DepthChange) -> str:
        grid, model = self.session.grids[change.depth], self.session.model
        label = magnification_label(grid.downsample * self.session.mpp)
        looked = f"looked at +{len(change.gained):,} −{len(change.lost):,}"
        followed = f", followed +{len(change.opened):,} −{len(change.closed):,}"
        if change.depth == len(self.session.grids) - 1:
            followed = ""
        if model is None:
            return label
        first = int(change.after.argmax())
        was, now = float(change.before[first]), float(change.after[first])
        says = f"{model.config.classes[first]} {percent(was)} → {percent(now)}"
        return f"{label}: {says}\n  {looked}{followed}"

    def _offer_depths(self) -> None:
        session = self.session
        labels = [
            magnification_label(grid.downsample * session.mpp)
            for grid in session.grids[: max(len(session.stages) - 1, 0)]
        ]
        if [self.depth.itemText(i) for i in range(self.depth.count())] != labels:
            self.depth.clear()
            self.depth.addItems(labels)

    def _show_second_look(self, look: SecondLook | None) -> None:
        model = self.session.model
        if look is None or model is None:
            show_text(self.answer, "Nothing was cut there: every branch was followed.")
            return
        mpp = self.session.grids[look.depth].downsample * self.session.mpp
        show_text(self.answer, second_look_sentence(look, mpp, classes=model.config.classes))


def _nothing() -> None:
    """For work whose end needs no answer."""
