"""What stands above and below the cohort's table: search and filters, reader and buttons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QWidget,
)
from superqt import QElidingLabel
from superqt.utils import signals_blocked

from napari_hagmil.review.readers import LONGEST, tidy_reader
from napari_hagmil.session.cohort.entry import CohortEntry, CohortFilter
from napari_hagmil.widgets.style import plain_label

_STAGES = ("not begun", "undecided", "finished")


class CohortBar(QWidget):  # type: ignore[misc]
    """Chooses what the table shows, and asks for what is done with it.

    Attributes
    ----------
    foot : QWidget
        To stand below the table.
    status : QLabel
        How the cohort stands, in the foot.

    Signals
    -------
    folder_chosen : str
        A folder to open.
    search_chosen : str
        A folder in which slides that were moved are to be looked for.
    filter_changed
        `wanted` is another.
    reader_chosen : str
        Whose reviews are to be shown and written.
    refresh_asked, next_asked, export_asked, compare_asked
        Their buttons were pressed.
    """

    folder_chosen = Signal(str)
    search_chosen = Signal(str)
    filter_changed = Signal()
    reader_chosen = Signal(str)
    refresh_asked = Signal()
    next_asked = Signal()
    export_asked = Signal()
    compare_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._reader = ""
        self.foot, self.status = QWidget(), QElidingLabel()
        self.status.setTextFormat(Qt.TextFormat.PlainText)
        self.status.setMinimumWidth(0)
        self.status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.search = QLineEdit(placeholderText="Search")
        self.search.setClearButtonEnabled(True)
        self.search.setToolTip("Part of a name, patient, class, state, reason or reader")
        self.state, self.called, self.review = (_narrow_box() for _ in range(3))
        self.reader = _narrow_box()
        self.reader.setEditable(True)
        self._make_buttons()
        self._make_reader()
        self._lay_out()
        self.show_choices((), "")
        self.search.textChanged.connect(self.filter_changed)
        for box in (self.state, self.called, self.review):
            box.activated.connect(self.filter_changed)

    def wanted(self) -> CohortFilter:
        """Which slides are to be shown."""
        return CohortFilter(
            self.search.text(),
            self.state.currentData(),
            self.called.currentData(),
            self.review.currentData(),
            self._reader,
        )

    def show_choices(self, entries: Sequence[CohortEntry], reader: str) -> None:
        """Offer the states, classes and readers that occur; what is chosen stays chosen."""
        self._reader = reader
        _offer(self.state, "Any state", {one.state for one in entries if one.state})
        _offer(self.called, "Any class", {one.called for one in entries if one.called})
        _offer(self.review, "Any review", _STAGES)
        names = {name for one in entries for name in one.reviews if name} | {reader}
        with signals_blocked(self.reader):
            self.reader.clear()
            self.reader.addItems(["", *sorted(names - {""}, key=str.casefold)])
            self.reader.setCurrentText(reader)
        has_slides = bool(entries)
        for widget in (self.refresh, self.next, self.export):
            widget.setEnabled(has_slides)
        self.find.setVisible(any(one.is_moved for one in entries))
        self.offer_comparison(entries)

    def offer_comparison(self, entries: Sequence[CohortEntry]) -> None:
        """Offer to compare readers where a slide has reviews of two."""
        self.compare.setVisible(any(len(one.reviews) > 1 for one in entries))

    def _make_buttons(self) -> None:
        self.open_button, self.refresh = QPushButton("Open folder…"), QPushButton("Refresh")
        self.open_button.setToolTip("The folder of a batch, or any folder with slides")
        self.refresh.setToolTip("Read again what is stored; a run under way is read by itself")
        self.find = QPushButton("Find slides…")
        self.find.setToolTip("Look for slides that were moved, by their files' names")
        self.next, self.export = QPushButton("Next undecided"), QPushButton("Export…")
        self.next.setToolTip("Open the next slide that you have not finished (Page Down)")
        self.export.setToolTip("All reviews of all slides and readers as one table (CSV)")
        self.compare = QPushButton("Compare readers…")
        self.compare.setToolTip(
            "Agreement of those who have finished the same slides, what one found and another not, "
            "and what most of them found"
        )
        self.compare.clicked.connect(self.compare_asked)
        self.open_button.clicked.connect(
            lambda: self._ask_folder("Open a cohort", self.folder_chosen)
        )
        self.find.clicked.connect(
            lambda: self._ask_folder("Where are the slides now?", self.search_chosen)
        )
        self.refresh.clicked.connect(self.refresh_asked)
        self.next.clicked.connect(self.next_asked)
        self.export.clicked.connect(self.export_asked)

    def _make_reader(self) -> None:
        field = self.reader.lineEdit()
        field.setPlaceholderText("everybody")
        field.setMaxLength(LONGEST)
        self.reader.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.reader.setToolTip(
            "Whose reviews: each name has its own, and without a name there is one for everybody"
        )
        self.reader.activated.connect(self._choose_reader)
        field.editingFinished.connect(self._choose_reader)

    def _lay_out(self) -> None:
        row = QHBoxLayout(self)
        foot = QHBoxLayout(self.foot)
        for layout in (row, foot):
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setSpacing(4)
        row.addWidget(self.open_button)
        row.addWidget(self.search, 1)
        for box in (self.state, self.called, self.review):
            row.addWidget(box)
        foot.addWidget(self.status, 1)
        foot.addWidget(plain_label("Reader"))
        foot.addWidget(self.reader)
        for button in (self.find, self.refresh, self.compare, self.export, self.next):
            foot.addWidget(button)

    def _choose_reader(self, *_: object) -> None:
        name = tidy_reader(self.reader.currentText())
        if name != self._reader:
            self._reader = name
            self.reader_chosen.emit(name)

    def _ask_folder(self, title: str, chosen: Signal) -> None:
        folder = QFileDialog.getExistingDirectory(self, title, str(Path.home()))
        if folder:
            chosen.emit(folder)


def _narrow_box() -> QComboBox:
    box = QComboBox()
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(9)
    return box


def _offer(box: QComboBox, all_of_them: str, names: Iterable[str]) -> None:
    chosen = box.currentData()
    with signals_blocked(box):
        box.clear()
        box.addItem(all_of_them, None)
        for name in names if isinstance(names, tuple) else sorted(names):
            box.addItem(name.replace("_", " "), name)
        box.setCurrentIndex(max(box.findData(chosen), 0))
