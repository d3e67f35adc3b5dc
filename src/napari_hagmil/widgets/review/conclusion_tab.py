"""The user's conclusion on the slide, beside the model's prediction."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtWidgets import QComboBox, QPlainTextEdit, QVBoxLayout, QWidget

from napari_hagmil.review.queue import tally
from napari_hagmil.session import Review
from napari_hagmil.session.numbers import counted, percent
from napari_hagmil.widgets.review.sign_off.panel import SignOffPanel
from napari_hagmil.widgets.style import FRAME_COLOR, QUIET_COLOR, text_label

_OPEN = "No conclusion yet"


class ConclusionTab(QWidget):  # type: ignore[misc]
    """A class for the slide, and a text.

    Parameters
    ----------
    review : Review
        Holds the conclusion.
    """

    def __init__(self, review: Review) -> None:
        super().__init__()
        self.review = review
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        self.found = text_label(color=QUIET_COLOR)
        self.progress = text_label()
        self.path_class = QComboBox(editable=True)
        self.path_class.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.path_class.setToolTip("One of the model's classes, or your own words")
        self.text = QPlainTextEdit()
        self.text.setStyleSheet(
            f"QPlainTextEdit {{ border: 1px solid {FRAME_COLOR}; padding: 3px; }}"
        )
        # Tab leads on to Finish; nobody indents a conclusion.
        self.text.setTabChangesFocus(True)
        self.text.setPlaceholderText("Your conclusion on this slide. Saved as you type.")
        self.sign_off = SignOffPanel(review)
        for widget in (self.progress, self.path_class, self.text, self.found, self.sign_off):
            column.addWidget(widget)
        self.path_class.lineEdit().setPlaceholderText(_OPEN)
        self.path_class.currentTextChanged.connect(self._conclude)
        self.text.textChanged.connect(self._conclude)
        self._showing = False
        review.changed.connect(self.show_state)
        self.show_state()

    def show_state(self) -> None:
        """Show the state of the review; a cursor in a text stays where it is."""
        self._showing = True
        said = self.review.state.conclusion
        result = self.review.session.result
        classes = list(result.model.classes) if result else []
        offered = [self.path_class.itemText(i) for i in range(self.path_class.count())]
        if offered != ["", *classes]:
            self.path_class.clear()
            self.path_class.addItems(["", *classes])
        if self.path_class.currentText() != said.path_class:
            self.path_class.setCurrentText(said.path_class)
        if self.text.toPlainText() != said.text:
            self.text.setPlainText(said.text)
        counts = tally(self.review.state.regions)
        self.progress.setText(
            f"{counted(counts['accepted'], 'region')} accepted, {counts['rejected']} rejected, "
            f"{counts['unseen']} still unseen; "
            f"{counted(len(self.review.state.annotations), 'own annotation')}."
        )
        self.progress.show()
        self._show_model()
        self.sign_off.show_state()
        for widget in (self.path_class, self.text):
            widget.setEnabled(self.review.sitting is not None)
        self._showing = False

    def close_work(self) -> None:
        """Stop listening to the review."""
        self.review.changed.disconnect(self.show_state)

    def _show_model(self) -> None:
        result = self.review.session.result
        cascade = result.prediction if result else None
        if result is None or cascade is None:
            self.found.hide()
            return
        shares = zip(cascade.classes, cascade.probabilities, strict=True)
        listed = ", ".join(f"{name} {percent(float(share))}" for name, share in shares)
        listed = listed.replace(" %", "\u00a0%")  # the line breaks before or after it
        warning = f"{result.unfit} " if result.unfit else ""
        self.found.setText(
            f"{warning}The model {result.model.name} says: {listed}. Research use only: it is not "
            "a second opinion."
        )
        self.found.show()

    def _conclude(self) -> None:
        if not self._showing and self.review.sitting is not None:
            said = replace(
                self.review.state.conclusion,
                path_class=self.path_class.currentText(),
                text=self.text.toPlainText(),
            )
            self.review.change("conclude", coalesce="conclude", conclusion=said)
