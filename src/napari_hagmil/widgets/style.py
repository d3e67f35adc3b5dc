"""The look of the docks: colours, titled sections, scrolled pages, labels that wrap."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

from napari.utils.theme import get_theme
from qtpy.QtCore import Qt
from qtpy.QtGui import QAction, QStandardItem
from qtpy.QtWidgets import QFrame, QLabel, QScrollArea, QVBoxLayout, QWidget


@dataclass(frozen=True, slots=True)
class Ink:
    """A colour of text by what it says, on dark and on light themes.

    Attributes
    ----------
    name : str
        As style sheets know it.
    on_dark, on_light : str
        Each with a contrast of 4.5 at least to the background of napari's theme.
    """

    name: str
    on_dark: str
    on_light: str

    def on(self, theme: str) -> str:
        """The colour on a theme of napari, by its name."""
        red, green, blue = get_theme(theme).background.as_rgb_tuple()[:3]
        return self.on_dark if red + green + blue < 3 * 128 else self.on_light


WARNING_COLOR = Ink("warning", "#ffb454", "#7a4300")
ERROR_COLOR = Ink("error", "#ff7b72", "#a3121f")
QUIET_COLOR = Ink("quiet", "#9aa4b2", "#505965")
#: The frame of the control that the keyboard would act on: napari's themes leave it as it is.
FOCUS_COLOR = Ink("focus", "#ffffff", "#101418")
#: Before whatever was decided on, or not yet.
MARKS = {"unseen": "○", "accepted": "✓", "rejected": "✗"}
#: Around text fields: napari's themes draw them in the colour of the window.
FRAME_COLOR = "#7d8590"
_FOCUSED = (
    *("QPushButton", "QToolButton", "QComboBox", "QLineEdit", "QPlainTextEdit", "QAbstractSpinBox"),
    *("QListView", "QTabBar", "QTabBar::tab", "QCheckBox", "QSlider"),
)


def dock_style(theme: str) -> str:
    """The style sheet of a dock in a theme of napari: inks, and a frame around the focus."""
    inks = (WARNING_COLOR, ERROR_COLOR, QUIET_COLOR)
    rules = [f'QLabel[ink="{ink.name}"] {{ color: {ink.on(theme)}; }}' for ink in inks]
    selectors = ", ".join(f"{one}:focus" for one in _FOCUSED)
    return "\n".join([*rules, f"{selectors} {{ border: 2px solid {FOCUS_COLOR.on(theme)}; }}"])


def set_ink(label: QLabel, ink: Ink | None) -> None:
    """Give a label an ink, or that of the theme."""
    label.setProperty("ink", ink.name if ink else "")
    label.style().unpolish(label)
    label.style().polish(label)


class Section(QFrame):  # type: ignore[misc]
    """A titled block of a dock."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(2, 4, 2, 4)
        self.body.setSpacing(4)
        heading = plain_label(title.upper())
        heading.setStyleSheet("font-weight: 600; letter-spacing: 1px;")
        set_ink(heading, QUIET_COLOR)
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


_SPACE = "\N{NO-BREAK SPACE}"
_BEFORE_A_UNIT = re.compile(r"(?<=\d) (?=(?:%|s|min|h|mm²?|µm²?|px|MB|GB)(?:\W|$))")


class _Label(QLabel):  # type: ignore[misc]
    """A label that keeps a number and its unit on one line."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.setText(text)

    def setText(self, text: str) -> None:  # noqa: N802
        """Show a text."""
        super().setText(_BEFORE_A_UNIT.sub(_SPACE, text))

    def text(self) -> str:
        """The text as it was given."""
        return str(super().text()).replace(_SPACE, " ")


def plain_label(text: str = "") -> QLabel:
    """A label of plain text; by default Qt would render what looks like HTML."""
    label = _Label(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def rich_label(text: str = "") -> QLabel:
    """A label of HTML of ours; what comes from outside goes through `html.escape`."""
    label = _Label(text)
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


def text_label(text: str = "", *, color: Ink | None = None, selectable: bool = False) -> QLabel:
    """A label that wraps; hidden while it is empty."""
    label = plain_label(text)
    label.setWordWrap(True)
    set_ink(label, color)
    if selectable:
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setVisible(bool(text))
    return label


def quiet_label(text: str = "") -> QLabel:
    """A short label that stays in the background."""
    label = plain_label(text)
    set_ink(label, QUIET_COLOR)
    return label


def show_text(label: QLabel, text: str) -> None:
    """Set a label's text, and hide it while it is empty."""
    label.setText(text)
    label.setVisible(bool(text))
