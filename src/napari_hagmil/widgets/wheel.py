"""The wheel scrolls; it turns a control only where the user has put the focus."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QChildEvent, QEvent, QObject
from qtpy.QtWidgets import (
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QMainWindow,
    QScrollBar,
    QTabBar,
    QWidget,
)

_WITH_FOCUS = (QAbstractSpinBox, QAbstractSlider)
#: Of these a turn too far opens a dialog or another tab, and a click leaves the focus on them.
_NEVER = (QComboBox, QTabBar)


class WheelGuard(QObject):  # type: ignore[misc]
    """Leaves the wheel over a control to the page that the control stands on.

    Parameters
    ----------
    root : QWidget
        It and everything in it is guarded, now and what is added later.
    """

    def __init__(self, root: QWidget) -> None:
        super().__init__(root)
        self._watch(root)

    def guard_dock_tabs(self, window: QWidget) -> None:
        """Guard the tab bars by which a main window shows the docks that share a place."""
        if isinstance(window, QMainWindow):
            for child in window.children():
                if isinstance(child, QTabBar):
                    child.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: Any) -> bool:  # noqa: N802
        """Stop turns of the wheel that a control would take, and watch new widgets."""
        kind = event.type()
        if kind == QEvent.Type.Wheel and _must_not_turn(watched):
            event.ignore()  # so that it goes on to the parent
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


def _must_not_turn(widget: QObject) -> bool:
    if isinstance(widget, _NEVER):
        return True
    takes = isinstance(widget, _WITH_FOCUS) and not isinstance(widget, QScrollBar)
    return takes and not widget.hasFocus()
