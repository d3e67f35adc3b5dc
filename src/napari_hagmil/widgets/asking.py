"""Questions before something is lost: the harmless answer is the default."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox, QWidget


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    Attributes
    ----------
    title, text, more : str
        The window's title, the question, and a line below it.
    go_on, leave : str
        The buttons: that which acts, and the harmless one.
    """

    title: str
    text: str
    more: str
    go_on: str
    leave: str


def ask(parent: QWidget, question: Question) -> bool:
    """Whether the user wants to go on; Enter and Escape mean no."""
    icon = QMessageBox.Icon.Question
    box = QMessageBox(icon, question.title, "", parent=parent)
    # Before the text: names of files are no HTML.
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(f"{question.text}\n\n{question.more}")
    go_on = box.addButton(question.go_on, QMessageBox.ButtonRole.AcceptRole)
    leave = box.addButton(question.leave, QMessageBox.ButtonRole.RejectRole)
    # Enter on a question that came unexpected must not destroy anything.
    box.setDefaultButton(leave)
    box.setEscapeButton(leave)
    box.exec()
    return box.clickedButton() is go_on


def may_replace(parent: QWidget, paths: Sequence[Path]) -> bool:
    """Whether files may be written: those that exist are named, and the user is asked once."""
    there = [path.name for path in paths if path.exists()]
    if not there:
        return True
    is_there = "is already there" if len(there) == 1 else "are already there"
    return ask(
        parent,
        Question(
            "Replace?",
            f"{', '.join(there)} {is_there}.",
            f"In {paths[0].parent}",
            "Replace",
            "Choose another name…",
        ),
    )
