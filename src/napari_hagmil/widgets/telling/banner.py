"""Who else reviews the slide, what cannot be saved, and what was reviewed before."""

from __future__ import annotations

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_hagmil.review import Offer
from napari_hagmil.session import Review
from napari_hagmil.session.sentences import problem_sentence
from napari_hagmil.widgets.links import Links
from napari_hagmil.widgets.style import WARNING_COLOR, show_text, text_label

#: How often the state of the journal is read, ms: it is written by another thread.
_LOOK = 500


class ReviewBanner(QWidget):  # type: ignore[misc]
    """What must be known before a decision is made, above the tabs of every dock.

    Parameters
    ----------
    review : Review
        What is told of.
    links : Links
        Of the dock.
    """

    def __init__(self, review: Review, links: Links) -> None:
        super().__init__()
        self.review = review
        self.words = text_label(color=WARNING_COLOR, selectable=True)
        self.button = QPushButton()
        self.button.clicked.connect(lambda: review.answer(self._offer))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.words)
        column.addWidget(self.button)
        self._offer: Offer | None = None
        self._offered_for: object = None
        links.connect(review.changed, self.look)
        self._timer = QTimer(self, interval=_LOOK)
        self._timer.timeout.connect(self.look)
        self._timer.start()
        self.look()

    def stop(self) -> None:
        """Look no more."""
        self._timer.stop()

    def look(self) -> None:
        """Show what there is to know now."""
        sitting = self.review.sitting
        if sitting is not self._offered_for:
            self._offered_for = sitting
            offers = sitting.offers() if sitting else []
            self._offer = offers[0] if offers else None
        if sitting is None:
            self._show("", "")
        elif sitting.held_by or sitting.lost:
            problem = sitting.held_by or sitting.trouble
            self._show(problem_sentence(problem) if problem else "", "Review here instead")
        elif sitting.trouble or sitting.notes:
            problems = [sitting.trouble] if sitting.trouble else []
            said = [problem_sentence(one) for one in (*problems, *sitting.notes)]
            self._show(". ".join(said), "")
        elif self._offer is not None and not sitting.undo_name:
            regions, drawn = len(self._offer.state.regions), len(self._offer.state.annotations)
            self._show(
                f"This file has changed since it was reviewed on {self._offer.written:%d %B %Y} "
                f"({regions} regions, {drawn} annotations); that review may no longer fit.",
                "Go on with that review",
            )
        else:
            self._show("", "")

    def _show(self, words: str, answer: str) -> None:
        if words != self.words.text():
            show_text(self.words, words)
        self.button.setText(answer)
        self.button.setVisible(bool(answer))
        self.setVisible(bool(words or answer))
