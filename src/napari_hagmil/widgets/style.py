"""The look of the docks: colours, titled sections, scrolled pages, labels that wrap."""

from __future__ import annotations

import html

from qtpy.QtCore import Qt
from qtpy.QtGui import QAction, QStandardItem
from qtpy.QtWidgets import QFrame, QLabel, QScrollArea, QVBoxLayout, QWidget

WARNING_COLOR = "#ffb454"
ERROR_COLOR = "#ff7b72"
QUIET_COLOR = "#9aa4b2"
#: Before whatever was decided on, or not yet.
MARKS = {"unseen": "○", "accepted": "✓", "rejected": "✗"}
#: Around text fields: napari's themes draw them in the colour of the window.
FRAME_COLOR = "#7d8590"
#: The control that the keyboard would act on has a frame: napari's themes leave it as it is.
FOCUS_COLOR = "#4c9aff"
FOCUS_STYLE = f"""
QPushButton:focus, QToolButton:focus, QComboBox:focus, QLineEdit:focus, QPlainTextEdit:focus,
QAbstractSpinBox:focus, QListWidget:focus, QTabBar:focus, QTabBar::tab:focus
{{ border: 2px solid {FOCUS_COLOR}; }}
QCheckBox:focus, QSlider:focus {{ border: 2px solid {FOCUS_COLOR}; border-radius: 3px; }}
"""


class Section(QFrame):  # type: ignore[misc]
    """A titled block of a dock."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(2, 4, 2, 4)
        self.body.setSpacing(4)
        heading = plain_label(title.upper())
        heading.setStyleSheet(f"color: {QUIET_COLOR}; font-weight: 600; letter-spacing: 1px;")
        self.body.addWidget(heading)

    def add(self, *widgets: QWidget) -> None:
        """Add widgets below each other."""
        for widget in widgets:
            self.body.addWidget(widget)


class Page(QScrollArea):  # type: ignore[misc]
    """A tab of a dock: panels below each other, scrolled where the window is too small."""

    def __init__(self) -> None:
        super().__init__()
        self.content = QWidget()
        self.column = QVBoxLayout(self.content)
        self.column.setContentsMargins(6, 6, 6, 6)
        self.column.addStretch(1)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(self.content)

    def add(self, *panels: QWidget) -> None:
        """Add panels below each other."""
        for panel in panels:
            self.column.insertWidget(self.column.count() - 1, panel)


def plain_label(text: str = "") -> QLabel:
    """A label of plain text; by default Qt would render what looks like HTML."""
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def rich_label(text: str = "") -> QLabel:
    """A label of HTML of ours; what comes from outside goes through `html.escape`."""
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.RichText)
    return label


def explain(target: QWidget | QAction | QStandardItem, text: str) -> None:
    """Give a widget or a menu's entry a plain-text tooltip."""
    target.setToolTip(plain_tip(text))


def plain_tip(text: str) -> str:
    """A text as a tooltip shows it unchanged; Qt's tooltips have no plain mode."""
    if not Qt.mightBeRichText(text):
        return text
    lines = "<br>".join(map(html.escape, text.splitlines()))
    return f"<qt>{lines}</qt>"


def text_label(text: str = "", *, color: str = "", selectable: bool = False) -> QLabel:
    """A label that wraps; hidden while it is empty."""
    label = plain_label(text)
    label.setWordWrap(True)
    if color:
        label.setStyleSheet(f"color: {color};")
    if selectable:
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setVisible(bool(text))
    return label


def quiet_label(text: str = "") -> QLabel:
    """A short label that stays in the background."""
    label = plain_label(text)
    label.setStyleSheet(f"color: {QUIET_COLOR};")
    return label


def show_text(label: QLabel, text: str) -> None:
    """Set a label's text, and hide it while it is empty."""
    label.setText(text)
    label.setVisible(bool(text))
