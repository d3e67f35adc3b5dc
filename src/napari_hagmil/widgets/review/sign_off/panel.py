"""The button that finishes a slide, and what it asks before."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from napari_hagmil.cohort.cohort import default_name
from napari_hagmil.errors import HagmilError
from napari_hagmil.export.signature import Signature
from napari_hagmil.review import SignOff
from napari_hagmil.session import Review, error_sentence
from napari_hagmil.session.sign_off import sign_off_files, still_open, write_sign_off
from napari_hagmil.session.signing import sign
from napari_hagmil.widgets.asking import Question, ask, may_replace
from napari_hagmil.widgets.preferences import reviewer_name
from napari_hagmil.widgets.review.sign_off.pdf import write_pdf
from napari_hagmil.widgets.style import ERROR_COLOR, QUIET_COLOR, explain, show_text, text_label

_FOOT = "research use only: not for diagnosis or treatment"


class SignOffPanel(QWidget):  # type: ignore[misc]
    """Writes report, table and outlines of the review, and notes in it that it is finished.

    Parameters
    ----------
    review : Review
        What is finished.
    """

    def __init__(self, review: Review) -> None:
        super().__init__()
        self.review = review
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.button = QPushButton("Finish…")
        explain(
            self.button,
            "Sign off: write the report (HTML and PDF), the table (CSV) and the outlines (GeoJSON)",
        )
        self.state = text_label(color=QUIET_COLOR)
        self.message = text_label(selectable=True)
        self.error = text_label(color=ERROR_COLOR, selectable=True)
        for widget in (self.button, self.state, self.message, self.error):
            column.addWidget(widget)
        self.button.clicked.connect(self.finish)

    def show_state(self) -> None:
        """Show whether the review is signed off."""
        self.button.setEnabled(self.review.sitting is not None)
        signed = self.review.state.signed
        said = f"Signed off by {signed.reviewer} on {signed.date[:10]}." if signed else ""
        show_text(self.state, said)

    def finish(self) -> None:
        """Ask what may be missing, then for a name until one is free; then write."""
        slide = self.review.session.slide
        if slide is None or not self._may_finish():
            return
        folder = self.review.session.ahead.behind(slide.path).parent
        path = str(folder / f"{default_name(slide.path)}-review")
        option = QFileDialog.Option.DontConfirmOverwrite
        while True:
            path, _ = QFileDialog.getSaveFileName(self, "Finish the slide", path, options=option)
            if not path:
                return
            if may_replace(self, sign_off_files(Path(path))):
                self.write(Path(path))
                return

    def write(self, path: Path) -> list[Path]:
        """Write all files and note it in the review; when that fails, show why."""
        show_text(self.message, "")
        show_text(self.error, "")
        session = self.review.session
        signature = sign(session, reviewer_name())
        try:
            written = write_sign_off(session, path, signature, partial(_print, signature))
        except HagmilError as error:
            show_text(self.error, error_sentence(error))
            return []
        names = ", ".join(one.name for one in written)
        show_text(self.message, f"Written to {written[0].parent}: {names}")
        self.review.sign_off(SignOff(signature.reviewer, signature.date))
        return written

    def _may_finish(self) -> bool:
        missing = still_open(self.review.state)
        more = "Both can be added later; finish again then."
        question = Question("Finish?", missing, more, "Finish all the same", "Go back")
        return not missing or ask(self, question)


def _print(signature: Signature, page: str, path: Path) -> None:
    foot = " · ".join(filter(None, (signature.slide, signature.reviewer, signature.date[:10])))
    write_pdf(page, path, foot=f"{foot} · {_FOOT}")
