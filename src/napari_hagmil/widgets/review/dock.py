"""The review dock: decide on regions, annotate, conclude, export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout

from napari_hagmil.widgets.desk import REVIEW
from napari_hagmil.widgets.dock import TabbedDock
from napari_hagmil.widgets.focus import focus_canvas
from napari_hagmil.widgets.review.conclusion_tab import ConclusionTab
from napari_hagmil.widgets.review.draw_tab import DrawTab
from napari_hagmil.widgets.review.export_tab import ExportTab
from napari_hagmil.widgets.review.keys import REVIEW_KEYS
from napari_hagmil.widgets.review.queue_tab import QueueTab
from napari_hagmil.widgets.style import explain
from napari_hagmil.widgets.telling.banner import ReviewBanner
from napari_hagmil.widgets.telling.message import Message


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
        self.draw.import_asked.connect(lambda path: self.desk.importer.take(Path(path)))
        self.conclusion, self.export = ConclusionTab(self.review), ExportTab(self.review)
        self._lay_out()
        self.queue.edit_asked.connect(self._from_button)
        self.draw.tool_asked.connect(self._from_button)
        self.canvas.split_changed.connect(self._show_state)
        self.review.changed.connect(self._show_state)
        self.review.said.connect(self.message.say)
        self.review.reset.connect(self.message.clear)
        napari_viewer.mouse_drag_callbacks.append(self._on_click)
        self._show_state()

    def take_dropped(self, path: Path) -> None:
        """Import the annotations of a GeoJSON file."""
        self.desk.importer.take(path)

    def closeEvent(self, event: Any) -> None:  # noqa: N802
        """Release keys and callbacks; the review itself stays open with the slide."""
        self.banner.stop()
        self.message.close_work()
        if self._on_click in self.viewer.mouse_drag_callbacks:
            self.viewer.mouse_drag_callbacks.remove(self._on_click)
            self.review.changed.disconnect(self._show_state)
            self.review.said.disconnect(self.message.say)
            self.review.reset.disconnect(self.message.clear)
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
        row = self._make_buttons()
        titles = ("Regions", "Draw", "Conclude", "Export")
        for tab, title in zip(self._tabs(), titles, strict=True):
            self.tabs.addTab(tab, title)
        self.message = Message()
        self.banner = ReviewBanner(self.review, self.links)
        column.addWidget(self.banner)
        column.addLayout(row)
        column.addWidget(self.tabs, 1)
        column.addWidget(self.message)
        column.addWidget(self.strip)

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

    def _on_click(self, viewer: Any, event: Any) -> Any:
        """A click on a region makes it the current one; a drag pans as usual."""
        if self.tools.active:
            return
        start = tuple(event.position)
        yield
        while event.type == "mouse_move":
            yield
        if tuple(event.position) == start:
            self.review.choose_at(start[-2:])
