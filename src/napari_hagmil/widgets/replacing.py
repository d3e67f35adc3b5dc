"""The one question before files are written over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox, QWidget


def may_replace(parent: QWidget, paths: Sequence[Path]) -> bool:
    """Whether files may be written: those that exist are named, and the user is asked once."""
    there = [path.name for path in paths if path.exists()]
    if not there:
        return True
    is_there = "is already there" if len(there) == 1 else "are already there"
    box = QMessageBox(QMessageBox.Icon.Question, "Replace?", "", parent=parent)
    # Before the text: names of files are no HTML.
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(f"{', '.join(there)} {is_there}.\n\nIn {paths[0].parent}")
    replace = box.addButton("Replace", QMessageBox.ButtonRole.AcceptRole)
    other = box.addButton("Choose another name…", QMessageBox.ButtonRole.RejectRole)
    # Enter on a question that came unexpected must not destroy anything.
    box.setDefaultButton(other)
    box.setEscapeButton(other)
    box.exec()
    return box.clickedButton() is replace
