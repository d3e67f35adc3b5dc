"""What lies over the slide: one box per kind, each with its key."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout

from napari_hagmil.widgets.style import Section

_KINDS = {
    "attention": ("Attention", "Percentiles of each depth; clear is not visited"),
    "branches": ("Branches", "Coloured: followed, nested by depth. Grey: cut here (Shift-H)"),
    "unseen": (
        "Never seen closely",
        "A veil over what high power has not seen (Shift-U)",
    ),
    "unread": ("Unread", "Crosses where the file could not be read"),
}


class ShowPanel(Section):
    """Boxes for the overlays.

    Signals
    -------
    toggled : str, bool
        A kind is to be shown or hidden.
    """

    toggled = Signal(str, bool)

    def __init__(self) -> None:
        super().__init__("On the slide (H hides all)")
        self.boxes: dict[str, QCheckBox] = {}
        grid = QGridLayout()
        for i, (kind, (label, tip)) in enumerate(_KINDS.items()):
            box = QCheckBox(label)
            box.setToolTip(tip)
            box.toggled.connect(lambda on, kind=kind: self.toggled.emit(kind, on))
            self.boxes[kind] = box
            grid.addWidget(box, i // 2, i % 2)
        self.body.addLayout(grid)

    def show_state(self, shown: dict[str, bool]) -> None:
        """Set the boxes as the overlays stand."""
        for kind, box in self.boxes.items():
            blocked = box.blockSignals(True)
            box.setChecked(shown[kind])
            box.blockSignals(blocked)
