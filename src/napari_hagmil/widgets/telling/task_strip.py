"""What is under way, at the foot of every dock: whichever tab is in front."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_hagmil.session.background.task import Task
from napari_hagmil.widgets.links import Links
from napari_hagmil.widgets.style import explain

#: Milliseconds before work is told: what ends at once must not flash.
_PATIENCE = 150


class TaskRow(QWidget):  # type: ignore[misc]
    """One kind of work: what it is, how far it has come, and a button to end it.

    Parameters
    ----------
    task : Task
        What is shown.
    links : Links
        Of the dock.
    """

    def __init__(self, task: Task, links: Links) -> None:
        super().__init__()
        self.task, self._quiet = task, False
        self.bar, self.cancel = QProgressBar(), QPushButton("Cancel")
        self.cancel.clicked.connect(task.cancel)
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 2, 6, 2)
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel)
        self._soon = QTimer(self, singleShot=True, interval=_PATIENCE)
        self._soon.timeout.connect(self._appear)
        self.hide()
        links.connect(task.changed, self.show_task)
        self.show_task()

    def set_quiet(self, quiet: bool) -> None:
        """Show nothing while the tab in front tells it itself."""
        self._quiet = quiet
        self.show_task()

    def show_task(self) -> None:
        """Show how far the work has come; nothing when there is none."""
        task = self.task
        if not task.what or self._quiet:
            self._soon.stop()
            self.hide()
            return
        self.bar.setRange(0, task.total)
        self.bar.setValue(task.done)
        # A percent sign is a placeholder there.
        text = task.what.replace("%", "%%")
        if task.total:
            at = f"{task.at}: " if task.at else ""
            text = f"{text} · {at}{task.done:,} of {task.total:,}"
        self.bar.setFormat(text)
        explain(self.bar, task.what)
        explain(self.cancel, f"End it: {task.what}")
        if self.isHidden() and not self._soon.isActive():
            self._soon.start()

    def _appear(self) -> None:
        self.setVisible(bool(self.task.what) and not self._quiet)


class TaskStrip(QWidget):  # type: ignore[misc]
    """A row for each kind of work that is under way.

    Parameters
    ----------
    tasks : sequence of Task
        Run and import.
    links : Links
        Of the dock.
    """

    def __init__(self, tasks: Sequence[Task], links: Links) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.rows = [TaskRow(task, links) for task in tasks]
        for row in self.rows:
            column.addWidget(row)
