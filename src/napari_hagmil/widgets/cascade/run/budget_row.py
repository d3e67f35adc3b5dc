"""One depth of the next run: how many nodes it follows, and what that costs."""

from __future__ import annotations

import math

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QSlider, QSpinBox, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_hagmil.cascade import DepthForecast
from napari_hagmil.session.run_report import price_of_depth
from napari_hagmil.widgets.style import QUIET_COLOR, explain, plain_label, set_ink

_MAX_BUDGET = 100_000
_STEPS = 200


class BudgetRow(QWidget):  # type: ignore[misc]
    """A slider in doublings and a box for the exact number; the last depth has neither.

    Parameters
    ----------
    label : str
        The magnification.
    budget : int or None
        Nodes followed; None at the last depth, which follows none.

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
        self.price = plain_label()
        self.price.setWordWrap(True)
        self.slider.setMinimumWidth(40)
        set_ink(self.price, QUIET_COLOR)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(1)
        self._unpriced = "the finest depth" if budget is None else ""
        self.spin.setEnabled(budget is not None)
        self.price.setText(self._unpriced)
        if budget is not None:
            column.addLayout(self._controls(label, budget))
        column.addWidget(self.price)

    def show_price(self, cost: DepthForecast | None) -> None:
        """Show how many patches this depth will look at, and how many of them are new."""
        text = self._unpriced if cost is None else price_of_depth(cost)
        if cost is not None and self.spin.isEnabled() and self.spin.value() >= cost.nodes > 0:
            text += "; follows them all"
        self.price.setText(text)

    def show_absent(self, last: str) -> None:
        """Say that the slide has no pixels for this depth; `last` is the finest that it has."""
        self.price.setText(f"not available: this slide ends at {last}")

    def set_followed(self, followed: bool) -> None:
        """Enable the number at depths that follow nodes; the last depth of a run does not."""
        self.slider.setEnabled(followed)
        self.spin.setEnabled(followed)

    def show_budget(self, budget: int) -> None:
        """Show another number, which nobody has chosen here."""
        with signals_blocked(self.spin):
            self.spin.setValue(budget)
        self._move_slider(self.spin.value())

    def set_most(self, n_nodes: int) -> None:
        """End the slider where every node would be followed."""
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
            f"How many patches to follow at {label}: those with the highest attention are "
            "looked at again at the next magnification, four patches each"
        )
        for widget in (self.slider, self.spin):
            explain(widget, tip)
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
        with signals_blocked(self.slider):
            self.slider.setValue(round(_STEPS * position))

    def _of_step(self, step: int) -> int:
        nodes: float = self._most ** (step / _STEPS)
        return max(1, round(nodes))
