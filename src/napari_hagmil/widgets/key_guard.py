"""Keys where the hand goes: lists, boxes and buttons pass ours on, Enter leaves a field."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtGui import QKeyEvent, QKeySequence
from qtpy.QtWidgets import (
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QTabBar,
    QWidget,
)

from napari_hagmil.widgets.cohort.keys import COHORT_KEYS
from napari_hagmil.widgets.focus import canvas_of, focus_canvas
from napari_hagmil.widgets.guard import Guard
from napari_hagmil.widgets.keys import HAGMIL_KEYS, TAB_KEYS
from napari_hagmil.widgets.review.keys import CLASS_KEYS, REVIEW_KEYS

#: They look for an entry that begins with the letter, or take it for a wrong number.
_SWALLOW = (QAbstractItemView, QComboBox, QAbstractSpinBox, QAbstractSlider, QTabBar)
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


class KeyGuard(Guard):
    """Takes the canvas's keys from controls that have no use for them.

    Parameters
    ----------
    root : QWidget
        A dock.
    """

    def __init__(self, root: QWidget) -> None:
        tables = (HAGMIL_KEYS, REVIEW_KEYS, COHORT_KEYS, TAB_KEYS, CLASS_KEYS)
        keys = [action.key for table in tables for action in table.values()]
        self._ours = {_sequence(key) for key in keys}
        super().__init__(root)

    def stops(self, watched: QObject, event: QEvent) -> bool:
        """Hand our keys to the canvas; after Enter in a field, hand it the focus."""
        if event.type() != QEvent.Type.KeyPress or not isinstance(event, QKeyEvent):
            return False
        if event.key() in _ENTER and _is_field(watched):
            QTimer.singleShot(0, lambda: focus_canvas(watched))
            return False
        canvas = canvas_of(watched) if isinstance(watched, _SWALLOW) else None
        if canvas is None or _is_text(watched) or _named(event) not in self._ours:
            return False
        QApplication.sendEvent(
            canvas, QKeyEvent(event.type(), event.key(), event.modifiers(), event.text())
        )
        return True


def _sequence(key: str) -> str:
    """A key as napari writes it, as Qt writes it."""
    return str(QKeySequence(key.replace("Control", "Ctrl").replace("-", "+")).toString())


def _named(event: QKeyEvent) -> str:
    return str(QKeySequence(event.keyCombination()).toString())


def _is_text(widget: Any) -> bool:
    return isinstance(widget, QComboBox) and widget.isEditable()


def _is_field(widget: Any) -> bool:
    """Whether Enter ends an entry there: of a text of several lines, it begins a new line."""
    return isinstance(widget, QLineEdit | QAbstractSpinBox) or _is_text(widget)
