"""How the prediction changes without one branch."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton

from napari_hagmil.session.numbers import percent
from napari_hagmil.widgets.style import (
    QUIET_COLOR,
    Section,
    plain_label,
    rich_label,
    show_text,
    text_label,
)

Probabilities = NDArray[np.float64]


class WithoutPanel(Section):
    """Choose the depth that the branch starts at, ask, and read the answer.

    Signals
    -------
    asked : int
        The branch of the place that starts at this depth is to be taken away.
    """

    asked = Signal(int)

    def __init__(self) -> None:
        super().__init__("Without this branch")
        self.depth, self.button = QComboBox(), QPushButton("Ask")
        self.button.setToolTip(
            "The branch is taken out of every bag; no other branch takes its place"
        )
        line = QHBoxLayout()
        line.addWidget(plain_label("The branch from"))
        line.addWidget(self.depth)
        line.addWidget(self.button, 1)
        self.body.addLayout(line)
        self.answer = rich_label()
        self.answer.setWordWrap(True)
        self.note = text_label("Point at a place, or hold one with W.", color=QUIET_COLOR)
        self.add(self.answer, self.note)
        self.button.clicked.connect(lambda: self.asked.emit(max(self.depth.currentIndex(), 0)))
        self.answer.hide()

    def show_depths(self, labels: Sequence[str]) -> None:
        """Offer the depths that a branch may start at."""
        if [self.depth.itemText(i) for i in range(self.depth.count())] != list(labels):
            self.depth.clear()
            self.depth.addItems(list(labels))
        self.button.setEnabled(bool(labels))

    def say(self, sentence: str) -> None:
        """Say what keeps the question from being answered, or what is under way."""
        self.answer.hide()
        show_text(self.note, sentence)

    def show_answer(
        self,
        labels: Sequence[str],
        classes: Sequence[str],
        pairs: Sequence[tuple[Probabilities, Probabilities | None]],
    ) -> None:
        """Show the most probable class of every depth, as it is and without the branch."""
        rows = "".join(
            f"<tr><td><b>{label}</b>&nbsp;&nbsp;</td>{_change(classes, *pair)}</tr>"
            for label, pair in zip(labels, pairs, strict=True)
        )
        self.answer.setText(f'<table cellspacing="0" cellpadding="2">{rows}</table>')
        self.answer.show()
        show_text(self.note, "")


def _change(classes: Sequence[str], before: Probabilities, after: Probabilities | None) -> str:
    if after is None:
        return "<td>nothing else was looked at here</td>"
    first = int(np.argmax(before))
    was, now = percent(float(before[first])), percent(float(after[first]))
    points = 100 * float(after[first] - before[first])
    change = f"{points:+.1f} points" if abs(points) >= 0.05 else "no change"
    text = html.escape(f"{classes[first]} {was} → {now}")
    return f"<td>{text}&nbsp;&nbsp;</td><td><i>{change}</i></td>"
