"""Choose model, device and budget; run the cascade, watch it, stop it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QSpinBox,
)

from napari_hagmil.bags import EncodingProgress
from napari_hagmil.bundles import SUFFIX
from napari_hagmil.encoders import DEVICES
from napari_hagmil.geometry import magnification_label
from napari_hagmil.widgets.style import ERROR_COLOR, QUIET_COLOR, Section, show_text, text_label

_OTHER = "Other bundle…"
_MAX_BUDGET = 100_000


class RunPanel(Section):
    """The cascade's controls.

    Signals
    -------
    run_asked, cancel_asked
        The buttons.
    model_chosen : str
        A bundle's name or path.
    """

    run_asked = Signal()
    cancel_asked = Signal()
    model_chosen = Signal(str)

    def __init__(self, models: Sequence[str]) -> None:
        super().__init__("Cascade")
        self.model = QComboBox()
        for name in models:
            self.model.addItem(name, name)
        self.model.addItem(_OTHER, None)
        self.device = QComboBox()
        self.device.addItems(DEVICES)
        self.form = QFormLayout()
        self.form.addRow("Model", self.model)
        self.form.addRow("Device", self.device)
        self.body.addLayout(self.form)
        self.intended_use = text_label(color=QUIET_COLOR)
        self.add(self.intended_use)
        self.budgets: list[QSpinBox] = []
        self.run_button, self.cancel_button = QPushButton("Run cascade"), QPushButton("Cancel")
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        self.body.addLayout(buttons)
        self.progress = QProgressBar()
        self.progress.hide()
        self.error = text_label(color=ERROR_COLOR, selectable=True)
        self.add(self.progress, self.error)
        self.run_button.clicked.connect(self.run_asked)
        self.cancel_button.clicked.connect(self.cancel_asked)
        self.model.activated.connect(self._choose_model)
        self.set_state("empty")

    def show_budget(self, mpp: Sequence[float], budget: Sequence[int]) -> None:
        """One number per depth but the last: how many nodes are opened."""
        for spin in self.budgets:
            self.form.removeRow(spin)
        self.budgets = []
        for depth_mpp, k in zip(mpp, budget, strict=False):
            spin = QSpinBox()
            spin.setRange(1, _MAX_BUDGET)
            spin.setValue(int(k))
            label = magnification_label(depth_mpp)
            spin.setToolTip(
                f"How many {label} patches, those with the highest attention, are opened into "
                "their four children"
            )
            self.form.addRow(f"Follow at {label}", spin)
            self.budgets.append(spin)

    def show_intended_use(self, text: str) -> None:
        """What the chosen model is for, in the words of its bundle."""
        show_text(self.intended_use, text)

    def chosen_budget(self) -> tuple[int, ...] | None:
        """The numbers in the boxes; None where there are none."""
        return tuple(spin.value() for spin in self.budgets) or None

    def set_state(self, state: str) -> None:
        """Enable what makes sense now."""
        running = state in ("running", "opening")
        self.run_button.setEnabled(state not in ("empty", "opening", "running"))
        self.run_button.setText("Run again" if state in ("done", "cancelled") else "Run cascade")
        self.cancel_button.setEnabled(state == "running")
        self.progress.setVisible(running)
        for widget in (self.model, self.device, *self.budgets):
            widget.setEnabled(not running)
        if running:
            self.show_error("")
            self.show_waiting("Opening…" if state == "opening" else "Looking for tissue…")

    def show_waiting(self, what: str) -> None:
        """Show work of unknown length."""
        self.progress.setRange(0, 0)
        self.progress.setFormat(what)
        self.progress.setTextVisible(True)

    def show_progress(self, progress: EncodingProgress, mpp: float) -> None:
        """Patches encoded at the depth in hand."""
        self.progress.setRange(0, max(progress.total, 1))
        self.progress.setValue(progress.done)
        self.progress.setFormat(
            f"{magnification_label(mpp)}: {progress.done} of {progress.total} patches"
        )

    def show_error(self, sentence: str) -> None:
        """Say what went wrong, or clear it."""
        show_text(self.error, sentence)

    def chosen_model(self) -> str:
        """A bundle's name, or the path of one."""
        return str(self.model.currentData())

    def add_model(self, path: str) -> None:
        """Offer a bundle on disk, by its name, and choose it."""
        self.model.insertItem(0, Path(path).name.removesuffix(SUFFIX), path)
        self.model.setItemData(0, path, Qt.ItemDataRole.ToolTipRole)
        self.model.setCurrentIndex(0)
        self.model_chosen.emit(path)

    def _choose_model(self) -> None:
        if self.model.currentData() is not None:
            self.model_chosen.emit(self.chosen_model())
            return
        path = QFileDialog.getExistingDirectory(self, "Choose a model bundle (.hagmil folder)")
        if path:
            self.add_model(path)
        else:
            self.model.setCurrentIndex(0)
