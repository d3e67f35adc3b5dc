"""The view: the magnification, and how tiles are loaded."""

from __future__ import annotations

from napari.settings import get_settings
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QPushButton

from napari_hagmil.geometry import magnification_text
from napari_hagmil.widgets.cascade.camera import PRESETS
from napari_hagmil.widgets.style import Section, plain_label, quiet_label


class ViewPanel(Section):
    """Sets the magnification.

    Signals
    -------
    magnification_asked : float
        Zoom to this magnification.
    whole_asked
        Show the whole slide.
    """

    magnification_asked = Signal(float)
    whole_asked = Signal()

    def __init__(self) -> None:
        super().__init__("View")
        self.magnification = QComboBox()
        self.magnification.setEditable(True)
        self.magnification.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.magnification.addItems([f"{preset:g}×" for preset in PRESETS.values()])
        self.magnification.setToolTip("Alt-1 to Alt-6 for 1.25× to 40×, or type any other")
        self.whole = QPushButton("Whole slide")
        self.whole.setToolTip("Show the whole slide (Alt-0)")
        self.note = quiet_label()
        self.smooth = QCheckBox("Load tiles in the background")
        self.smooth.setToolTip(
            "The window stays responsive while tiles are read (napari's asynchronous loading)"
        )
        self.smooth.setChecked(bool(get_settings().experimental.async_))
        self.srgb = QCheckBox("Colours of the slide's profile")
        line = QHBoxLayout()
        line.addWidget(plain_label("Magnification"))
        line.addWidget(self.magnification)
        line.addWidget(self.whole)
        self.body.addLayout(line)
        self.add(self.note, self.srgb, self.smooth)
        self.whole.clicked.connect(self.whole_asked)
        self.magnification.textActivated.connect(lambda text: self._take(text))
        self.magnification.lineEdit().editingFinished.connect(self._edited)
        self.smooth.toggled.connect(_load_asynchronously)
        self._shown = ""

    def show_magnification(self, magnification: float | None, scanned: float | None) -> None:
        """Show the magnification, and a note where it exceeds that of the scan.

        A slide without a pixel size has neither.
        """
        self._shown = "–" if magnification is None else magnification_text(magnification)
        self.magnification.setEnabled(magnification is not None)
        if not self.magnification.lineEdit().hasFocus():
            self.magnification.setEditText(self._shown)
        blown = scanned is not None and (magnification or 0.0) > 1.05 * scanned
        scan = magnification_text(scanned or 0.0)
        self.note.setText(f"Enlarged beyond the scan ({scan})" if blown else "")
        self.note.setVisible(blown)

    def show_none(self) -> None:
        """Show that no slide is open."""
        self.show_magnification(None, None)

    def _edited(self) -> None:
        text = self.magnification.currentText()
        if text != self._shown:
            self._take(text)

    def _take(self, text: str) -> None:
        try:
            wanted = float(text.rstrip("×xX ").replace(",", "."))
        except ValueError:
            wanted = 0.0
        if 0 < wanted <= 1000:
            self.magnification_asked.emit(wanted)
        else:
            self.magnification.setEditText(self._shown)


def _load_asynchronously(on: bool) -> None:
    get_settings().experimental.async_ = on
