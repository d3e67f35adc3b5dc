"""Small shared pieces of the docks: headings, hints, numbers for people."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QLabel, QScrollArea, QVBoxLayout, QWidget

#: Neither dock grows wider than this, px.
MAX_WIDTH = 420

WARNING_COLOR = "#ffb454"
ERROR_COLOR = "#ff7b72"
QUIET_COLOR = "#9aa4b2"
#: Round what can be written into: napari's themes draw text fields in the colour of the window.
FRAME_COLOR = "#7d8590"


class Section(QFrame):  # type: ignore[misc]
    """A titled block of a dock."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(2, 4, 2, 4)
        self.body.setSpacing(4)
        heading = QLabel(title.upper())
        heading.setStyleSheet(f"color: {QUIET_COLOR}; font-weight: 600; letter-spacing: 1px;")
        self.body.addWidget(heading)

    def add(self, *widgets: QWidget) -> None:
        """Put widgets below each other."""
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
        """Put panels below those that are there."""
        for panel in panels:
            self.column.insertWidget(self.column.count() - 1, panel)


def text_label(text: str = "", *, color: str = "", selectable: bool = False) -> QLabel:
    """A label that wraps; hidden while it is empty."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    if color:
        label.setStyleSheet(f"color: {color};")
    if selectable:
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setVisible(bool(text))
    return label


def show_text(label: QLabel, text: str) -> None:
    """Set a label's text, and hide it when there is none."""
    label.setText(text)
    label.setVisible(bool(text))


def counted(n: int, noun: str) -> str:
    """``"1 region"``, ``"2 regions"``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def percent(share: float) -> str:
    """A probability or share for people: never rounded to a certainty."""
    if 0.995 <= share < 1:
        return "> 99 %"
    if 0 < share < 0.005:
        return "< 1 %"
    return f"{100 * share:.0f} %"


def millimetres(height: int, width: int, mpp: float) -> str:
    """Size of a slide: ``"4.1 × 3.0 mm"``, width first as people say it."""
    return f"{width * mpp / 1000:.1f} × {height * mpp / 1000:.1f} mm"


def duration(seconds: float) -> str:
    """A length of time for people: ``"3 s"``, ``"2 min"``, ``"1.5 h"``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
