"""The last result of the open slide: kept when it is complete, shown when the slide opens again."""

from __future__ import annotations

from pathlib import Path

from napari_hagmil.cascade import SlideResult
from napari_hagmil.errors import HagmilError, OutputError
from napari_hagmil.export.result_reader import read_result
from napari_hagmil.session import error_sentence
from napari_hagmil.session.runs.keeping import is_of_model, keep, kept
from napari_hagmil.widgets.cascade.context import CascadeContext
from napari_hagmil.widgets.cascade.run.findings_panel import FindingsPanel


class LastResult:
    """Keeps results beside the journal, and brings them back.

    Parameters
    ----------
    context : CascadeContext
        Whose session's results are kept.
    findings : FindingsPanel
        Where a result of another model is offered.
    """

    def __init__(self, context: CascadeContext, findings: FindingsPanel) -> None:
        self._session, self._findings = context.session, findings
        self._offered: SlideResult | None = None
        context.links.connect(context.session.finished, self._keep)
        findings.offer_taken.connect(self._show_offered)

    def show_kept(self) -> None:
        """Show what is kept of the slide that was opened; another model's result is offered."""
        session = self._session
        if session.slide is None or session.sitting is None:
            return
        folder = kept(session.sitting, session.slide.fingerprint)
        if folder is None:
            return
        try:
            result = read_result(folder)
            if is_of_model(result, session.model_name):
                session.restore(result, same_model=True)
            elif result.slide.mpp == session.slide.mpp:
                self._offered = result
                self._findings.offer(f"Show the last result, of {result.model.name}")
        except HagmilError:
            return  # nothing is lost: the next run writes another

    def take(self, folder: Path) -> str:
        """Show the analysis in a folder; why that cannot be done, as a sentence, or nothing."""
        try:
            result = read_result(folder)
            same = is_of_model(result, self._session.model_name)
            self._session.restore(result, same_model=same)
        except HagmilError as error:
            return error_sentence(error)
        return ""

    def _show_offered(self) -> None:
        if self._offered is not None:
            result, self._offered = self._offered, None
            self._session.restore(result, same_model=False)

    def _keep(self, result: SlideResult | None) -> None:
        session = self._session
        run = session.shown
        if result is None or session.sitting is None or run.restored or not run.complete:
            return
        self._offered = None
        try:
            keep(session.sitting, result)
        except OutputError as error:
            self._findings.add_note(f"This result is not kept: {error_sentence(error)}.")
