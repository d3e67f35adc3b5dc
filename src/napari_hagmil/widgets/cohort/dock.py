"""The cohort dock: a table of slides, from which they are opened one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from napari.settings import get_settings
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QFileDialog, QMainWindow, QVBoxLayout

from napari_hagmil.review.progress import progress_of
from napari_hagmil.session import error_sentence
from napari_hagmil.session.cohort.compared import (
    Comparison,
    compare_cohort,
    comparison_sentence,
    write_comparison,
)
from napari_hagmil.session.cohort.decisions import DecisionCount, nameless, write_decisions
from napari_hagmil.session.cohort.entry import CohortEntry, next_undecided
from napari_hagmil.session.cohort.folder import CohortFolder
from napari_hagmil.session.cohort.words import cohort_sentence, written_sentence
from napari_hagmil.widgets.asking import may_replace
from napari_hagmil.widgets.cohort.bar import CohortBar
from napari_hagmil.widgets.cohort.folder_reader import FolderReader
from napari_hagmil.widgets.cohort.keys import COHORT_KEYS
from napari_hagmil.widgets.cohort.opening import SlideOpening
from napari_hagmil.widgets.cohort.table import ShownSlides, SlideTable
from napari_hagmil.widgets.cohort.thumbnails import SlideThumbnails
from napari_hagmil.widgets.cohort.view import SlideView
from napari_hagmil.widgets.desk import COHORT
from napari_hagmil.widgets.dock import Dock
from napari_hagmil.widgets.preferences import reviewer_name, set_preference, uses_pseudonyms
from napari_hagmil.widgets.style import ERROR_COLOR, explain, show_text, text_label
from napari_hagmil.widgets.work import Background

#: As napari names the dock, and where it stands until the user moves it: a table is wide.
_NAME, _AREA = "HAG-MIL cohort (napari-hagmil)", "bottom"

_EMPTY = "Open the folder of a batch, or any folder with slides: they come here, one a row."
_FILTERED = "No slide passes the search and the filters."
_ALL_DONE = "Every slide of the table is finished, or cannot be opened."


class CohortDock(Dock):
    """Shows the slides of a run or a folder, opens them, and exports what was decided on them.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Given by napari.
    """

    NAME = COHORT

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer, min_width=520)
        _stand_below()
        self.session = self.desk.review.session
        self.thumbnails = SlideThumbnails()
        self.table = SlideTable(self.thumbnails)
        self.shown = ShownSlides(self.table)
        self.bar, self.view = CohortBar(), SlideView(self.shown)
        self.reader = FolderReader()
        self.opening = SlideOpening(napari_viewer, self.session)
        self._export = Background()
        self._lay_out()
        self._connect()
        self.bind_keys(
            {
                COHORT_KEYS["next_slide"]: self.open_next,
                COHORT_KEYS["slide_before"]: self.opening.open_before,
                COHORT_KEYS["table"]: self.go_to,
            }
        )
        self._show_reader()
        self._show_state()

    def open(self, path: str | Path) -> None:
        """Open the folder of a batch, or one with slides."""
        self._say("", error=False)
        self.show_status(f"Reading {Path(path).name}…")
        self.reader.open(Path(path))

    def open_slide(self, name: str) -> None:
        """Open a slide with its stored result and its review; nothing is run."""
        entry = self._entry(name)
        if entry is not None and self.reader.folder is not None:
            self._say(self.opening.open(entry, self.reader.folder.mpp), error=True)

    def open_next(self) -> None:
        """Open the next slide that the reader has not finished."""
        entry = self._next()
        if entry is not None:
            self.open_slide(entry.name)
        elif self.table.entries:
            self._say(_ALL_DONE, error=False)

    def write(self, path: Path) -> None:
        """Write the decisions of all readers on all slides; the end, or why not, is shown."""
        self._flush()
        entries, signs = list(self.table.entries), reviewer_name()
        named = nameless if uses_pseudonyms() else list

        def work() -> Iterator[DecisionCount]:
            yield write_decisions(path, named(entries), signs)

        self._write(work, lambda count: written_sentence(count, path.name))

    def compare_readers(self, folder: Path) -> None:
        """Write how far readers agree into a new folder; the sum of it, or why not, is shown."""
        entries = list(self.table.entries)
        named = nameless if uses_pseudonyms() else list

        def work() -> Iterator[Comparison]:
            found = compare_cohort(named(entries))
            if found.pairs:
                write_comparison(folder, found, named(entries))
            yield found

        self._flush()
        self._write(work, comparison_sentence)

    def _write(self, work: Callable[[], Iterator[Any]], said: Callable[[Any], str]) -> None:
        """Write files in the background, then say what is in them."""
        self._export.when_free(
            lambda: self._export.start(
                work,
                on_item=lambda found: self._say(said(found), error=False),
                on_done=lambda: None,
                on_cancelled=lambda: None,
                on_error=lambda error: self._say(error_sentence(error), error=True),
            )
        )

    def _flush(self) -> None:
        """Put on disk what was decided a moment ago on the open slide."""
        sitting = self.session.sitting
        if sitting is not None and sitting.journal is not None:
            sitting.journal.flush()

    def take_dropped(self, path: Path) -> None:
        """Open a folder."""
        self.open(path)

    def showEvent(self, event: Any) -> None:  # noqa: N802
        """Let the docks beside the slide keep their height: this one stands below the slide."""
        window = self.window()
        if isinstance(window, QMainWindow):
            window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
        super().showEvent(event)

    def show_status(self, sentence: str) -> None:
        """Show how the cohort stands."""
        self.status.setText(sentence)
        explain(self.status, sentence)

    def closeEvent(self, event: Any) -> None:  # noqa: N802
        """Stop reading; slide and review stay open."""
        self.reader.close()
        self.opening.close()
        self.thumbnails.close()
        self._export.wait()
        super().closeEvent(event)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.setSpacing(4)
        self.empty = text_label(_EMPTY)
        self.message = text_label(selectable=True)
        self.error = text_label(color=ERROR_COLOR, selectable=True)
        self.status = self.bar.status
        for widget in (self.bar, self.error, self.message, self.empty):
            column.addWidget(widget)
        column.addWidget(self.view, 1)
        column.addWidget(self.bar.foot)

    def _connect(self) -> None:
        bar, reader = self.bar, self.reader
        bar.folder_chosen.connect(self.open)
        bar.search_chosen.connect(lambda place: reader.find_in(Path(place)))
        bar.filter_changed.connect(self._filter)
        bar.reader_chosen.connect(self._read_as)
        bar.refresh_asked.connect(reader.refresh)
        bar.next_asked.connect(self.open_next)
        bar.export_asked.connect(self._ask_export)
        bar.compare_asked.connect(self._ask_comparison)
        reader.opened.connect(self._show_folder)
        reader.read.connect(self._take)
        reader.ended.connect(self._read_all)
        reader.failed.connect(self._failed)
        self.view.chosen.connect(self.open_slide)
        self.opening.arrived.connect(self._follow)
        self.opening.refused.connect(lambda sentence: self._say(sentence, error=True))
        self.links.connect(self.session.review_changed, self._review_changed)
        self.links.connect(self.desk.review.finished, self.open_next)

    def _show_folder(self, folder: CohortFolder) -> None:
        self.table.show_entries(folder.entries())
        self._show_state()

    def _take(self, entries: list[CohortEntry]) -> None:
        self.table.update_entries(entries)

    def _read_all(self) -> None:
        """Everything is read: sort and filter by it, and go on looking while a run works."""
        self._review_changed()
        self._filter()
        self.view.sort_again()
        self.view.show_current(self.opening.at)
        self._name_place()
        self._show_state()
        working = any(one.state in ("waiting", "running") for one in self.table.entries)
        self.reader.watch(on=working)

    def _failed(self, sentence: str) -> None:
        self._say(sentence, error=True)
        self._show_state()

    def _show_state(self) -> None:
        entries = self.table.entries
        self.bar.show_choices(entries, self.session.reader)
        self.show_status(cohort_sentence(entries, self.session.reader) if entries else "")
        self._show_empty()

    def _show_empty(self) -> None:
        sentence = "" if self.shown.rowCount() else _FILTERED if self.table.entries else _EMPTY
        show_text(self.empty, sentence)

    def _filter(self) -> None:
        name = self.view.current_name()
        self.shown.apply(self.bar.wanted())
        self.view.show_current(name)
        self._name_place()
        self._show_empty()

    def _say(self, sentence: str, *, error: bool) -> None:
        show_text(self.error, sentence if error else "")
        show_text(self.message, "" if error else sentence)

    def _entry(self, name: str) -> CohortEntry | None:
        row = self.table.row_of(name)
        return self.table.entries[row] if row >= 0 else None

    def _next(self) -> CohortEntry | None:
        return next_undecided(self.shown.entries(), self.opening.at, self.session.reader)

    def _follow(self, path: str) -> None:
        """A slide is open: show its row, and open the next one ahead."""
        names = [one.name for one in self.table.entries if str(one.path) == path]
        self.opening.at = names[0] if names else ""
        self._name_place()
        self.view.show_current(self.opening.at)
        self._review_changed()
        following = self._next()
        if names and following is not None and self.reader.folder is not None:
            self.opening.open_ahead(following, self.reader.folder.mpp)

    def _name_place(self) -> None:
        """Say in the window's title where the open slide stands in the table as it is shown."""
        names = [one.name for one in self.shown.entries()]
        at = names.index(self.opening.at) + 1 if self.opening.at in names else 0
        if self.desk.layout is not None:
            self.desk.layout.name_place(f"slide {at} of {len(names)}" if at else "")

    def _review_changed(self, *_: object) -> None:
        """Show how far the review of the open slide has come; its journal may be behind."""
        entry, sitting = self._entry(self.opening.at), self.session.sitting
        if entry is None or sitting is None:
            return
        progress = progress_of(sitting.state)
        others = {k: v for k, v in entry.reviews.items() if k != self.session.reader}
        own = {} if progress.stage == "not begun" else {self.session.reader: progress}
        self.table.update_entries([replace(entry, reviews=others | own)])
        self.bar.offer_comparison(self.table.entries)
        self.show_status(cohort_sentence(self.table.entries, self.session.reader))

    def _read_as(self, name: str) -> None:
        """Show and write the reviews of another reader; the open slide is opened as theirs."""
        before, self.session.reader = self.session.reader, name
        if self.session.slide is not None and not self.opening.open_again():
            self.session.reader = before
        else:
            set_preference("review", "reader", name)
        self._show_reader()
        self._filter()
        self._show_state()

    def _show_reader(self) -> None:
        self.table.reader = self.session.reader
        self.bar.show_choices(self.table.entries, self.session.reader)

    def go_to(self, tab: str = "") -> None:
        """Bring the table to the front."""
        parent = self.parentWidget()
        while parent is not None and not isinstance(parent, QDockWidget):
            parent = parent.parentWidget()
        if parent is not None:
            parent.show()
            parent.raise_()
        self.view.setFocus()

    def _ask_export(self) -> None:
        folder = self.reader.folder
        if folder is None:
            return
        path, option = str(folder.root / "decisions.csv"), QFileDialog.Option.DontConfirmOverwrite
        while True:
            path, _ = QFileDialog.getSaveFileName(self, "Export decisions", path, options=option)
            if not path:
                return
            chosen = Path(path).with_suffix(".csv")
            if may_replace(self, [chosen]):
                self.write(chosen)
                return

    def _ask_comparison(self) -> None:
        if self.reader.folder is not None:
            proposed = str(self.reader.folder.root / "agreement")
            path, _ = QFileDialog.getSaveFileName(self, "Compare readers: a new folder", proposed)
            if path:
                self.compare_readers(Path(path))


def _stand_below() -> None:
    """Let napari open the dock below the slide, until the user has moved it."""
    settings = get_settings().application
    if _NAME not in settings.plugin_widget_positions:
        settings.plugin_widget_positions = {**settings.plugin_widget_positions, _NAME: _AREA}
