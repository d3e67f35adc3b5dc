"""A combo box of classes, by name and colour."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import QColorDialog, QComboBox, QInputDialog

from napari_hagmil.review import PathClass

_NONE = "No class"
_NEW = "New class…"


class ClassBox(QComboBox):  # type: ignore[misc]
    """Offers the classes, "no class", and "new class" where one can be made.

    Signals
    -------
    picked : str
        Name of the class that the user chose; empty for none.
    created : str, tuple of int
        A new class with its colour.
    """

    picked = Signal(str)
    created = Signal(str, tuple)

    def __init__(self, *, none: str = _NONE, can_create: bool = True) -> None:
        super().__init__()
        self._none, self._can_create = none, can_create
        self._shown: tuple[PathClass, ...] = ()
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        self.activated.connect(self._choose)
        self.show_classes(())

    def show_classes(self, classes: Sequence[PathClass], chosen: str | None = None) -> None:
        """Offer these classes, and the chosen one even when it is not among them."""
        extra = [] if not chosen or chosen in {c.name for c in classes} else [chosen]
        wanted = (*classes, *(PathClass(name, (128, 128, 128)) for name in extra))
        if wanted != self._shown or not self.count():
            self._shown = wanted
            self.clear()
            self.addItem(self._none, "")
            for one in wanted:
                self.addItem(swatch(one.color), one.name, one.name)
            if self._can_create:
                self.addItem(_NEW, None)
        self.setCurrentIndex(max(self.findData(chosen or ""), 0))

    def _choose(self, index: int) -> None:
        name = self.itemData(index)
        if name is not None:
            self.picked.emit(str(name))
            return
        self.setCurrentIndex(0)
        typed, accepted = QInputDialog.getText(self, "New class", "Name of the class")
        if accepted and typed.strip():
            color = QColorDialog.getColor(QColor(0, 114, 178), self, f"Colour of {typed}")
            if color.isValid():
                self.created.emit(typed.strip(), (color.red(), color.green(), color.blue()))


def swatch(color: tuple[int, int, int], side: int = 12) -> QIcon:
    """A square of a colour, with a light edge that shows on a dark background."""
    picture = QPixmap(side, side)
    picture.fill(QColor(*color))
    painter = QPainter(picture)
    painter.setPen(QColor(220, 220, 220))
    painter.drawRect(0, 0, side - 1, side - 1)
    painter.end()
    return QIcon(picture)
