"""Attention regions: find them, step through them, hand them over."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QPushButton, QSpinBox

from napari_hagmil.attention import DEFAULT_QUANTILE
from napari_hagmil.widgets.style import Section, show_text, text_label


class RegionsPanel(Section):
    """The regions' controls.

    Signals
    -------
    find_asked : float
        Draw the regions at or above this quantile of attention.
    step_asked : int
        +1 or −1: go to the next or the previous region.
    export_asked : str
        A path to write GeoJSON to.
    """

    find_asked = Signal(float)
    step_asked = Signal(int)
    export_asked = Signal(str)

    def __init__(self) -> None:
        super().__init__("Attention regions")
        self.top = QSpinBox()
        self.top.setRange(1, 100)
        self.top.setValue(round(100 * (1 - DEFAULT_QUANTILE)))
        self.top.setSuffix(" %")
        self.top.setToolTip("How much of what was looked at, at the finest depth, is drawn")
        self.find_button = QPushButton("Draw again")
        self.find_button.setToolTip("Replaces the drawn regions, your edits included")
        self.previous_button, self.next_button = QPushButton("‹ Previous"), QPushButton("Next ›")
        self.export_button = QPushButton("Export GeoJSON…")
        self.message = text_label(selectable=True)
        top = QHBoxLayout()
        for widget in (QLabel("Highest"), self.top, self.find_button):
            top.addWidget(widget)
        step = QHBoxLayout()
        step.addWidget(self.previous_button)
        step.addWidget(self.next_button)
        self.body.addLayout(top)
        self.body.addLayout(step)
        self.add(self.export_button, self.message)
        self.find_button.clicked.connect(lambda: self.find_asked.emit(self.quantile))
        self.previous_button.clicked.connect(lambda: self.step_asked.emit(-1))
        self.next_button.clicked.connect(lambda: self.step_asked.emit(1))
        self.export_button.clicked.connect(self._ask_path)
        self.default_path = "regions.geojson"
        self.set_available(stages=False, regions=0)

    @property
    def quantile(self) -> float:
        """The lower bound that the percentage stands for."""
        return 1 - float(self.top.value()) / 100

    def set_available(self, *, stages: bool, regions: int) -> None:
        """Enable what makes sense, and count the regions."""
        self.find_button.setEnabled(stages)
        for button in (self.previous_button, self.next_button, self.export_button):
            button.setEnabled(regions > 0)
        if regions:
            show_text(self.message, f"{regions} region{'s' if regions > 1 else ''}, editable")
        else:
            show_text(self.message, "No regions are drawn." if stages else "")

    def say(self, sentence: str) -> None:
        """Say what came of a wish."""
        show_text(self.message, sentence)

    def _ask_path(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Export regions", self.default_path, "GeoJSON (*.geojson)"
        )
        if path:
            self.export_asked.emit(str(Path(path).with_suffix(".geojson")))
