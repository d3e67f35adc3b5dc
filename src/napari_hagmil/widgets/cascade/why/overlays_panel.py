"""The layers over the slide: one check box per kind."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout
from superqt.utils import signals_blocked

from napari_hagmil.widgets.style import Section, explain

_KINDS = {
    "attention": ("Attention", "Attention percentile at each depth; no colour: not looked at"),
    "branches": ("Branches", "Coloured: followed, nested by depth. Grey: cut here (Shift-H)"),
    "unseen": ("Never seen at high power", "Dims tissue that high power has not seen (Shift-U)"),
    "unread": ("Unread", "Crosses where the file could not be read"),
}


class OverlaysPanel(Section):
    """Boxes for the overlays.

    Signals
    -------
    toggled : str, bool
        A kind is to be shown or hidden.
    """

    toggled = Signal(str, bool)

    def __init__(self) -> None:
        super().__init__("On the slide (H)")
        self.boxes: dict[str, QCheckBox] = {}
        grid = QGridLayout()
        for i, (kind, (label, tip)) in enumerate(_KINDS.items()):
            box = QCheckBox(label)
            explain(box, tip)
            box.toggled.connect(lambda on, kind=kind: self.toggled.emit(kind, on))
            self.boxes[kind] = box
            grid.addWidget(box, i // 2, i % 2)
        self.body.addLayout(grid)

    def show_state(self, shown: dict[str, bool]) -> None:
        """Set the boxes to what is shown."""
        for kind, box in self.boxes.items():
            with signals_blocked(box):
                box.setChecked(shown[kind])
