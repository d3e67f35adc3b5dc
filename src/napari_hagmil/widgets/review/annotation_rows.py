"""The annotations as rows of a list, each made when it comes into sight."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, Qt
from qtpy.QtGui import QIcon

from napari_hagmil.review import Annotation, ReviewState, class_named
from napari_hagmil.review.measure import measure_label
from napari_hagmil.widgets.review.class_box import swatch


class AnnotationRows(QAbstractListModel):  # type: ignore[misc]
    """Kind, class, measure and comment of each annotation, in the colour of its class."""

    def __init__(self) -> None:
        super().__init__()
        self._state = ReviewState()
        self._mpp: float | None = None
        self._icons: dict[tuple[int, int, int], QIcon] = {}

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """Those that are listed."""
        return self._state.annotations

    def show(self, state: ReviewState, mpp: float | None) -> bool:
        """List the annotations of a state; False where they, and their classes, are as before.

        `mpp` is µm per level-0 px; None: unknown.
        """
        old = self._state
        same = old.annotations is state.annotations and old.classes == state.classes
        if same and mpp == self._mpp:
            return False
        self.beginResetModel()
        self._state, self._mpp = state, mpp
        self.endResetModel()
        return True

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """How many are listed."""
        return len(self.annotations)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The text or the icon of a row."""
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.DecorationRole):
            return None
        one = self.annotations[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            parts = (one.path_class, measure_label(one, self._mpp), one.comment)
            return " · ".join([one.kind, *(part for part in parts if part)])
        color = class_named(self._state.classes, one.path_class).color
        if color not in self._icons:
            self._icons[color] = swatch(color)
        return self._icons[color]
