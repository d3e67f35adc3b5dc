"""Choose where the features come from: computed from pixels, or stored."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog

from napari_hagmil.widgets.style import explain

_PIXELS, _FOLDER, _FILES = "Computed from pixels", "Store or folder…", "h5 files…"


class FeaturesBox(QComboBox):  # type: ignore[misc]
    """A list with the pixels, the stored features that were chosen, and two ways to choose some.

    Signals
    -------
    chosen
        Other features are to be used.
    """

    chosen = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.places: tuple[Path, ...] = ()
        self.addItems([_PIXELS, _FOLDER, _FILES])
        self.setToolTip(
            "Features that this or another program stored stand in for the encoder:\n"
            "a store of encode or features import, h5 files of CLAM, TRIDENT or STAMP"
        )
        self.activated.connect(self._take)

    def choose(self, places: tuple[Path, ...]) -> None:
        """Use stored features, of h5 files one per depth; none: compute them from pixels."""
        if places == self.places:
            self._show()
            return
        self.places = places
        self._show()
        self.chosen.emit()

    def leave_slide(self) -> None:
        """Forget the features of one slide; a folder may hold those of the next one too."""
        if any(place.is_file() or place.suffix == ".zarr" for place in self.places):
            self.choose(())

    def _show(self) -> None:
        if self.count() == 4:
            self.removeItem(1)
        if self.places:
            self.insertItem(1, ", ".join(place.name for place in self.places))
            explain(self.model().item(1), "\n".join(map(str, self.places)))
        self.setCurrentIndex(1 if self.places else 0)

    def _take(self) -> None:
        """Carry out what was clicked; a dialog that is left changes nothing."""
        text = self.currentText()
        if text == _PIXELS:
            self.choose(())
        elif text == _FOLDER and self.currentIndex() == self.count() - 2:
            found = QFileDialog.getExistingDirectory(self, "Choose a store (.zarr) or a folder")
            self.choose((Path(found),) if found else self.places)
        elif text == _FILES and self.currentIndex() == self.count() - 1:
            title = "Choose h5 files, one per depth"
            names, _ = QFileDialog.getOpenFileNames(self, title, "", "Features (*.h5 *.hdf5)")
            self.choose(tuple(Path(name) for name in sorted(names)) or self.places)
