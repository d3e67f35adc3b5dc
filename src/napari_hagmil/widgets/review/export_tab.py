"""Exporting the review: what, of which classes, in which formats."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from magicgui.widgets import CheckBox, Container
from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_hagmil.cohort.cohort import default_name
from napari_hagmil.errors import HagmilError
from napari_hagmil.export.review import ReviewWish, review_files, write_review
from napari_hagmil.review import Conclusion
from napari_hagmil.session import Review, error_sentence
from napari_hagmil.session.numbers import counted
from napari_hagmil.session.signing import sign
from napari_hagmil.widgets.asking import may_replace
from napari_hagmil.widgets.preferences import preference, reviewer_name, set_preference
from napari_hagmil.widgets.review.class_box import swatch
from napari_hagmil.widgets.style import ERROR_COLOR, plain_label, show_text, text_label

#: Fields of `ReviewWish` and their labels.
_PARTS = {
    "regions": "Attention regions",
    "accepted_only": "  of these only the accepted ones",
    "annotations": "Own annotations",
}
_FORMATS = {
    "geojson": "GeoJSON, for QuPath",
    "csv": "Table (CSV), measures and conclusion",
    "asap": "XML, for ASAP (no holes, no lines)",
    "mask": "Mask (TIFF), a number per class",
}
_NOTHING = "Nothing to write yet: accept a region, draw, or write a conclusion."
_NO_PLACE = "XML for ASAP and masks cannot hold a conclusion: choose GeoJSON or the table as well."


class ExportTab(QWidget):  # type: ignore[misc]
    """Choices, what they amount to, and a button.

    Parameters
    ----------
    review : Review
        What is exported.
    """

    def __init__(self, review: Review) -> None:
        super().__init__()
        self.review = review
        self._lay_out()
        self.parts.changed.connect(self._count)
        self.formats.changed.connect(self._count)
        self.classes.itemChanged.connect(self._count)
        self.reviewer.editingFinished.connect(
            lambda: set_preference("review", "reviewer", self.reviewer.text().strip())
        )
        self.button.clicked.connect(self._ask)
        review.changed.connect(self.show_state)
        self.show_state()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.setSpacing(4)
        self.parts = _check_boxes(_PARTS, checked=_PARTS)
        self.formats = _check_boxes(_FORMATS, checked=("geojson",))
        self.classes = QListWidget()
        self.classes.setMinimumHeight(110)
        self.open_folder = CheckBox(
            text="Open the folder afterwards", value=preference("review", "open_folder", True)
        )
        self.reviewer = QLineEdit(reviewer_name())
        self.reviewer.setToolTip("Written into tables and GeoJSON, with slide and date")
        whose = QFormLayout()
        whose.addRow("Reviewer", self.reviewer)
        self.button = QPushButton("Export…")
        self.summary = text_label()
        self.message = text_label(selectable=True)
        self.error = text_label(color=ERROR_COLOR, selectable=True)
        for widget in (
            self.parts.native, plain_label("Of the classes"), self.classes, plain_label("As"),
            self.formats.native, self.open_folder.native, self.summary, self.button,
            self.message, self.error,
        ):  # fmt: skip
            column.addWidget(widget)
        column.insertLayout(column.indexOf(self.open_folder.native), whose)
        column.addStretch(1)

    def show_state(self) -> None:
        """Show the state of the review."""
        state = self.review.state
        names = ["", *(one.name for one in state.classes)]
        if names != [i.data(Qt.ItemDataRole.UserRole) for i in self._items()]:
            colors = {one.name: one.color for one in state.classes}
            with signals_blocked(self.classes):
                self.classes.clear()
                for name in names:
                    item = QListWidgetItem(name or "No class")
                    if name:
                        item.setIcon(swatch(colors[name]))
                    item.setData(Qt.ItemDataRole.UserRole, name)
                    item.setCheckState(Qt.CheckState.Checked)
                    self.classes.addItem(item)
        self._count()

    def close_work(self) -> None:
        """Stop listening to the review."""
        self.review.changed.disconnect(self.show_state)

    def wish(self) -> ReviewWish:
        """What is to be exported, as the boxes are set."""
        items = self._items()
        checked = [i for i in items if i.checkState() == Qt.CheckState.Checked]
        names = tuple(str(i.data(Qt.ItemDataRole.UserRole)) for i in checked)
        slide = self.review.session.slide
        return ReviewWish(
            **self.parts.asdict(),
            classes=None if len(checked) == len(items) else names,
            formats=tuple(box.name for box in self.formats if box.value),
            origin=slide.origin if slide else (0, 0),
            slide_shape=slide.shape if slide else None,
        )

    def write(self, path: str | Path) -> list[Path]:
        """Write the files over those of the same names; when that fails, show why."""
        show_text(self.message, "")
        show_text(self.error, "")
        session = self.review.session
        try:
            written = write_review(
                path,
                self.review.state,
                self.wish(),
                mpp=session.slide.mpp if session.slide else None,
                signature=sign(session, self.reviewer.text()),
            )
        except HagmilError as error:
            show_text(self.error, error_sentence(error))
            return []
        names = ", ".join(one.name for one in written)
        show_text(self.message, f"Written to {written[0].parent}: {names}")
        if self.open_folder.value:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(written[0].parent)))
        return written

    def _items(self) -> list[QListWidgetItem]:
        return [self.classes.item(row) for row in range(self.classes.count())]

    def _count(self, *_: object) -> None:
        self.parts.accepted_only.enabled = self.parts.regions.value
        wish = self.wish()
        regions, drawn = wish.chosen(self.review.state)
        concluded = wish.conclusion(self.review.state) is not None
        slide = self.review.session.slide
        if not (regions or drawn or concluded):
            said = self.review.state.conclusion != Conclusion() and wish.formats
            words = _NO_PLACE if said else _NOTHING
        else:
            parts = [
                *([counted(len(regions), "region")] if regions else []),
                *([counted(len(drawn), "annotation")] if drawn else []),
                *(["the conclusion"] if concluded else []),
            ]
            words = f"Will be written: {' and '.join(parts)}."
            if slide is not None and slide.mpp is None:
                words += " The slide has no pixel size: measures are in pixels."
        show_text(self.summary, words if slide is not None else "")
        self.button.setEnabled(bool((regions or drawn or concluded) and wish.formats))

    def _ask(self) -> None:
        """Ask for a name until one is free, or its files may be replaced."""
        slide = self.review.session.slide
        if slide is None:
            return
        folder = self.review.session.ahead.behind(slide.path).parent
        path = str(folder / f"{default_name(slide.path)}-review")
        formats = self.wish().formats
        # The dialog knows the name without the endings: what it would ask is beside the point.
        option = QFileDialog.Option.DontConfirmOverwrite
        while True:
            path, _ = QFileDialog.getSaveFileName(self, "Export the review", path, options=option)
            if not path:
                return
            if may_replace(self, review_files(path, formats)):
                self.write(path)
                return


def _check_boxes(labels: Mapping[str, str], *, checked: Collection[str]) -> Container[CheckBox]:
    """Boxes by name, flush with what stands above and below them."""
    boxes = [
        CheckBox(name=name, text=label, value=name in checked) for name, label in labels.items()
    ]
    made = Container(widgets=boxes, labels=False)
    made.margins = (0, 0, 0, 0)
    made.native.layout().setSpacing(4)
    return made
