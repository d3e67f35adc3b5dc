"""The table on the screen."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QModelIndex, QSize, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QTableView

from napari_hagmil.widgets.cohort.table import ShownSlides
from napari_hagmil.widgets.cohort.thumbnails import HEIGHT, WIDTH

#: Widths of the columns to begin with, px.
_WIDTHS = (WIDTH + 6, 110, 138, 74, 84, 90, 98, 85, 116, 50)

#: Narrow enough to stand beside a heading, and not across its last letters.
_ARROW = "QHeaderView::up-arrow, QHeaderView::down-arrow { width: 9px; height: 9px; }"

#: Rows that are seen however small the dock is, the heading among them.
_ROWS = 3


class SlideView(QTableView):  # type: ignore[misc]
    """Rows of one height, so that only those on the screen are asked for.

    Signals
    -------
    chosen : str
        A slide's name: of the row that was double-clicked, or on which Enter was pressed.
    """

    chosen = Signal(str)

    def __init__(self, shown: ShownSlides) -> None:
        super().__init__()
        self._shown = shown
        self.setModel(shown)
        self.setIconSize(QSize(WIDTH, HEIGHT))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setTabKeyNavigation(False)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(HEIGHT + 6)
        self.setMinimumHeight(_ROWS * (HEIGHT + 6))
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setStyleSheet(_ARROW)
        header.setStretchLastSection(True)
        header.setSortIndicatorClearable(True)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.setSortingEnabled(True)
        for column, width in enumerate(_WIDTHS):
            self.setColumnWidth(column, width)
        self.doubleClicked.connect(self._choose)

    def sort_again(self) -> None:
        """Bring the rows into the order of the header; the current one stays current."""
        name = self.current_name()
        header = self.horizontalHeader()
        self.sortByColumn(header.sortIndicatorSection(), header.sortIndicatorOrder())
        self.show_current(name)

    def current_name(self) -> str:
        """The slide of the current row; empty where there is none."""
        index = self.currentIndex()
        return self._shown.entry(index.row()).name if index.isValid() else ""

    def show_current(self, name: str) -> None:
        """Make a slide's row the current one, and bring it into view."""
        row = self._shown.row_of(name)
        if row < 0:
            self.clearSelection()
            self.setCurrentIndex(QModelIndex())
            return
        index = self._shown.index(row, 1)
        self.setCurrentIndex(index)
        self.scrollTo(index)

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802
        """Open the slide of the current row on Enter."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._choose(self.currentIndex())
        else:
            super().keyPressEvent(event)

    def _choose(self, index: QModelIndex) -> None:
        if index.isValid():
            self.chosen.emit(self._shown.entry(index.row()).name)
