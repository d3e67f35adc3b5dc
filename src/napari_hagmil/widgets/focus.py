"""Keyboard focus: from the canvas to a dock and back."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QDockWidget, QTabWidget, QWidget


def go_to_tab(tabs: QTabWidget, tab: QWidget) -> None:
    """Bring a tab and its dock to the front, and focus its first control."""
    parent = tabs.parentWidget()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    if parent is not None:
        parent.show()
        parent.raise_()
    tabs.setCurrentWidget(tab)
    inside = [one for one in tab.findChildren(QWidget) if takes_focus(one, tab)]
    first = min(inside, key=lambda one: _place(one, tab), default=None)
    if first is not None:
        first.setFocus(Qt.FocusReason.TabFocusReason)


def takes_focus(widget: QWidget, tab: QWidget) -> bool:
    """Whether the Tab key can reach a widget."""
    tabbed = bool(widget.focusPolicy() & Qt.FocusPolicy.TabFocus)
    return tabbed and widget.isEnabled() and widget.isVisibleTo(tab) and not widget.focusProxy()


def leave_with_escape(dock: QWidget) -> QShortcut:
    """Let Escape go back from a dock to the canvas, where the keys work."""
    shortcut = QShortcut(QKeySequence(Qt.Key.Key_Escape), dock)
    shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
    shortcut.activated.connect(lambda: focus_canvas(dock))
    return shortcut


def focus_canvas(dock: QWidget) -> None:
    """Focus the canvas."""
    centre = getattr(dock.window(), "centralWidget", lambda: None)()
    for child in centre.findChildren(QWidget) if centre is not None else ():
        # napari has no public way to its canvas widget.
        if "Canvas" in type(child).__name__ and child.focusPolicy() != Qt.FocusPolicy.NoFocus:
            child.setFocus()
            return


def _place(widget: QWidget, tab: QWidget) -> tuple[int, int]:
    corner = widget.mapTo(tab, widget.rect().topLeft())
    return corner.y(), corner.x()
