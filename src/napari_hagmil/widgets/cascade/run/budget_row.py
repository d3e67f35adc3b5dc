"""One depth of the next run: how many nodes it hands on, and what it will cost."""

from __future__ import annotations

import math

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSlider, QSpinBox, QVBoxLayout, QWidget

from napari_hagmil.cascade import DepthForecast
from napari_hagmil.widgets.style import QUIET_COLOR

_MAX_BUDGET = 100_000
_STEPS = 200


class BudgetRow(QWidget):  # type: ignore[misc]
    """A slider in doublings and a box for the exact number; the last depth has neither.

    Parameters
    ----------
    label : str
        The magnification.
    budget : int or None
        Nodes handed on; None at the last depth, where nothing is.

    Signals
    -------
    changed
        Another number was chosen.
    """

    changed = Signal()

    def __init__(self, label: str, budget: int | None) -> None:
        super().__init__()
        self._most = _MAX_BUDGET
        self.slider, self.spin = QSlider(Qt.Orientation.Horizontal), QSpinBox()
        self.price = QLabel()
        self.price.setWordWrap(True)
        self.slider.setMinimumWidth(40)
        self.price.setStyleSheet(f"color: {QUIET_COLOR};")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(1)
        self._unpriced = "the last depth" if budget is None else ""
        self.price.setText(self._unpriced)
        if budget is not None:
            column.addLayout(self._controls(label, budget))
        column.addWidget(self.price)

    def show_price(self, cost: DepthForecast | None) -> None:
        """Say how many patches this depth will look at, and how many of them are new."""
        if cost is None:
            self.price.setText(self._unpriced)
            return
        upto = "" if cost.exact else "up to "
        new = f"{upto}{cost.new:,} to encode" if cost.new else "all of them known"
        self.price.setText(f"looks at {upto}{cost.nodes:,}: {new}")

    def show_absent(self, last: str) -> None:
        """Say that the slide has no pixels for this depth; `last` is the finest that it has."""
        self.price.setText(f"not on this slide, which ends at {last}")

    def set_followed(self, followed: bool) -> None:
        """Enable the number where the next run hands nodes on; its last depth uses none."""
        self.slider.setEnabled(followed)
        self.spin.setEnabled(followed)

    def set_most(self, n_nodes: int) -> None:
        """Let the slider end where every node would be followed."""
        self._most = max(n_nodes, 2)
        self._move_slider(self.spin.value())

    def _controls(self, label: str, budget: int) -> QHBoxLayout:
        self.slider.setRange(0, _STEPS)
        self.spin.setRange(1, _MAX_BUDGET)
        self.spin.setValue(budget)
        self.spin.setKeyboardTracking(False)
        self.spin.setFixedWidth(92)
        self._move_slider(budget)
        tip = (
            f"How many {label} patches, those with the highest attention, are opened into their "
            "four children"
        )
        for widget in (self.slider, self.spin):
            widget.setToolTip(tip)
            widget.setAccessibleName(f"Follow at {label}")
        self.slider.valueChanged.connect(lambda step: self.spin.setValue(self._of_step(step)))
        self.spin.valueChanged.connect(self._take)
        line = QHBoxLayout()
        line.addWidget(self.slider, 1)
        line.addWidget(self.spin)
        return line

    def _take(self, value: int) -> None:
        self._move_slider(value)
        self.changed.emit()

    def _move_slider(self, value: int) -> None:
        position = math.log(min(max(value, 1), self._most)) / math.log(self._most)
        blocked = self.slider.blockSignals(True)
        self.slider.setValue(round(_STEPS * position))
        self.slider.blockSignals(blocked)

    def _of_step(self, step: int) -> int:
        nodes: float = self._most ** (step / _STEPS)
        return max(1, round(nodes))
