"""The slides of a cohort as a model of Qt, and what a filter leaves of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSortFilterProxyModel, Qt

from napari_hagmil.session.cohort.entry import (
    COLUMNS,
    CohortEntry,
    CohortFilter,
    Column,
    in_order,
)
from napari_hagmil.widgets.cohort.thumbnails import SlideThumbnails
from napari_hagmil.widgets.style import plain_tip

#: The columns after that of the picture.
_COLUMNS: tuple[Column, ...] = tuple(COLUMNS)
_NUMBERS = ("probability", "uncertainty", "unseen")
_NOWHERE = QModelIndex()
_Role = Qt.ItemDataRole


class SlideTable(QAbstractTableModel):  # type: ignore[misc]
    """A row per slide: its picture, and a cell per column of `COLUMNS`.

    Attributes
    ----------
    entries : list of CohortEntry
        As they are sorted.
    reader : str
        Whose review is shown.
    """

    def __init__(self, thumbnails: SlideThumbnails) -> None:
        super().__init__()
        self.entries: list[CohortEntry] = []
        self.reader = ""
        self._thumbnails = thumbnails
        self._rows: dict[str, int] = {}
        self._order: tuple[str, ...] = ()
        thumbnails.ready.connect(self._picture_read)

    def show_entries(self, entries: Sequence[CohortEntry]) -> None:
        """Show the slides of another folder, or of the same in its own order."""
        self._order = tuple(one.name for one in entries)
        self._thumbnails.forget_all()
        self._reset(entries)

    def update_entries(self, entries: Sequence[CohortEntry]) -> None:
        """Show what has become known of some slides, each in the row where it is."""
        rows = [self._rows[one.name] for one in entries if one.name in self._rows]
        for entry in entries:
            row = self.row_of(entry.name)
            if row >= 0:
                self.entries[row] = entry
        if rows:
            first, last = self.index(min(rows), 0), self.index(max(rows), len(_COLUMNS))
            self.dataChanged.emit(first, last)

    def row_of(self, name: str) -> int:
        """Where a slide is; −1 where it is not."""
        return self._rows.get(name, -1)

    def sort(self, column: int, order: Any = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; by that of the picture, or none, as in the folder."""
        if column > 0:
            descending = order == Qt.SortOrder.DescendingOrder
            name = _COLUMNS[column - 1]
            self._reset(in_order(self.entries, name, self.reader, descending=descending))
        else:
            places = {name: place for place, name in enumerate(self._order)}
            self._reset(sorted(self.entries, key=lambda one: places[one.name]))

    def rowCount(self, parent: QModelIndex = _NOWHERE) -> int:  # noqa: N802
        """How many slides there are."""
        return 0 if parent.isValid() else len(self.entries)

    def columnCount(self, parent: QModelIndex = _NOWHERE) -> int:  # noqa: N802
        """The picture and the columns."""
        return 0 if parent.isValid() else 1 + len(_COLUMNS)

    def headerData(  # noqa: N802
        self, section: int, orientation: Any, role: int = _Role.DisplayRole
    ) -> Any:
        """The headings, and what is in the columns that need a word more."""
        if orientation != Qt.Orientation.Horizontal or section == 0:
            return None
        if role == _Role.DisplayRole:
            return COLUMNS[_COLUMNS[section - 1]]
        return _HINTS.get(_COLUMNS[section - 1]) if role == _Role.ToolTipRole else None

    def data(self, index: QModelIndex, role: int = _Role.DisplayRole) -> Any:
        """What a cell shows."""
        if not index.isValid():
            return None
        entry = self.entries[index.row()]
        if role == _Role.ToolTipRole:
            return plain_tip(entry.tip())
        if index.column() == 0:
            return self._thumbnails.of(entry) if role == _Role.DecorationRole else None
        column = _COLUMNS[index.column() - 1]
        if role == _Role.DisplayRole:
            return entry.words(column, self.reader)
        if role == _Role.TextAlignmentRole and column in _NUMBERS:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def _reset(self, entries: Sequence[CohortEntry]) -> None:
        self.beginResetModel()
        self.entries = list(entries)
        self._rows = {one.name: row for row, one in enumerate(entries)}
        self.endResetModel()

    def _picture_read(self, name: str) -> None:
        row = self.row_of(name)
        if row >= 0:
            place = self.index(row, 0)
            self.dataChanged.emit(place, place, [_Role.DecorationRole])


_HINTS: dict[Column, str] = {
    "probability": "Of the class that the model finds most likely",
    "uncertainty": "How undecided the model is between its classes: 100 % is no opinion",
    "unseen": "Share of the tissue that was never viewed at the finest depth",
    "review": "How far the reader has come",
    "readers": "Who has reviewed the slide; all: the review that everybody shares",
}


class ShownSlides(QSortFilterProxyModel):  # type: ignore[misc]
    """The slides that pass a filter, in the order of the table.

    A slide that ceases to pass stays until the filter is applied again: rows do not run away from
    the hand that works on them.
    """

    def __init__(self, table: SlideTable) -> None:
        super().__init__()
        self.table, self.wanted = table, CohortFilter()
        self.setDynamicSortFilter(False)
        self.setSourceModel(table)

    def apply(self, wanted: CohortFilter) -> None:
        """Show the slides that pass."""
        self.wanted = wanted
        self.invalidateFilter()

    def entries(self) -> list[CohortEntry]:
        """The slides that are shown, in their order."""
        return [self.entry(row) for row in range(self.rowCount())]

    def entry(self, row: int) -> CohortEntry:
        """The slide of a row that is shown."""
        found = self.mapToSource(self.index(row, 0)).row()
        return self.table.entries[int(found)]

    def row_of(self, name: str) -> int:
        """Where a slide is shown; −1 where it is not."""
        row = self.table.row_of(name)
        return -1 if row < 0 else int(self.mapFromSource(self.table.index(row, 0)).row())

    def filterAcceptsRow(self, row: int, parent: QModelIndex) -> bool:  # noqa: N802
        """Whether a slide passes."""
        return self.wanted.passes(self.table.entries[row])

    def sort(self, column: int, order: Any = Qt.SortOrder.AscendingOrder) -> None:
        """Let the table sort: it knows values where this model would compare texts."""
        self.table.sort(column, order)
