"""What every depth says of the place under the pointer, with the raw attention."""

from __future__ import annotations

import html
from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_hagmil.cascade import NodeFacts
from napari_hagmil.geometry import magnification_label
from napari_hagmil.widgets.style import QUIET_COLOR, Section

_EMPTY = "Move over the slide: score, raw attention and rank of every depth appear here."


class PointerPanel(Section):
    """A line per depth."""

    def __init__(self) -> None:
        super().__init__("Under the pointer")
        self.label = QLabel(_EMPTY)
        self.label.setWordWrap(True)
        self.label.setTextFormat(Qt.TextFormat.RichText)
        self.label.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.label.setMinimumHeight(58)
        self.add(self.label)

    def show_facts(self, facts: Sequence[NodeFacts]) -> None:
        """Show what is known of one place, coarse to fine."""
        if not facts:
            self.label.setText(f'<span style="color:{QUIET_COLOR}">{_EMPTY}</span>')
            return
        rows = "".join(f"<tr>{_cells(one)}</tr>" for one in facts)
        self.label.setText(f'<table cellspacing="0" cellpadding="1">{rows}</table>')


def _cells(facts: NodeFacts) -> str:
    label = f"<td><b>{magnification_label(facts.mpp)}</b>&nbsp;</td>"
    status = html.escape(facts.status)
    if not facts.n_nodes:
        return f'{label}<td colspan="3" style="color:{QUIET_COLOR}">{status}</td>'
    return (
        f"{label}<td>{facts.score:.0f}th pct&nbsp;</td><td>raw {facts.attention:.3g}&nbsp;</td>"
        f"<td>rank {facts.rank:,}/{facts.n_nodes:,}, {status}</td>"
    )
