"""What the run found: the prediction, a row per depth, the legend, the cost."""

from __future__ import annotations

import numpy as np
from napari.utils.colormaps import ensure_colormap
from qtpy.QtCore import Signal
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_hagmil.cascade import SlideResult
from napari_hagmil.session.run_report import cost_of_run, notes_of_run
from napari_hagmil.widgets.cascade.run.depth_row import DepthFindings, DepthRow
from napari_hagmil.widgets.preferences import on_change, preferred_colormap, preferred_opacity
from napari_hagmil.widgets.style import (
    QUIET_COLOR,
    WARNING_COLOR,
    Section,
    explain,
    plain_label,
    quiet_label,
    set_ink,
    show_text,
    text_label,
)

_HEADLINE = "font-size: 15px; font-weight: 600;"
_NOTHING = "Run the cascade to see where it looks."
_KEPT = "The new run was cancelled: these are the findings of the complete one before it."
_NO_SLIDE = "Open a slide first, in the Slide tab."


class FindingsPanel(Section):
    """Predictions and attention, depth by depth.

    Signals
    -------
    visibility_changed : int, bool
        A depth's attention is to be shown or hidden.
    opacity_changed, threshold_changed : int, float
        Of a depth's attention: 0 to 1, and the percentile from which it is shown.
    offer_taken
        The result on offer is to be shown.
    save_asked
        The result is to be written, as `analyze` does.
    """

    visibility_changed = Signal(int, bool)
    opacity_changed = Signal(int, float)
    threshold_changed = Signal(int, float)
    offer_taken = Signal()
    save_asked = Signal()

    def __init__(self) -> None:
        super().__init__("Findings")
        self.prediction = text_label(_NO_SLIDE)
        self.prediction.setStyleSheet(_HEADLINE)
        self.said = text_label(color=QUIET_COLOR)
        # Above the depths: at 1280 × 800 one must scroll to what is below them.
        self.review_button = QPushButton("Review regions…")
        self.save_button = QPushButton("Save analysis…")
        explain(self.save_button, "A folder with the files that napari-hagmil analyze writes")
        self.save_button.clicked.connect(self.save_asked)
        self.offer_button = QPushButton()
        self.offer_button.clicked.connect(self.offer_taken)
        self.rows: dict[int, DepthRow] = {}
        self._column = QVBoxLayout()
        self._column.setSpacing(2)
        self.cost = text_label(color=QUIET_COLOR)
        self.notes = text_label(color=QUIET_COLOR)
        self.legend = _Legend()
        self._unwatch = on_change("display", self._show_preferences)
        self.add(self.prediction, self.said, self.offer_button, self.review_button)
        self.body.addLayout(self._column)
        self.add(self.legend, self.cost, self.notes, self.save_button)
        self.clear(slide_open=False)

    def close_work(self) -> None:
        """Stop following the preferences."""
        self._unwatch()

    def _show_preferences(self) -> None:
        self.legend.ramp.setPixmap(_ramp())
        for row in self.rows.values():
            row.show_opacity(preferred_opacity())

    def clear(self, *, slide_open: bool = True) -> None:
        """Forget the last run."""
        self.keep_depths(0)
        self.offer_button.hide()
        self.save_button.hide()
        show_text(self.prediction, _NOTHING if slide_open else _NO_SLIDE)
        set_ink(self.prediction, None)
        for label in (self.said, self.cost, self.notes):
            show_text(label, "")

    def keep_depths(self, n: int) -> None:
        """Remove the rows of deeper depths, which an earlier run has left."""
        for depth in [d for d in self.rows if d >= n]:
            row = self.rows.pop(depth)
            self._column.removeWidget(row)
            row.deleteLater()
        self.legend.setVisible(bool(self.rows))

    def show_visibility(self, depth: int, shown: bool) -> None:
        """Show whether a depth's attention is to be seen."""
        if depth in self.rows:
            self.rows[depth].box.setChecked(shown)

    def show_depth(self, found: DepthFindings) -> None:
        """Show one more depth; the deepest one gives the slide's prediction."""
        depth = found.stage.depth
        if depth not in self.rows:
            for row in self.rows.values():
                row.box.setChecked(False)
            self.rows[depth] = self._new_row(depth)
        self.rows[depth].show_findings(found)
        self.legend.show()
        if depth == max(self.rows):
            self._show_verdict(found)

    def _show_verdict(self, found: DepthFindings) -> None:
        """Show the class; where the model is not for the slide, that instead, the class small."""
        verdict = f"{found.verdict}, at {found.label}"
        show_text(self.prediction, found.unfit or verdict)
        set_ink(self.prediction, WARNING_COLOR if found.unfit else None)
        said = f"It gives {verdict}: that says nothing about this slide." if found.unfit else ""
        show_text(self.said, said)

    def show_result(self, result: SlideResult) -> None:
        """Show what the run cost, and what to know about its result."""
        if result.state == "incomplete":
            show_text(self.prediction, f"Incomplete: {result.unread}")
        self.offer_button.hide()
        self.save_button.setVisible(result.state != "cancelled")
        show_text(self.cost, cost_of_run(result.cost))
        show_text(self.notes, notes_of_run(result))

    def say_unfinished(self, reached: str) -> None:
        """Put in the place of the class that a run ended early, and what is shown all the same."""
        show_text(self.prediction, f"Unfinished: no class. The run ended after {reached}.")
        set_ink(self.prediction, WARNING_COLOR)
        show_text(self.said, "The attention shown is of the depths that were read until then.")

    def offer(self, what: str) -> None:
        """Offer a result that is not shown by itself."""
        self.offer_button.setText(what)
        self.offer_button.show()

    def add_note(self, sentence: str) -> None:
        """Add a line to what is to be known of the result."""
        show_text(self.notes, "\n".join(filter(None, (self.notes.text(), sentence))))

    def say_kept(self) -> None:
        """Say that a run was cancelled, and that these are the findings of the one before."""
        said = self.notes.text().removeprefix(_KEPT).strip()
        show_text(self.notes, f"{_KEPT}\n{said}".strip())

    def _new_row(self, depth: int) -> DepthRow:
        row = DepthRow(depth)
        row.shown.connect(lambda on: self.visibility_changed.emit(depth, on))
        row.opacity_changed.connect(lambda value: self.opacity_changed.emit(depth, value))
        row.threshold_changed.connect(lambda value: self.threshold_changed.emit(depth, value))
        self._column.addWidget(row)
        return row


class _Legend(QWidget):  # type: ignore[misc]
    """The colours of the attention percentiles."""

    def __init__(self) -> None:
        super().__init__()
        self.ramp = plain_label()
        self.ramp.setPixmap(_ramp())
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(quiet_label("low"))
        layout.addWidget(self.ramp)
        layout.addWidget(quiet_label("high"), 1)
        self.setToolTip(
            "Attention as a percentile among the patches looked at, at the same depth; "
            "no colour: not looked at"
        )


def _ramp() -> QPixmap:
    colors = ensure_colormap(preferred_colormap()).map(np.linspace(0, 1, 120, dtype=np.float32))
    pixels = np.ascontiguousarray(np.tile((255 * colors).astype(np.uint8), (12, 1, 1)))
    image = QImage(pixels.data, 120, 12, 4 * 120, QImage.Format.Format_RGBA8888).copy()
    return QPixmap.fromImage(image)
