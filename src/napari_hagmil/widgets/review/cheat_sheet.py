"""The table of keys, shown over the window."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QFrame, QVBoxLayout, QWidget

from napari_hagmil.widgets.keys import KeyAction
from napari_hagmil.widgets.style import rich_label

_COLUMNS = 3


class CheatSheet(QFrame):  # type: ignore[misc]
    """A table of keys in the middle of a window; a click or any key closes it."""

    def __init__(self, parent: QWidget, actions: Iterable[KeyAction]) -> None:
        super().__init__(parent)
        self.setObjectName("hagmil-cheat-sheet")
        self.setStyleSheet(
            "#hagmil-cheat-sheet { background: #16191f; border: 1px solid #5b6470; "
            "border-radius: 8px; } QLabel { color: #e8ebf0; font-size: 12px; }"
        )
        label = rich_label(_table(list(actions)))
        column = QVBoxLayout(self)
        column.addWidget(label)
        self.hide()

    def toggle(self) -> None:
        """Show it over the middle of the window, or close it."""
        if self.isVisible():
            self.hide()
            return
        self.adjustSize()
        window = self.parentWidget()
        self.move(
            max((window.width() - self.width()) // 2, 0),
            max((window.height() - self.height()) // 2, 0),
        )
        self.show()
        self.raise_()
        self.setFocus()

    def mousePressEvent(self, event: QEvent) -> None:  # noqa: N802
        """Close on a click."""
        self.hide()

    def keyPressEvent(self, event: QEvent) -> None:  # noqa: N802
        """Close on any key."""
        self.hide()

    def focusOutEvent(self, event: QEvent) -> None:  # noqa: N802
        """Close when the focus goes elsewhere."""
        self.hide()
        super().focusOutEvent(event)


def _table(actions: list[KeyAction]) -> str:
    """The groups in columns of about the same height, as HTML."""
    groups: dict[str, list[KeyAction]] = {}
    for action in actions:
        groups.setdefault(action.group, []).append(action)
    columns: list[list[str]] = [[] for _ in range(_COLUMNS)]
    for group, members in groups.items():
        shortest = min(columns, key=len)
        shortest.append(f"<tr><td colspan=2><b>{escape(group.upper())}</b></td></tr>")
        shortest += [
            f"<tr><td><code>{escape(one.key.replace('Control', 'Ctrl'))}</code>&nbsp;&nbsp;</td>"
            f"<td>{escape(one.label)}</td></tr>"
            for one in members
        ]
        shortest.append("<tr><td>&nbsp;</td></tr>")
    cells = "".join(
        f"<td style='padding-right: 10px'><table>{''.join(c)}</table></td>" for c in columns
    )
    return f"<table><tr>{cells}</tr></table><p align=center>Press any key, or click, to close.</p>"
