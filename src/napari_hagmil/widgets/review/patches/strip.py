"""The patches of the current region, side by side, to be decided one by one."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QIcon, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QListView,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_hagmil.review import Decision, ReviewPatch, ReviewRegion
from napari_hagmil.review.patches import decision_of, outline_of
from napari_hagmil.session import Review
from napari_hagmil.session.numbers import counted
from napari_hagmil.widgets.review.thumbnails import Thumbnails
from napari_hagmil.widgets.style import MARKS, explain, plain_label

#: Side of a picture, px, and how many patches are shown: the highest.
_SIDE, _MOST = 44, 60

_DECIDE: dict[Decision, tuple[str, str]] = {
    "accepted": ("✓", "Accept the marked patches alone (Alt-K: the one under the pointer)"),
    "rejected": ("✗", "Reject the marked patches alone (Alt-J: the one under the pointer)"),
    "unseen": ("↺", "Decide the marked patches with their region again"),
}


class PatchStrip(QWidget):  # type: ignore[misc]
    """Pictures of a region's patches; hidden while there are fewer than two.

    Parameters
    ----------
    review : Review
        Whose current region is shown.
    """

    def __init__(self, review: Review) -> None:
        super().__init__()
        self.review = review
        self.thumbnails = Thumbnails()
        self._patches: tuple[ReviewPatch, ...] = ()
        self.title = plain_label()
        self.list = self._make_list()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        row = QHBoxLayout()
        row.addWidget(self.title, 1)
        self.buttons: dict[Decision, QPushButton] = {}
        for decision, (label, tip) in _DECIDE.items():
            button = self.buttons[decision] = QPushButton(label)
            explain(button, tip)
            button.setAccessibleName(tip)
            button.setFixedWidth(34)
            button.clicked.connect(lambda _=False, d=decision: self._decide(d))
            row.addWidget(button)
        column.addLayout(row)
        column.addWidget(self.list)
        self.thumbnails.ready.connect(self._show_picture)
        self.hide()

    def show_region(self, region: ReviewRegion | None) -> None:
        """Show the patches of a region; None: none."""
        patches = region.patches[:_MOST] if region else ()
        self.setVisible(len(patches) > 1)
        if region is None or len(patches) < 2:
            self._patches = ()
            return
        same = [one.box for one in patches] == [one.box for one in self._patches]
        self._patches = patches
        if not same:
            with signals_blocked(self.list):
                self.list.clear()
                self.list.addItems([""] * len(patches))
            self.show_pictures()
        for index, one in enumerate(patches):
            own = "" if one.decision == "unseen" else MARKS[one.decision]
            self.list.item(index).setText(f"{own}{one.score:.0f}")
            explain(self.list.item(index), _facts(region, one))
        self._show_title(region)

    def show_pictures(self) -> None:
        """Read the pictures of the patches that are shown."""
        pictured = [
            ReviewRegion(str(index), outline_of(one)) for index, one in enumerate(self._patches)
        ]
        self.thumbnails.ask(self.review.session.slide, pictured)

    def close_work(self) -> None:
        """Stop reading pictures."""
        self.thumbnails.close()

    def _show_title(self, region: ReviewRegion) -> None:
        n, own = len(region.patches), sum(one.decision != "unseen" for one in region.patches)
        said = counted(n, "patch")
        if n > _MOST:
            said = f"{_MOST} highest of {n:,} patches"
        self.title.setText(f"{said}, {own} decided alone" if own else said)
        self._enable()

    def _make_list(self) -> QListWidget:
        made = QListWidget()
        made.setViewMode(QListView.ViewMode.IconMode)
        made.setFlow(QListView.Flow.LeftToRight)
        made.setWrapping(False)
        made.setMovement(QListView.Movement.Static)
        made.setIconSize(QSize(_SIDE, _SIDE))
        # Before its picture is read an item would be as small as its text.
        made.setGridSize(QSize(_SIDE + 6, _SIDE + 20))
        made.setSpacing(1)
        made.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        made.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        made.setFixedHeight(_SIDE + 44)
        made.itemSelectionChanged.connect(self._enable)
        made.itemDoubleClicked.connect(self._go_there)
        explain(made, "Click: mark a patch. Ctrl-click: mark several. Double-click: go there.")
        return made

    def _marked(self) -> list[int]:
        return sorted(self.list.row(item) for item in self.list.selectedItems())

    def _enable(self) -> None:
        for button in self.buttons.values():
            button.setEnabled(bool(self.list.selectedItems()))

    def _decide(self, decision: Decision) -> None:
        self.review.decide_patches(self._marked(), decision)

    def _go_there(self, item: QListWidgetItem) -> None:
        self.review.centre_patch(self.list.row(item))

    def _show_picture(self, name: str, picture: QPixmap) -> None:
        item = self.list.item(int(name))
        if item is not None:
            icon = QIcon(picture)
            icon.addPixmap(picture, QIcon.Mode.Selected)
            item.setIcon(icon)


def _facts(region: ReviewRegion, patch: ReviewPatch) -> str:
    how = "with its region" if patch.decision == "unseen" else "by itself"
    return f"Score {patch.score:.1f}, {decision_of(region, patch)} {how}"
