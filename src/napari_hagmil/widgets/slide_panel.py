"""Open a slide, see what it is, say its pixel size where the file does not."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QWidget,
)

from napari_hagmil.geometry import PLAUSIBLE_MPP, magnification_label
from napari_hagmil.slide import Slide
from napari_hagmil.widgets.style import (
    ERROR_COLOR,
    QUIET_COLOR,
    WARNING_COLOR,
    Section,
    millimetres,
    show_text,
    text_label,
)

_SUFFIXES = ("svs", "tif", "tiff", "ndpi", "scn", "bif", "qptiff", "dcm", "jpg", "jpeg", "png")
_FILTER = f"Slides ({' '.join(f'*.{suffix}' for suffix in _SUFFIXES)});;All files (*)"


class SlidePanel(Section):
    """The slide in hand.

    Signals
    -------
    open_asked : str
        A path to open.
    phantom_asked
        The built-in phantom is wanted.
    mpp_given : float
        µm per level-0 pixel.
    """

    open_asked = Signal(str)
    phantom_asked = Signal()
    mpp_given = Signal(float)

    def __init__(self) -> None:
        super().__init__("Slide")
        self.open_button = QPushButton("Open slide…")
        self.phantom_button = QPushButton("Try the phantom")
        self.phantom_button.setToolTip("A synthetic H&E slide with planted tumour, made here")
        self.name = text_label("No slide is open.", selectable=True)
        self.facts = text_label(color=QUIET_COLOR)
        self.warning = text_label(color=WARNING_COLOR)
        self.error = text_label(color=ERROR_COLOR, selectable=True)
        self._folder = str(Path.home())
        buttons = QHBoxLayout()
        buttons.addWidget(self.open_button)
        buttons.addWidget(self.phantom_button)
        self.body.addLayout(buttons)
        self.mpp_row = self._make_mpp_row()
        self.add(self.error, self.name, self.facts, self.warning, self.mpp_row)
        self.open_button.clicked.connect(self._ask_path)
        self.phantom_button.clicked.connect(self.phantom_asked)

    def show_slide(self, slide: Slide) -> None:
        """Say what is open; ask for the pixel size when there is none."""
        show_text(self.name, slide.name)
        height, width = slide.shape
        facts = f"{width:,} × {height:,} px"
        if slide.mpp is not None:
            facts += (
                f" · {millimetres(height, width, slide.mpp)}\n{slide.mpp:.4g} µm/px "
                f"({magnification_label(slide.mpp)}), from: {slide.mpp_source}"
            )
        show_text(self.facts, facts)
        show_text(self.warning, "\n".join(slide.warnings))
        self.mpp_row.setVisible(slide.mpp is None)

    def show_error(self, sentence: str) -> None:
        """Say why a slide could not be opened."""
        show_text(self.error, sentence)

    def show_busy(self, what: str) -> None:
        """Say what is being opened."""
        show_text(self.name, what)
        show_text(self.error, "")
        show_text(self.facts, "")
        show_text(self.warning, "")
        self.mpp_row.hide()

    def set_enabled(self, enabled: bool) -> None:
        """Allow opening another slide, or not while work is under way."""
        for button in (self.open_button, self.phantom_button):
            button.setEnabled(enabled)

    def _make_mpp_row(self) -> QWidget:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        self.mpp_input = QDoubleSpinBox()
        self.mpp_input.setRange(*PLAUSIBLE_MPP)
        self.mpp_input.setDecimals(4)
        self.mpp_input.setSingleStep(0.05)
        self.mpp_input.setValue(0.25)
        self.mpp_button = QPushButton("Use")
        layout.addWidget(QLabel("µm per pixel"))
        layout.addWidget(self.mpp_input, 1)
        layout.addWidget(self.mpp_button)
        self.mpp_button.clicked.connect(lambda: self.mpp_given.emit(self.mpp_input.value()))
        row.hide()
        return row

    def _ask_path(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a slide", self._folder, _FILTER)
        if path:
            self._folder = str(Path(path).parent)
            self.open_asked.emit(path)
