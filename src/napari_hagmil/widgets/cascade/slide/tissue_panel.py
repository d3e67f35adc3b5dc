"""The tissue mask: see it, paint it, draw it, import it."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QFileDialog, QGridLayout, QPushButton

from napari_hagmil.widgets.style import ERROR_COLOR, QUIET_COLOR, Section, show_text, text_label


class TissuePanel(Section):
    """The mask's controls.

    Signals
    -------
    shown : bool
        The mask is to be shown or hidden.
    tool_asked : str
        "paint", "erase" or "polygon".
    imported : str
        A GeoJSON file with the tissue.
    found_again
        Back to the tissue that is found.
    """

    shown = Signal(bool)
    tool_asked = Signal(str)
    imported = Signal(str)
    found_again = Signal()

    def __init__(self) -> None:
        super().__init__("Tissue")
        self.box = QCheckBox("Show what counts as tissue")
        self.facts = text_label("Open a slide to see its tissue.", color=QUIET_COLOR)
        self.error = text_label(color=ERROR_COLOR, selectable=True)
        self.buttons = {
            "paint": QPushButton("Brush"),
            "erase": QPushButton("Eraser"),
            "polygon": QPushButton("Polygon"),
            "import": QPushButton("GeoJSON…"),
            "again": QPushButton("Find again"),
        }
        for tool, key in (("paint", "Shift-T"), ("erase", "Shift-Z"), ("polygon", "Shift-I")):
            self.buttons[tool].setToolTip(f"On the slide ({key})")
        grid = QGridLayout()
        for i, button in enumerate(self.buttons.values()):
            grid.addWidget(button, i // 3, i % 3)
        self.add(self.box)
        self.body.addLayout(grid)
        self.add(self.facts, self.error)
        self.box.toggled.connect(self.shown)
        for tool in ("paint", "erase", "polygon"):
            self.buttons[tool].clicked.connect(lambda _, tool=tool: self.tool_asked.emit(tool))
        self.buttons["import"].clicked.connect(self._ask_path)
        self.buttons["again"].clicked.connect(self.found_again)
        self.set_available(available=False)

    def set_available(self, *, available: bool) -> None:
        """Enable what needs a mask."""
        for widget in (self.box, *self.buttons.values()):
            widget.setEnabled(available)

    def show_facts(self, area_mm2: float, *, drawn: bool) -> None:
        """Say how much tissue there is, and whose it is."""
        whose = "as you drew it" if drawn else "found by its stain"
        show_text(self.facts, f"{area_mm2:.1f} mm² of tissue, {whose}.")
        self.buttons["again"].setEnabled(drawn)

    def show_none(self, why: str) -> None:
        """Forget the last slide's tissue, and say why this one has none yet."""
        self.set_available(available=False)
        show_text(self.facts, why)

    def show_error(self, sentence: str) -> None:
        """Say what went wrong, or clear it."""
        show_text(self.error, sentence)

    def _ask_path(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Import tissue", str(Path.home()), "GeoJSON (*.geojson *.json)"
        )
        if path:
            self.imported.emit(path)
