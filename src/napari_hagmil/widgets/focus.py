"""Keyboard focus: from the canvas to a dock and back."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QDockWidget, QScrollArea, QTabWidget, QWidget

#: Controls whose centres differ by less stand in one line, px.
_LINE = 10


def go_to_tab(tabs: QTabWidget, tab: QWidget) -> None:
    """Bring a tab and its dock to the front, and focus its first control."""
    parent = tabs.parentWidget()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    if parent is not None:
        parent.show()
        parent.raise_()
    tabs.setCurrentWidget(tab)
    for first in in_reading_order(tab)[:1]:
        first.setFocus(Qt.FocusReason.TabFocusReason)


def takes_focus(widget: QWidget, tab: QWidget) -> bool:
    """Whether the Tab key can reach a widget."""
    tabbed = bool(widget.focusPolicy() & Qt.FocusPolicy.TabFocus)
    # Qt makes whatever scrolls reachable; a page is only the ground that controls stand on.
    tabbed = tabbed and not isinstance(widget, QScrollArea)
    return tabbed and widget.isEnabled() and widget.isVisibleTo(tab) and not widget.focusProxy()


def leave_with_escape(dock: QWidget) -> QShortcut:
    """Let Escape go back from a dock to the canvas, where the keys work."""
    shortcut = QShortcut(QKeySequence(Qt.Key.Key_Escape), dock)
    shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
    shortcut.activated.connect(lambda: focus_canvas(dock))
    return shortcut


def canvas_of(widget: QWidget) -> QWidget | None:
    """The canvas of the window that a widget stands in; None where there is none."""
    centre = getattr(widget.window(), "centralWidget", lambda: None)()
    for child in centre.findChildren(QWidget) if centre is not None else ():
        # napari has no public way to its canvas widget.
        if "Canvas" in type(child).__name__ and child.focusPolicy() != Qt.FocusPolicy.NoFocus:
            return child
    return None


def focus_canvas(widget: QWidget) -> None:
    """Focus the canvas of the window that a widget stands in."""
    canvas = canvas_of(widget)
    if canvas is not None:
        canvas.setFocus()


def in_reading_order(root: QWidget) -> list[QWidget]:
    """What the Tab key can reach: line by line, and in a line from left to right."""
    found = [one for one in root.findChildren(QWidget) if takes_focus(one, root)]
    centres = {one: one.mapTo(root, one.rect().center()) for one in found}
    lines: list[list[QWidget]] = []
    for one in sorted(found, key=lambda one: centres[one].y()):
        if lines and centres[one].y() - centres[lines[-1][0]].y() < _LINE:
            lines[-1].append(one)
        else:
            lines.append([one])
    return [one for line in lines for one in sorted(line, key=lambda one: centres[one].x())]
