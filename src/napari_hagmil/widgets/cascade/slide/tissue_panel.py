"""The controls of the tissue mask: show, paint, draw, import, detect again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QFileDialog, QGridLayout, QPushButton

from napari_hagmil.export.annotations_reader import ANNOTATION_FILES
from napari_hagmil.widgets.style import (
    ERROR_COLOR,
    QUIET_COLOR,
    Section,
    explain,
    show_text,
    text_label,
)

#: Text and tooltip of each button.
_BUTTONS = {
    "paint": ("Brush", "Paint tissue on the slide (Shift-T)"),
    "erase": ("Eraser", "Erase tissue on the slide (Shift-Z)"),
    "polygon": ("Polygon", "Draw tissue as a polygon (Shift-I)"),
    "import": ("GeoJSON…", "Replace the mask by the polygons of a file"),
    "layer": (
        "From layer",
        "Replace the mask by the selected Labels or Shapes layer, of any plugin",
    ),
    "again": ("Detect again", "Discard your edits and detect the tissue by its stain"),
}

NO_SLIDE = "Open a slide to see its tissue."


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
    layer_asked
        The selected layer is to be the tissue.
    detected_again
        Back to the detected tissue.
    """

    shown = Signal(bool)
    tool_asked = Signal(str)
    imported = Signal(str)
    layer_asked = Signal()
    detected_again = Signal()

    def __init__(self) -> None:
        super().__init__("Tissue")
        self.box = QCheckBox("Outline the tissue")
        self.facts = text_label(NO_SLIDE, color=QUIET_COLOR)
        self.error = text_label(color=ERROR_COLOR, selectable=True)
        self.buttons = {name: QPushButton(text) for name, (text, _) in _BUTTONS.items()}
        for name, (_, tip) in _BUTTONS.items():
            explain(self.buttons[name], tip)
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
        self.buttons["layer"].clicked.connect(self.layer_asked)
        self.buttons["again"].clicked.connect(self.detected_again)
        self.set_available(available=False)

    def set_available(self, *, available: bool) -> None:
        """Enable the controls where there is a mask."""
        for widget in (self.box, *self.buttons.values()):
            widget.setEnabled(available)

    def show_facts(self, area_mm2: float, *, drawn: bool, notes: Sequence[str] = ()) -> None:
        """Show the area of the tissue, whether it was edited, and what is to be known of it."""
        source = "edited by you" if drawn else "detected by its stain"
        show_text(self.facts, "\n".join([f"{area_mm2:.1f} mm² of tissue, {source}.", *notes]))
        self.buttons["again"].setEnabled(drawn)

    def show_none(self, why: str) -> None:
        """Clear the previous slide's tissue, and say why this one has none yet."""
        self.set_available(available=False)
        show_text(self.facts, why)

    def show_error(self, sentence: str) -> None:
        """Say what went wrong, or clear it."""
        show_text(self.error, sentence)

    def _ask_path(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Import tissue", str(Path.home()), ANNOTATION_FILES
        )
        if path:
            self.imported.emit(path)
