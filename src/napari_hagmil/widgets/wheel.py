"""The wheel scrolls; it turns a control only where the user has put the focus."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import (
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QMainWindow,
    QScrollBar,
    QTabBar,
    QWidget,
)

from napari_hagmil.widgets.guard import Guard

_WITH_FOCUS = (QAbstractSpinBox, QAbstractSlider)
#: Of these a turn too far opens a dialog or another tab, and a click leaves the focus on them.
_NEVER = (QComboBox, QTabBar)


class WheelGuard(Guard):
    """Leaves the wheel over a control to the page that the control stands on."""

    def guard_dock_tabs(self, window: QWidget) -> None:
        """Guard the tab bars by which a main window shows the docks that share a place."""
        if isinstance(window, QMainWindow):
            for child in window.children():
                if isinstance(child, QTabBar):
                    child.installEventFilter(self)

    def stops(self, watched: QObject, event: QEvent) -> bool:
        """Stop turns of the wheel that a control would take."""
        if event.type() != QEvent.Type.Wheel or not _must_not_turn(watched):
            return False
        event.ignore()  # so that it goes on to the parent
        return True


def _must_not_turn(widget: QObject) -> bool:
    if isinstance(widget, _NEVER):
        return True
    takes = isinstance(widget, _WITH_FOCUS) and not isinstance(widget, QScrollBar)
    return takes and not widget.hasFocus()
