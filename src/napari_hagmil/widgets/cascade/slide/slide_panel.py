"""Open a slide, see its facts, and correct its pixel size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QWidget,
)

from napari_hagmil.geometry import PLAUSIBLE_MPP
from napari_hagmil.session.slide_report import slide_facts
from napari_hagmil.slide import Slide
from napari_hagmil.widgets.style import (
    ERROR_COLOR,
    QUIET_COLOR,
    WARNING_COLOR,
    Section,
    explain,
    plain_label,
    show_text,
    text_label,
)

_SUFFIXES = (
    *("svs", "tif", "tiff", "ndpi", "scn", "bif", "qptiff", "mrxs", "vms", "czi"),
    *("dcm", "jpg", "jpeg", "png"),
)
_FILTER = f"Slides ({' '.join(f'*.{suffix}' for suffix in _SUFFIXES)});;All files (*)"

#: µm per pixel that the field begins with where the slide states none: a scan at 40×.
_GUESS = 0.25


_NO_SLIDE = "No slide is open."


class SlidePanel(Section):
    """The open slide.

    Signals
    -------
    open_asked : str
        A path to open.
    phantom_asked
        The built-in phantom is to be opened.
    close_asked
        The slide is to be closed.
    forget_asked
        The list of recent slides is to be cleared.
    mpp_given : object
        µm per level-0 pixel; None: what the file states.
    """

    open_asked = Signal(str)
    phantom_asked = Signal()
    close_asked = Signal()
    forget_asked = Signal()
    mpp_given = Signal(object)

    def __init__(self) -> None:
        super().__init__("Slide")
        self.open_button = QPushButton("Open slide…")
        self.recent_button = QPushButton("Recent")
        self.recent = QMenu(self.recent_button)
        self.recent_button.setMenu(self.recent)
        self.phantom_button = QPushButton("Phantom")
        self.phantom_button.setToolTip("A synthetic H&E slide with planted tumour, made locally")
        self.close_button = QPushButton("Close slide")
        self.close_button.setToolTip("The review is saved, and opens with the slide again")
        self.close_button.hide()
        self.name = text_label(_NO_SLIDE, selectable=True)
        self.facts = text_label(color=QUIET_COLOR)
        self.warning = text_label(color=WARNING_COLOR)
        self.error = text_label(color=ERROR_COLOR, selectable=True)
        self._folder = str(Path.home())
        buttons = QHBoxLayout()
        for button in (self.open_button, self.recent_button, self.phantom_button):
            buttons.addWidget(button)
        self.body.addLayout(buttons)
        self.mpp_row = self._make_mpp_row()
        name_row = QHBoxLayout()
        name_row.addWidget(self.name, 1)
        name_row.addWidget(self.close_button)
        self.add(self.error)
        self.body.addLayout(name_row)
        self.add(self.facts, self.warning, self.mpp_row)
        self.open_button.clicked.connect(self._ask_path)
        self.phantom_button.clicked.connect(self.phantom_asked)
        self.close_button.clicked.connect(self.close_asked)
        self.show_recent(())

    def show_slide(self, slide: Slide, *, corrected: bool = False) -> None:
        """Show the facts of a slide; ask for the pixel size when there is none."""
        show_text(self.name, slide.name)
        # Never the previous slide's number: it would be taken for this one's.
        self.mpp_input.setValue(_GUESS if slide.mpp is None else slide.mpp)
        show_text(self.facts, slide_facts(slide, corrected=corrected))
        show_text(self.warning, "\n".join(p.sentence("window") for p in slide.problems))
        self.mpp_row.show()
        self.close_button.show()
        self.reset_button.setVisible(corrected)
        self.mpp_button.setText("Correct" if slide.mpp is not None else "Use")

    def show_none(self) -> None:
        """Show that no slide is open."""
        self.show_busy(_NO_SLIDE)

    def show_error(self, sentence: str) -> None:
        """Say why a slide could not be opened."""
        show_text(self.error, sentence)

    def show_busy(self, what: str) -> None:
        """Say which slide is being opened."""
        show_text(self.name, what)
        for label in (self.error, self.facts, self.warning):
            show_text(label, "")
        self.mpp_row.hide()
        self.close_button.hide()

    def show_recent(self, paths: Sequence[Path]) -> None:
        """Offer the slides that were opened last, the latest first."""
        self.recent.clear()
        for path in paths:
            action = self.recent.addAction(path.name)
            explain(action, str(path))
            action.triggered.connect(lambda _=False, path=path: self.open_asked.emit(str(path)))
        if paths:
            self.recent.addSeparator()
            self.recent.addAction("Clear this list").triggered.connect(self.forget_asked)
        self.recent_button.setEnabled(bool(paths))

    def set_enabled(self, enabled: bool) -> None:
        """Enable opening another slide, or disable it while one is being opened."""
        for button in (self.open_button, self.phantom_button):
            button.setEnabled(enabled)
        self.recent_button.setEnabled(enabled and not self.recent.isEmpty())

    def _make_mpp_row(self) -> QWidget:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        self.mpp_input = QDoubleSpinBox()
        self.mpp_input.setRange(*PLAUSIBLE_MPP)
        self.mpp_input.setDecimals(4)
        self.mpp_input.setSingleStep(0.05)
        self.mpp_input.setValue(_GUESS)
        self.mpp_input.setFixedWidth(110)
        self.mpp_button, self.reset_button = QPushButton("Use"), QPushButton("Reset")
        self.reset_button.setToolTip("Go back to the pixel size that the file states")
        for widget in (
            plain_label("µm per pixel"),
            self.mpp_input,
            self.mpp_button,
            self.reset_button,
        ):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.mpp_button.clicked.connect(lambda: self.mpp_given.emit(self.mpp_input.value()))
        self.reset_button.clicked.connect(lambda: self.mpp_given.emit(None))
        self.reset_button.hide()
        row.hide()
        return row

    def _ask_path(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a slide", self._folder, _FILTER)
        if path:
            self._folder = str(Path(path).parent)
            self.open_asked.emit(path)
