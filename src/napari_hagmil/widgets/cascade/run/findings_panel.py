"""What the cascade found: a row per depth, the prediction, the cost, the legend."""

from __future__ import annotations

import numpy as np
from napari.utils.colormaps import ensure_colormap
from qtpy.QtCore import Signal
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_hagmil.cascade import Cost, SlideResult
from napari_hagmil.widgets.cascade.run.depth_row import DepthRow, DepthSays
from napari_hagmil.widgets.preferences import colormap_wished, on_change, opacity_wished
from napari_hagmil.widgets.style import (
    QUIET_COLOR,
    Section,
    duration,
    percent,
    show_text,
    text_label,
)

_NOTHING = "Run the cascade to see where it looks."
_NO_SLIDE = "Open a slide first, in the tab Slide."


class FindingsPanel(Section):
    """Predictions and attention, depth by depth.

    Signals
    -------
    visibility_changed : int, bool
        A depth's attention is to be shown or hidden.
    opacity_changed, threshold_changed : int, float
        Of a depth's attention: 0 to 1, and the percentile from which it is shown.
    """

    visibility_changed = Signal(int, bool)
    opacity_changed = Signal(int, float)
    threshold_changed = Signal(int, float)

    def __init__(self) -> None:
        super().__init__("Findings")
        self.prediction = text_label(_NO_SLIDE)
        self.prediction.setStyleSheet("font-size: 15px; font-weight: 600;")
        # Above the depths: at 1280 × 800 what is below them has to be scrolled to.
        self.review_button = QPushButton("Review the regions…")
        self.rows: dict[int, DepthRow] = {}
        self._column = QVBoxLayout()
        self._column.setSpacing(2)
        self.cost = text_label(color=QUIET_COLOR)
        self.notes = text_label(color=QUIET_COLOR)
        self.legend = _Legend()
        self._unwatch = on_change("display", self._show_preferences)
        self.add(self.prediction, self.review_button)
        self.body.addLayout(self._column)
        self.add(self.legend, self.cost, self.notes)
        self.clear(slide_open=False)

    def close_work(self) -> None:
        """Listen no more."""
        self._unwatch()

    def _show_preferences(self) -> None:
        self.legend.ramp.setPixmap(_ramp())
        for row in self.rows.values():
            row.show_opacity(opacity_wished())

    def clear(self, *, slide_open: bool = True) -> None:
        """Forget the last run."""
        self.keep_depths(0)
        show_text(self.prediction, _NOTHING if slide_open else _NO_SLIDE)
        for label in (self.cost, self.notes):
            show_text(label, "")

    def keep_depths(self, n: int) -> None:
        """Take away what an earlier run has left of deeper depths."""
        for depth in [d for d in self.rows if d >= n]:
            row = self.rows.pop(depth)
            self._column.removeWidget(row)
            row.deleteLater()
        self.legend.setVisible(bool(self.rows))

    def add_stage(self, says: DepthSays) -> None:
        """One more depth is known; the deepest one speaks for the slide."""
        depth = says.stage.depth
        if depth not in self.rows:
            for row in self.rows.values():
                row.box.setChecked(False)
            self.rows[depth] = self._new_row(depth)
        self.rows[depth].tell(says)
        self.legend.show()
        if depth == max(self.rows):
            show_text(self.prediction, f"{says.verdict}, at {says.label}")

    def show_result(self, result: SlideResult) -> None:
        """The run has ended: what it cost, and what should be known of it."""
        cost = result.cost
        if cost.patches_exhaustive:
            show_text(self.cost, f"{_looked_at(cost)}, in {duration(cost.seconds['total'])}")
        notes = list(result.notes)
        if result.state == "cancelled":
            notes.insert(0, "Cancelled: the depths above are complete, finer ones were not read.")
        show_text(self.notes, "\n".join(notes))

    def _new_row(self, depth: int) -> DepthRow:
        row = DepthRow(depth)
        row.shown.connect(lambda on: self.visibility_changed.emit(depth, on))
        row.opacity_changed.connect(lambda value: self.opacity_changed.emit(depth, value))
        row.threshold_changed.connect(lambda value: self.threshold_changed.emit(depth, value))
        self._column.addWidget(row)
        return row


def _looked_at(cost: Cost) -> str:
    """Patches looked at, and those with tissue.

    A followed patch is read with all of its children: glass at the edge of the tissue can make
    that more than there is tissue.
    """
    looked, tissue = cost.patches_encoded, cost.patches_exhaustive
    if looked > tissue:
        return f"{looked:,} patches looked at: the {tissue:,} with tissue, and glass beside them"
    return f"{looked:,} patches looked at of {tissue:,} with tissue ({percent(looked / tissue)})"


def _quiet(text: str) -> QLabel:
    label = QLabel(text)
    label.setStyleSheet(f"color: {QUIET_COLOR};")
    return label


class _Legend(QWidget):  # type: ignore[misc]
    """The colours of the percentiles, and what no colour means."""

    def __init__(self) -> None:
        super().__init__()
        self.ramp = QLabel()
        self.ramp.setPixmap(_ramp())
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(_quiet("low"))
        layout.addWidget(self.ramp)
        layout.addWidget(_quiet("high"), 1)
        self.setToolTip(
            "Clear: not visited. Attention as a percentile among the patches looked at, at each "
            "depth"
        )


def _ramp() -> QPixmap:
    colors = ensure_colormap(colormap_wished()).map(np.linspace(0, 1, 120, dtype=np.float32))
    pixels = np.ascontiguousarray(np.tile((255 * colors).astype(np.uint8), (12, 1, 1)))
    image = QImage(pixels.data, 120, 12, 4 * 120, QImage.Format.Format_RGBA8888).copy()
    return QPixmap.fromImage(image)
