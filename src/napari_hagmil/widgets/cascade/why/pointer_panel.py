"""One place at every depth: its attention and rank, and why it was followed or cut."""

from __future__ import annotations

import html
from collections.abc import Sequence

from qtpy.QtCore import Qt

from napari_hagmil.cascade import NodeFacts
from napari_hagmil.cascade.trace import described
from napari_hagmil.geometry import magnification_label
from napari_hagmil.widgets.cascade.why.tree_strip import TreeStrip
from napari_hagmil.widgets.style import (
    QUIET_COLOR,
    Section,
    plain_label,
    rich_label,
    show_text,
    text_label,
)

_EMPTY = "Point at the slide to see what each depth says about that place."


class PointerPanel(Section):
    """A line per depth, a sentence, and the pictures of the place."""

    def __init__(self) -> None:
        super().__init__("This place")
        self.where = text_label(color=QUIET_COLOR)
        self.label = rich_label(_EMPTY)
        self.label.setWordWrap(True)
        self.label.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.label.setMinimumHeight(76)
        self.sentence = plain_label()
        self.sentence.setWordWrap(True)
        # Room for two lines, so that nothing jumps while the pointer moves.
        self.sentence.setMinimumHeight(48)
        self.sentence.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.strip = TreeStrip()
        self.add(self.where, self.label, self.sentence, self.strip)
        self.say_where(held=False)

    def say_where(self, *, held: bool) -> None:
        """Say whether the place is held or follows the pointer."""
        text = "Held; press W to release it." if held else "Under the pointer; press W to hold it."
        show_text(self.where, text)

    def show_facts(self, facts: Sequence[NodeFacts]) -> None:
        """Show what the depths say about one place, coarse to fine."""
        if not facts:
            self.label.setText(f"<i>{_EMPTY}</i>")
            self.sentence.setText("")
            return
        head = "".join(f"<td><i>{t}</i></td>" for t in _HEAD)
        rows = "".join(f"<tr>{_cells(one)}</tr>" for one in facts)
        self.label.setText(f'<table cellspacing="0" cellpadding="2"><tr>{head}</tr>{rows}</table>')
        self.sentence.setText(described(facts))


_HEAD = ("", "percentile&nbsp;", "attention&nbsp;", "rank&nbsp;", "")


def _cells(facts: NodeFacts) -> str:
    label = f"<td><b>{magnification_label(facts.mpp)}</b>&nbsp;&nbsp;</td>"
    status = html.escape(facts.status)
    if not facts.n_nodes:
        return f'{label}<td colspan="4"><i>{status}</i></td>'
    cut = f" at {facts.cut_rank:,}" if facts.status == "cut" else ""
    return (
        f"{label}<td>{facts.score:.0f}</td><td>{facts.attention:.3g}</td>"
        f"<td>{facts.rank:,}/{facts.n_nodes:,}&nbsp;&nbsp;</td><td>{status}{cut}</td>"
    )
