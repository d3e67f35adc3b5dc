"""Work that a window has under way, as every dock tells it."""

from __future__ import annotations

from collections.abc import Callable

from psygnal import Signal


class Task:
    """Work of one kind: whether it is under way, how far it has come, and how it is ended.

    Attributes
    ----------
    what : str
        "Importing drawn.geojson"; empty while nothing is under way.
    at : str
        What it is at: "20×"; empty where there is nothing to tell.
    done, total : int
        How far it has come; a total of 0 where that is not known.

    Signals
    -------
    changed
        One of these is another; emitted on the main thread.
    """

    changed = Signal()

    def __init__(self) -> None:
        self.what = self.at = ""
        self.done = self.total = 0
        self._cancel: Callable[[], object] = lambda: None

    def begin(self, what: str, cancel: Callable[[], object]) -> None:
        """Tell that work has begun, and what ends it early."""
        self.what, self.at, self.done, self.total, self._cancel = what, "", 0, 0, cancel
        self.changed.emit()

    def step(self, done: int, total: int, at: str = "") -> None:
        """Tell how far it has come; nothing happens once it has ended."""
        if self.what:
            self.done, self.total, self.at = done, total, at
            self.changed.emit()

    def cancel(self) -> None:
        """End it early."""
        self._cancel()

    def end(self) -> None:
        """Tell that it has ended."""
        if self.what:
            self.what = ""
            self.changed.emit()
