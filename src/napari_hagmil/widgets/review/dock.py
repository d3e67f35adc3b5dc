"""The review dock: decide on regions, annotate, conclude, export."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout
from superqt.utils import qdebounced

from napari_hagmil.review import Offer
from napari_hagmil.session.sentences import problem_sentence
from napari_hagmil.widgets.desk import REVIEW
from napari_hagmil.widgets.dock import TabbedDock
from napari_hagmil.widgets.focus import focus_canvas
from napari_hagmil.widgets.review.conclusion_tab import ConclusionTab
from napari_hagmil.widgets.review.draw_tab import DrawTab
from napari_hagmil.widgets.review.export_tab import ExportTab
from napari_hagmil.widgets.review.keys import REVIEW_KEYS
from napari_hagmil.widgets.review.queue_tab import QueueTab
from napari_hagmil.widgets.style import WARNING_COLOR, explain, show_text, text_label

#: How often the state of the journal is read, ms: it is written by another thread.
_LOOK = 500

#: How long a message stays, ms.
_STAY = 8000


class ReviewDock(TabbedDock):
    """Where the user reviews what the cascade found.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Given by napari.
    """

    NAME = REVIEW

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer, min_width=320)
        self.canvas = self.desk.canvas
        self.review, self.tools = self.canvas.review, self.canvas.tools
        self.queue, self.draw = QueueTab(self.review), DrawTab(self.review, self.tools)
        self.conclusion, self.export = ConclusionTab(self.review), ExportTab(self.review)
        self._offer: Offer | None = None
        self._offered_for: object = None
        self._lay_out()
        self.queue.edit_asked.connect(self._from_button)
        self.draw.tool_asked.connect(self._from_button)
        self.canvas.split_changed.connect(self._show_state)
        self.review.changed.connect(self._show_state)
        self.review.said.connect(self._say)
        napari_viewer.mouse_drag_callbacks.append(self._on_click)
        self._look = QTimer(self, interval=_LOOK)
        self._look.timeout.connect(self._show_trouble)
        self._look.start()
        self._clear_message = qdebounced(partial(show_text, self.message, ""), timeout=_STAY)
        self._show_state()

    def take_dropped(self, path: Path) -> None:
        """Import the annotations of a GeoJSON file."""
        self.review.import_annotations(path)

    def closeEvent(self, event: Any) -> None:  # noqa: N802
        """Release keys and callbacks; the review itself stays open with the slide."""
        self._look.stop()
        self._clear_message.cancel()
        if self._on_click in self.viewer.mouse_drag_callbacks:
            self.viewer.mouse_drag_callbacks.remove(self._on_click)
            self.review.changed.disconnect(self._show_state)
            self.review.said.disconnect(self._say)
            for tab in self._tabs():
                tab.close_work()
            self.canvas.split_changed.disconnect(self._show_state)
        super().closeEvent(event)

    def _tabs(self) -> tuple[QueueTab, DrawTab, ConclusionTab, ExportTab]:
        return self.queue, self.draw, self.conclusion, self.export

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.setSpacing(4)
        self.banner = text_label(color=WARNING_COLOR, selectable=True)
        self.banner_button = QPushButton()
        self.banner_button.hide()
        self.banner_button.clicked.connect(self._answer_banner)
        row = self._make_buttons()
        titles = ("Regions", "Draw", "Conclude", "Export")
        for tab, title in zip(self._tabs(), titles, strict=True):
            self.tabs.addTab(tab, title)
        self.message = text_label()
        column.addWidget(self.banner)
        column.addWidget(self.banner_button)
        column.addLayout(row)
        column.addWidget(self.tabs, 1)
        column.addWidget(self.message)

    def _make_buttons(self) -> QHBoxLayout:
        self.undo, self.redo = QPushButton("↶ Undo"), QPushButton("↷ Redo")
        self.undo.clicked.connect(self.review.undo)
        self.redo.clicked.connect(self.review.redo)
        self.both = QPushButton("Side by side", checkable=True)
        self.both.setToolTip("The bare slide beside the overlays, moving together (Shift-Y)")
        self.both.clicked.connect(self.canvas.toggle_side_by_side)
        self.keys = QPushButton("Keys")
        self.keys.setToolTip("Show all keys (F1 or ?)")
        self.keys.clicked.connect(self.desk.show_keys)
        row = QHBoxLayout()
        for button, stretch in ((self.undo, 2), (self.redo, 2), (self.both, 2), (self.keys, 1)):
            row.addWidget(button, stretch)
        return row

    def go_to_comment(self) -> None:
        """Put the cursor into the comment on the current region."""
        self.go_to("queue")
        self.queue.focus_comment()

    def _from_button(self, name: str) -> None:
        """Do what a key does; then the hand goes to the canvas, where Enter and Escape work."""
        self.desk.do(REVIEW_KEYS[name])
        focus_canvas(self)

    def _show_state(self) -> None:
        sitting = self.review.sitting
        undo = sitting.undo_name if sitting else ""
        redo = sitting.redo_name if sitting else ""
        self.undo.setEnabled(bool(undo))
        self.redo.setEnabled(bool(redo))
        explain(self.undo, f"Undo: {undo} (Ctrl-Z)" if undo else "Nothing to undo")
        explain(self.redo, f"Redo: {redo} (Ctrl-Shift-Z)" if redo else "Nothing to redo")
        self.both.setChecked(self.canvas.side_by_side.on)
        self._show_trouble()

    def _show_trouble(self) -> None:
        """Show who else reviews the slide, what cannot be saved, and what was reviewed before."""
        sitting = self.review.sitting
        if sitting is not self._offered_for:
            self._offered_for = sitting
            offers = sitting.offers() if sitting else []
            self._offer = offers[0] if offers else None
        if sitting is None:
            self._banner("", "")
        elif sitting.held_by or sitting.lost:
            problem = sitting.held_by or sitting.trouble
            self._banner(problem_sentence(problem) if problem else "", "Review here instead")
        elif sitting.trouble or sitting.notes:
            problems = [sitting.trouble] if sitting.trouble else []
            said = [problem_sentence(one) for one in (*problems, *sitting.notes)]
            self._banner(". ".join(said), "")
        elif self._offer is not None and not sitting.undo_name:
            regions, drawn = len(self._offer.state.regions), len(self._offer.state.annotations)
            self._banner(
                f"This file has changed since it was reviewed on {self._offer.written:%d %B %Y} "
                f"({regions} regions, {drawn} annotations); that review may no longer fit.",
                "Go on with that review",
            )
        else:
            self._banner("", "")

    def _banner(self, words: str, answer: str) -> None:
        if words != self.banner.text():
            show_text(self.banner, words)
        self.banner_button.setText(answer)
        self.banner_button.setVisible(bool(answer))

    def _answer_banner(self) -> None:
        self.review.answer(self._offer)

    def _say(self, words: str) -> None:
        show_text(self.message, words)
        self._clear_message()

    def _on_click(self, viewer: Any, event: Any) -> Any:
        """A click on a region makes it the current one; a drag pans as usual."""
        if self.tools.drawing.active:
            return
        start = tuple(event.position)
        yield
        while event.type == "mouse_move":
            yield
        if tuple(event.position) == start:
            self.review.choose_at(start[-2:])
