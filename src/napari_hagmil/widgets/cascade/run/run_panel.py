"""Choose model, device and budget, see the price; start, watch and cancel the run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QSpinBox,
)

from napari_hagmil.bundles import SUFFIX
from napari_hagmil.encoders import DEVICES, ENCODERS
from napari_hagmil.features import EncodingProgress
from napari_hagmil.geometry import magnification_label
from napari_hagmil.models import BundleConfig
from napari_hagmil.session import Choice, RunCost
from napari_hagmil.session.run_report import price_of_run, run_label
from napari_hagmil.widgets.cascade.run.budget_row import BudgetRow
from napari_hagmil.widgets.cascade.run.features_box import FeaturesBox
from napari_hagmil.widgets.preferences import preference, preferred_budget
from napari_hagmil.widgets.style import (
    ERROR_COLOR,
    QUIET_COLOR,
    Section,
    explain,
    show_text,
    text_label,
)

_OTHER = "Other bundle…"

#: Milliseconds of a run before the progress bar appears.
_PATIENCE = 150


class RunPanel(Section):
    """The cascade's controls.

    Signals
    -------
    run_asked, cancel_asked
        The buttons.
    model_chosen : str
        A bundle's name or path.
    plan_changed
        Another budget, last depth or device was chosen.
    features_chosen
        Features are to be stored ones, others, or computed from pixels again.
    """

    run_asked = Signal()
    cancel_asked = Signal()
    model_chosen = Signal(str)
    plan_changed = Signal()
    features_chosen = Signal()

    def __init__(self, models: Sequence[str]) -> None:
        super().__init__("Cascade")
        self.model, self.encoder, self.device = QComboBox(), QComboBox(), QComboBox()
        self.down_to, self.features = QComboBox(), FeaturesBox()
        self.rows: list[BudgetRow] = []
        self._encoders: dict[str, str] = {}
        self._devices: dict[str, str] = {}
        self._cost: RunCost | None = None
        self._after_run = False
        self._missing = self._model = ""
        self._own_budget: tuple[int, ...] = ()
        self._add_choices(models)
        self._add_run_controls()
        self.run_button.clicked.connect(self.run_asked)
        self.cancel_button.clicked.connect(self.cancel_asked)
        self.model.activated.connect(self._choose_model)
        self.features.chosen.connect(self._features_chosen)
        self.device.currentTextChanged.connect(lambda _: self.plan_changed.emit())
        self.device.currentTextChanged.connect(lambda _: self._show_missing_device())
        self.down_to.activated.connect(lambda _: self.plan_changed.emit())
        self.set_state("empty")

    @property
    def budgets(self) -> list[QSpinBox]:
        """The boxes with the numbers, coarse to fine; the last depth has none."""
        return [row.spin for row in self.rows[:-1]]

    def show_model(self, config: BundleConfig) -> None:
        """Offer a budget for each depth of a model, beginning with the preferred or its own."""
        for row in self.rows:
            self.budget_form.removeRow(row)
        self.rows = []
        self.down_to.clear()
        budgets = self._own_budget = preferred_budget(len(config.budget)) or config.budget
        for depth, mpp in enumerate(config.mpp):
            label = magnification_label(mpp)
            budget = budgets[depth] if depth < len(budgets) else None
            row = BudgetRow(label, budget)
            row.changed.connect(self.plan_changed)
            self.budget_form.addRow(f"Follow at {label}" if budget else label, row)
            self.rows.append(row)
            self.down_to.addItem(label)
        self.down_to.setCurrentIndex(len(config.mpp) - 1)
        self._show_encoder(config.encoder.name)
        self._mark_encoders(config.encoder.name)
        show_text(self.intended_use, config.intended_use)

    def show_missing(self, sentence: str) -> None:
        """Say why the chosen model cannot be used here; nothing when it can."""
        self._missing = sentence
        show_text(self.missing, "" if self.features.places else sentence)

    def _features_chosen(self) -> None:
        """Stored features need no encoder."""
        self.encoder.setEnabled(not self.features.places)
        self.show_missing(self._missing)
        self.features_chosen.emit()

    def _show_encoder(self, name: str) -> None:
        """Show the encoder of a model, also one that is not known here."""
        while self.encoder.count() > len(ENCODERS):
            self.encoder.removeItem(self.encoder.count() - 1)
        if self.encoder.findText(name) < 0:
            self.encoder.addItem(name)
        self.encoder.setCurrentText(name)

    def mark_choices(self, encoders: Sequence[Choice], devices: Sequence[Choice]) -> None:
        """Grey out what cannot be used here, with the reason as its tooltip."""
        self._encoders = {choice.name: choice.missing for choice in encoders}
        self._mark_encoders(self.encoder.currentText())
        self._devices = {choice.name: choice.missing for choice in devices}
        for name, missing in self._devices.items():
            _mark(self.device, name, missing)
        self._show_missing_device()

    def show_cost(self, cost: RunCost | None, n_nodes: Sequence[int]) -> None:
        """Show the price of the next run, per depth and in total."""
        for depth, row in enumerate(self.rows):
            priced = cost.depths if cost is not None else ()
            row.set_followed(depth < len(self.rows) - 1 and (not priced or depth < len(priced) - 1))
            row.show_price(priced[depth] if depth < len(priced) else None)
            if depth < len(n_nodes):
                row.set_most(n_nodes[depth])
            elif n_nodes:
                row.show_absent(self.down_to.itemText(len(n_nodes) - 1))
        show_text(self.cost, "" if cost is None else price_of_run(cost))
        self._cost = cost
        self._name_run_button()

    def show_plan(self, budget: Sequence[int], last_depth: int | None) -> None:
        """Show the budget and the last depth of the findings, which starts no run."""
        for row, followed in zip(self.rows[:-1], budget, strict=False):
            row.show_budget(followed)
        finest = self.down_to.count() - 1
        self.down_to.setCurrentIndex(finest if last_depth is None else min(last_depth, finest))

    def show_own_plan(self) -> None:
        """Go back to the preferred budget, or the model's own, down to its finest depth."""
        self.show_plan(self._own_budget, None)

    def _name_run_button(self) -> None:
        """Name the button by what it costs where no slider can start a run that encodes."""
        self.run_button.setText(run_label(self._cost) if self._after_run else "Run cascade")

    def chosen_budget(self) -> tuple[int, ...] | None:
        """The numbers in the boxes; None where there are none."""
        return tuple(spin.value() for spin in self.budgets) or None

    def chosen_depth(self) -> int | None:
        """The depth at which the run is to stop; None: the finest there is."""
        index = self.down_to.currentIndex()
        return None if index < 0 or index == self.down_to.count() - 1 else index

    def set_state(self, state: str) -> None:
        """Enable the controls that make sense in a state of the session."""
        running = state in ("running", "opening")
        self.run_button.setEnabled(state not in ("empty", "opening", "running"))
        self._after_run = state in ("done", "cancelled")
        self._name_run_button()
        self.cancel_button.setEnabled(state == "running")
        if running:
            self._waiting.start()
        else:
            self._waiting.stop()
            self.progress.hide()
        for widget in (self.model, self.device, self.features):
            widget.setEnabled(not running)
        self.encoder.setEnabled(not (running or self.features.places))
        if running:
            self.show_error("")
            self.show_waiting("Opening…" if state == "opening" else "Detecting tissue…")

    def show_waiting(self, what: str) -> None:
        """Show work of unknown length."""
        self.progress.setRange(0, 0)
        self.progress.setFormat(what)
        self.progress.setTextVisible(True)

    def show_progress(self, progress: EncodingProgress, label: str) -> None:
        """Show how many patches are encoded at the current depth."""
        self.progress.setRange(0, max(progress.total, 1))
        self.progress.setValue(progress.done)
        self.progress.setFormat(f"{label}: {progress.done} of {progress.total} patches")

    def show_error(self, sentence: str) -> None:
        """Say what went wrong, or clear it."""
        show_text(self.error, sentence)

    def models(self) -> list[str]:
        """The bundles on offer, by name or path."""
        found = (self.model.itemData(row) for row in range(self.model.count()))
        return [str(name) for name in found if name is not None]

    def chosen_model(self) -> str:
        """A bundle's name, or the path of one."""
        return str(self.model.currentData())

    def add_model(self, path: str) -> None:
        """Offer a bundle on disk by its name, and choose it."""
        self.select_model(path)
        self.model_chosen.emit(path)

    def select_model(self, name: str) -> None:
        """Show a bundle, by name or path, as the chosen one; the caller has chosen it."""
        if self.model.findData(name) < 0:
            self.model.insertItem(0, Path(name).name.removesuffix(SUFFIX), name)
            self.model.setItemData(0, name, Qt.ItemDataRole.ToolTipRole)
        self.model.setCurrentIndex(self.model.findData(name))
        self._model = name

    def _add_choices(self, models: Sequence[str]) -> None:
        self.model.addItem(_OTHER, None)
        for name in reversed(models):
            self.select_model(name)
        self.encoder.addItems(list(ENCODERS))
        self.encoder.setToolTip("Features fit only the model that was trained on them")
        self.device.addItems(DEVICES)
        self.device.setCurrentText(preference("cascade", "device", "auto"))
        self.form = QFormLayout()
        self.form.setVerticalSpacing(4)
        for label, box in (
            ("Model", self.model),
            ("Features", self.features),
            ("Encoder", self.encoder),
            ("Device", self.device),
            ("Stop at", self.down_to),
        ):
            box.setMinimumWidth(10)
            self.form.addRow(label, box)
        self.body.addLayout(self.form)
        self.missing = text_label(color=ERROR_COLOR, selectable=True)
        self.missing_device = text_label(color=ERROR_COLOR, selectable=True)
        self.intended_use = text_label(color=QUIET_COLOR)
        self.add(self.missing, self.missing_device, self.intended_use)
        self.budget_form = QFormLayout()
        self.budget_form.setVerticalSpacing(4)
        self.body.addLayout(self.budget_form)

    def _add_run_controls(self) -> None:
        self.cost = text_label()
        self.live = QCheckBox("Update as the budget changes")
        self.live.setToolTip("After a run; what has to be encoded first waits for the button")
        self.live.setChecked(preference("cascade", "live", True))
        self.run_button, self.cancel_button = QPushButton("Run cascade"), QPushButton("Cancel")
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        self.add(self.cost)
        self.body.addLayout(buttons)
        self.progress = QProgressBar()
        self.progress.hide()
        # A run over known patches ends at once: no bar should flash, and nothing jump.
        self._waiting = QTimer(self, singleShot=True, interval=_PATIENCE)
        self._waiting.timeout.connect(self.progress.show)
        self.error = text_label(color=ERROR_COLOR, selectable=True)
        self.add(self.progress, self.error, self.live)

    def _mark_encoders(self, wanted: str) -> None:
        for name in ENCODERS:
            unfit = f"The model was trained on features of {wanted} and cannot use these"
            reason = self._encoders.get(name, "") or ("" if name == wanted else unfit)
            _mark(self.encoder, name, reason)

    def _show_missing_device(self) -> None:
        """Say before a run that the device is missing: a preference may name any."""
        show_text(self.missing_device, self._devices.get(self.device.currentText(), ""))

    def _choose_model(self) -> None:
        if self.model.currentData() is not None:
            self._model = self.chosen_model()
            self.model_chosen.emit(self._model)
            return
        path = QFileDialog.getExistingDirectory(self, "Choose a model bundle (.hagmil folder)")
        if path:
            self.add_model(path)
        else:
            self.select_model(self._model)


def _mark(box: QComboBox, name: str, missing: str) -> None:
    """Enable an entry, or grey it out with the reason as its tooltip."""
    item = box.model().item(box.findText(name))
    if item is not None:
        item.setEnabled(not missing)
        explain(item, missing)
