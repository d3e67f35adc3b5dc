"""What the cascade found: a row per depth, the prediction, the cost, the legend."""

from __future__ import annotations

import numpy as np
from napari.utils.colormaps import ensure_colormap
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSlider,
    QWidget,
)

from napari_hagmil.cascade import SlideResult, Stage, called_class
from napari_hagmil.geometry import magnification_label
from napari_hagmil.models import BundleConfig
from napari_hagmil.plugin.layers import ATTENTION_COLORMAP, ATTENTION_OPACITY, BRANCH_COLORS
from napari_hagmil.widgets.style import QUIET_COLOR, Section, percent, show_text, text_label

_COLUMNS = ("Depth", "Looked at", "Followed", "Says")


class FindingsPanel(Section):
    """Predictions and overlays, depth by depth.

    Signals
    -------
    visibility_changed : int, bool
        A depth's attention is to be shown or hidden.
    branches_changed : bool
        The branch outlines are to be shown or hidden.
    opacity_changed : float
        Of all attention layers, 0 to 1.
    """

    visibility_changed = Signal(int, bool)
    branches_changed = Signal(bool)
    opacity_changed = Signal(float)

    def __init__(self) -> None:
        super().__init__("Findings")
        self.prediction = text_label("Run the cascade to see where it looks.")
        self.prediction.setStyleSheet("font-size: 15px; font-weight: 600;")
        self.table = QGridLayout()
        self.table.setHorizontalSpacing(8)
        self.body.addWidget(self.prediction)
        self.body.addLayout(self.table)
        self.branches = QCheckBox("Branches (grey: cut here)")
        self.branches.setChecked(True)
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(0, 100)
        self.opacity.setValue(round(100 * ATTENTION_OPACITY))
        self.legend = _legend()
        self.cost = text_label(color=QUIET_COLOR)
        self.notes = text_label(color=QUIET_COLOR)
        self.add(self.branches, self._opacity_row(), self.legend, self.cost, self.notes)
        self.branches.toggled.connect(self.branches_changed)
        self.opacity.valueChanged.connect(lambda value: self.opacity_changed.emit(value / 100))
        self.boxes: dict[int, QCheckBox] = {}
        self.clear()

    def clear(self) -> None:
        """Forget the last run."""
        while self.table.count():
            widget = self.table.takeAt(0).widget()
            if widget is not None:
                widget.deleteLater()
        self.boxes = {}
        show_text(self.prediction, "Run the cascade to see where it looks.")
        for label in (self.cost, self.notes):
            show_text(label, "")

    def add_stage(self, stage: Stage, mpp: float, config: BundleConfig) -> None:
        """One more depth is known; the newest one is shown and speaks for the slide."""
        if not self.boxes:
            for column, title in enumerate(_COLUMNS):
                self.table.addWidget(_quiet(title), 0, column)
        for box in self.boxes.values():
            box.setChecked(False)
        label = magnification_label(mpp)
        called = called_class(stage.probabilities, config.classes, config.thresholds)
        says = f"{called} {percent(stage.probabilities[config.classes.index(called)])}"
        box = QCheckBox(label)
        box.setChecked(True)
        box.setToolTip(f"Show the attention at {label}")
        box.toggled.connect(lambda on, depth=stage.depth: self.visibility_changed.emit(depth, on))
        self.boxes[stage.depth] = box
        followed = int(stage.followed.sum())
        row = stage.depth + 1
        outlined = QLabel(f"{followed:,}" if followed else "–")
        outlined.setStyleSheet(f"color: {BRANCH_COLORS[stage.depth % len(BRANCH_COLORS)]};")
        outlined.setToolTip("Opened into their children; the colour of their outlines")
        for column, widget in enumerate(
            (box, QLabel(f"{len(stage.nodes):,}"), outlined, QLabel(says))
        ):
            self.table.addWidget(widget, row, column)
        show_text(self.prediction, f"{says}, at {label}")

    def show_result(self, result: SlideResult) -> None:
        """The run has ended: what it cost, and what should be known of it."""
        cost = result.cost
        if cost.patches_exhaustive:
            share = percent(cost.patches_encoded / cost.patches_exhaustive)
            show_text(
                self.cost,
                f"{cost.patches_encoded:,} patches encoded of {cost.patches_exhaustive:,} with "
                f"tissue ({share}) in {cost.seconds['total']:.1f} s",
            )
        notes = list(result.notes)
        if result.state == "cancelled":
            notes.insert(0, "Cancelled: the depths above are complete, finer ones were not read.")
        show_text(self.notes, "\n".join(notes))

    def _opacity_row(self) -> QWidget:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(QLabel("Opacity"))
        layout.addWidget(self.opacity)
        return row


def _quiet(text: str) -> QLabel:
    label = QLabel(text)
    label.setStyleSheet(f"color: {QUIET_COLOR};")
    return label


def _legend() -> QWidget:
    """The colours of the percentiles, and what no colour means."""
    ramp = ensure_colormap(ATTENTION_COLORMAP).map(np.linspace(0, 1, 120, dtype=np.float32))
    pixels = np.ascontiguousarray(np.tile((255 * ramp).astype(np.uint8), (12, 1, 1)))
    image = QImage(pixels.data, 120, 12, 4 * 120, QImage.Format.Format_RGBA8888).copy()
    bar = QLabel()
    bar.setPixmap(QPixmap.fromImage(image))
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(_quiet("low"))
    layout.addWidget(bar)
    layout.addWidget(_quiet("high"), 1)
    row.setToolTip(
        "Clear: not visited. Attention as a percentile among the patches looked at, at each depth"
    )
    return row
