"""Watches a dock and everything in it, what is added later too."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QChildEvent, QEvent, QObject
from qtpy.QtWidgets import QWidget


class Guard(QObject):  # type: ignore[misc]
    """Sees every event of a widget and of all in it, before they do.

    Parameters
    ----------
    root : QWidget
        It and everything in it is watched, now and what is added later.
    """

    def __init__(self, root: QWidget) -> None:
        super().__init__(root)
        self._watch(root)

    def stops(self, watched: QObject, event: QEvent) -> bool:
        """Whether an event must not reach the widget that it is for."""
        raise NotImplementedError

    def eventFilter(self, watched: QObject, event: Any) -> bool:  # noqa: N802
        """Stop what is to be stopped, and watch new widgets."""
        if self.stops(watched, event):
            return True
        # PyQt may give an event that is gone in the wrapper of another kind: ask the object itself.
        if isinstance(event, QChildEvent) and event.added() and isinstance(event.child(), QWidget):
            self._watch(event.child())
        return False

    def _watch(self, widget: QWidget) -> None:
        # Installing a filter again is no second filter: Qt moves it.
        widget.installEventFilter(self)
        for child in widget.findChildren(QWidget):
            child.installEventFilter(self)
