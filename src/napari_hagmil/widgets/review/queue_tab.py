"""The queue of regions: filters, thumbnails, decisions."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_hagmil.plugin.review_layers import DECISION_COLORS
from napari_hagmil.review import ReviewRegion
from napari_hagmil.review.measure import area_label, region_area_um2
from napari_hagmil.review.queue import DECISIONS, Filter, tally
from napari_hagmil.session import Review
from napari_hagmil.session.numbers import counted
from napari_hagmil.widgets.preferences import preference, set_preference
from napari_hagmil.widgets.review.class_box import ClassBox
from napari_hagmil.widgets.review.patches.strip import PatchStrip
from napari_hagmil.widgets.review.thumbnails import SIDE, Thumbnails
from napari_hagmil.widgets.style import MARKS, QUIET_COLOR, explain, plain_label, text_label

_ORDERS = {"By score": "score", "By size": "size", "By place": "place"}
_EMPTY = "Run the cascade in the HAG-MIL dock: the regions of high attention come here."
_FILTERED = "No region passes the filters."


class QueueTab(QWidget):  # type: ignore[misc]
    """Shows the queue, and calls the review for each click.

    Parameters
    ----------
    review : Review
        Whose regions are shown.

    Signals
    -------
    edit_asked : str
        "merge", "split", "redraw" or "remove" the current region.
    """

    edit_asked = Signal(str)

    def __init__(self, review: Review) -> None:
        super().__init__()
        self.review = review
        self.thumbnails = Thumbnails()
        self._ids: list[str] = []
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.setSpacing(4)
        column.addLayout(self._make_filters())
        column.addWidget(self._make_list(), 1)
        self.patches = PatchStrip(review)
        column.addWidget(self.patches)
        self.facts = text_label(color=QUIET_COLOR)
        column.addWidget(self.facts)
        column.addLayout(self._make_words())
        column.addLayout(self._make_decisions())
        column.addLayout(self._make_edits())
        column.addLayout(self._make_find())
        self.thumbnails.ready.connect(self._show_thumbnail)
        review.changed.connect(self.show_state)
        review.session.colors_changed.connect(self._show_pictures)
        self.show_state()

    def show_state(self) -> None:
        """Show the state of the review."""
        state, queue = self.review.state, self.review.queue()
        for decision, number in tally(state.regions).items():
            self.decisions[decision].setText(f"{MARKS[decision]} {number} {decision}")
        self.class_filter.show_classes(state.classes, self.review.wanted.path_class)
        self._show_rows(queue)
        self.empty.setText("" if queue else _FILTERED if state.regions else _EMPTY)
        self.empty.setVisible(not queue)
        self._show_region(self.review.region())
        self.find.setEnabled(self.review.session.shown.complete)

    def close_work(self) -> None:
        """Stop listening to the review and reading thumbnails."""
        self.review.changed.disconnect(self.show_state)
        self.review.session.colors_changed.disconnect(self._show_pictures)
        self.thumbnails.close()
        self.patches.close_work()

    def _show_pictures(self, _colors: str) -> None:
        """Read all pictures again: the slide is shown in other colours."""
        self.thumbnails.ask(self.review.session.slide, self.review.queue())
        self.patches.show_pictures()

    def focus_comment(self) -> None:
        """Put the cursor into the comment."""
        self.comment.setFocus()
        self.comment.selectAll()

    def _make_filters(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(4)
        self.decisions: dict[str, QPushButton] = {}
        for i, decision in enumerate(DECISIONS):
            button = QPushButton(checkable=True, checked=True)
            explain(button, f"Show regions that are {decision}")
            color = DECISION_COLORS[decision]
            # With the focus, the frame that every control has then.
            button.setStyleSheet(f"QPushButton:checked:!focus {{ border: 2px solid {color}; }}")
            button.toggled.connect(self._filter)
            self.decisions[decision] = button
            grid.addWidget(button, 0, i)
        for i, row in enumerate(self._make_limits(), start=1):
            grid.addLayout(row, i, 0, 1, 3)
        return grid

    def _make_limits(self) -> tuple[QHBoxLayout, QHBoxLayout]:
        """Lower limits of score and area; class and order."""
        self.score = QSpinBox(minimum=0, maximum=100, prefix="Score ≥ ")
        self.area = QDoubleSpinBox(
            minimum=0, maximum=999, decimals=3, singleStep=0.01, prefix="≥ ", suffix=" mm²"
        )
        self.class_filter = ClassBox(none="Any class", can_create=False)
        self.order = QComboBox()
        explain(self.order, "Highest score first, largest first, or top to bottom")
        for label, order in _ORDERS.items():
            self.order.addItem(label, order)
        limits, kinds = QHBoxLayout(), QHBoxLayout()
        for widget in (self.score, self.area):
            widget.valueChanged.connect(self._filter)
            limits.addWidget(widget, 1)
        kinds.addWidget(self.class_filter, 1)
        kinds.addWidget(self.order, 1)
        self.class_filter.picked.connect(self._filter)
        self.order.activated.connect(self._filter)
        return limits, kinds

    def _make_list(self) -> QWidget:
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        self.list = QListWidget()
        self.list.setIconSize(QSize(SIDE, SIDE))
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.setUniformItemSizes(True)
        self.list.setMinimumHeight(130)
        self.list.setToolTip(
            "Click: choose a region. Double-click: go there. Ctrl-click: select several."
        )
        self.empty = text_label(_EMPTY, color=QUIET_COLOR)
        column.addWidget(self.empty)
        column.addWidget(self.list, 1)
        self.list.itemSelectionChanged.connect(self._choose)
        self.list.itemDoubleClicked.connect(
            lambda item: self.review.choose(item.data(Qt.ItemDataRole.UserRole), centre=True)
        )
        return holder

    def _make_words(self) -> QHBoxLayout:
        self.path_class, self.comment = ClassBox(), QLineEdit()
        self.path_class.setToolTip("Class of the region (Ctrl-1 … Ctrl-9, Ctrl-0 for none)")
        self.comment.setPlaceholderText("Comment (Shift-C)")
        row = QHBoxLayout()
        row.addWidget(self.path_class, 2)
        row.addWidget(self.comment, 3)
        self.path_class.picked.connect(self.review.reclassify)
        self.path_class.created.connect(self._create_class)
        self.comment.textEdited.connect(self.review.comment)
        return row

    def _make_decisions(self) -> QHBoxLayout:
        self.accept, self.reject = QPushButton("✓ Accept (K)"), QPushButton("✗ Reject (J)")
        self.previous, self.next = QPushButton("‹"), QPushButton("›")
        self.previous.setToolTip("Previous region (Shift-N)")
        self.next.setToolTip("Next region (N)")
        self.accept.clicked.connect(lambda: self.review.decide("accepted"))
        self.reject.clicked.connect(lambda: self.review.decide("rejected"))
        self.previous.clicked.connect(lambda: self.review.step(-1))
        self.next.clicked.connect(lambda: self.review.step(1))
        row = QHBoxLayout()
        for widget, stretch in (
            (self.previous, 1),
            (self.accept, 4),
            (self.reject, 4),
            (self.next, 1),
        ):
            widget.setMinimumHeight(30)
            row.addWidget(widget, stretch)
        return row

    def _make_edits(self) -> QHBoxLayout:
        self.edits: dict[str, QPushButton] = {}
        row = QHBoxLayout()
        for name, label, tip in (
            ("merge", "Merge", "Join the marked regions, or this one with the nearest (Shift-M)"),
            ("split", "Split", "Cut it along a line that you draw (Shift-S)"),
            ("redraw", "Redraw", "Draw its outline again (Shift-R)"),
            ("remove", "Remove", "Take it out of the review (Shift-D)"),
        ):
            button = QPushButton(label)
            explain(button, tip)
            button.clicked.connect(lambda _=False, name=name: self.edit_asked.emit(name))
            row.addWidget(button)
            self.edits[name] = button
        return row

    def _make_find(self) -> QHBoxLayout:
        self.share = QSpinBox(minimum=1, maximum=100, suffix=" %")
        self.share.setValue(preference("review", "region_share", 25))
        self.share.setToolTip("How much of what was looked at, at the finest depth, is drawn")
        self.find = QPushButton("Find again")
        self.find.setToolTip("Replaces what has no decision yet; what you have dealt with stays")
        self.share.valueChanged.connect(
            lambda value: set_preference("review", "region_share", value)
        )
        self.find.clicked.connect(self.review.find)
        row = QHBoxLayout()
        row.addWidget(plain_label("Highest"))
        row.addWidget(self.share)
        row.addWidget(self.find, 1)
        return row

    def _filter(self, *_: object) -> None:
        self.review.wanted = Filter(
            min_score=self.score.value(),
            min_area_um2=self.area.value() * 1e6,
            path_class=self.class_filter.currentData() or None,
            decisions=tuple(d for d in DECISIONS if self.decisions[d].isChecked()),
            order=self.order.currentData(),
        )
        self.show_state()

    def _create_class(self, name: str, color: tuple[int, int, int]) -> None:
        self.review.add_class(name, color)
        self.review.reclassify(name)

    def _choose(self) -> None:
        ids = tuple(i.data(Qt.ItemDataRole.UserRole) for i in self.list.selectedItems())
        self.review.chosen = ids
        if ids and self.review.current not in ids:
            self.review.choose(ids[-1])

    def _show_rows(self, queue: list[ReviewRegion]) -> None:
        ids = [one.id for one in queue]
        selected = {self.review.current, *self.review.chosen}
        with signals_blocked(self.list):
            if ids != self._ids:
                self._ids = ids
                self.list.clear()
                self.list.addItems([""] * len(queue))
            for row, region in enumerate(queue):
                self._show_row(self.list.item(row), region)
                self.list.item(row).setSelected(region.id in selected)
            if self.review.current in ids:
                self.list.scrollToItem(self.list.item(ids.index(self.review.current)))
        self.thumbnails.ask(self.review.session.slide, queue)

    def _show_row(self, item: QListWidgetItem, region: ReviewRegion) -> None:
        score = "drawn by hand" if region.score is None else f"score {region.score:.0f}"
        area = area_label(region_area_um2(region, self.review.mpp))
        said = [word for word in (region.path_class, region.comment) if word]
        below = " · ".join([area, *(said or [region.decision])])
        item.setText(f"{MARKS[region.decision]}  {score}{_patches(region)}\n{below}")
        item.setData(Qt.ItemDataRole.UserRole, region.id)

    def _show_thumbnail(self, region_id: str, picture: QPixmap) -> None:
        if region_id in self._ids:
            icon = QIcon(picture)
            # Qt tints the icon of a selected row unless it has one for that mode.
            icon.addPixmap(picture, QIcon.Mode.Selected)
            self.list.item(self._ids.index(region_id)).setIcon(icon)

    def _show_region(self, region: ReviewRegion | None) -> None:
        for widget in (self.accept, self.reject, self.path_class, self.comment):
            widget.setEnabled(region is not None)
        for button in self.edits.values():
            button.setEnabled(region is not None)
        for button in (self.previous, self.next):
            button.setEnabled(bool(self._ids))
        self.path_class.show_classes(
            self.review.state.classes, region.path_class if region else None
        )
        # Setting the same text again would move the cursor of somebody who is typing.
        if region is None or self.comment.text() != region.comment:
            self.comment.setText(region.comment if region else "")
        self.patches.show_region(region)
        self.facts.setText(self._facts(region) if region else "")
        self.facts.setVisible(region is not None)

    def _facts(self, region: ReviewRegion) -> str:
        at, n = self.review.place()
        place = f"{at} of {n}" if at else "not in the queue"
        return " · ".join([place, region.decision, f"found by {region.provenance}"])


def _patches(region: ReviewRegion) -> str:
    """How many patches a card holds, and how many of them were decided alone."""
    if not region.patches:
        return ""
    own = sum(one.decision != "unseen" for one in region.patches)
    return f" · {counted(len(region.patches), 'patch')}" + (f" ({own} alone)" if own else "")
