"""The last result of the open slide: kept when it is complete, shown when the slide opens again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from napari_hagmil.cascade import SlideResult
from napari_hagmil.errors import HagmilError, OutputError
from napari_hagmil.export.result_reader import read_result
from napari_hagmil.session import error_sentence
from napari_hagmil.session.runs.back import fits
from napari_hagmil.session.runs.keeping import keep, kept, kept_of_earlier, model_of
from napari_hagmil.slide import Slide
from napari_hagmil.widgets.cascade.context import CascadeContext
from napari_hagmil.widgets.cascade.run.findings_panel import FindingsPanel


class LastResult:
    """Keeps results beside the journal, and brings them back.

    Parameters
    ----------
    context : CascadeContext
        Whose session's results are kept.
    findings : FindingsPanel
        Where a result of another model, or of what the file held before, is offered.
    models : callable
        Returns the bundles that the user can choose from, by name or path.
    """

    def __init__(
        self,
        context: CascadeContext,
        findings: FindingsPanel,
        models: Callable[[], Sequence[str]],
    ) -> None:
        self._session, self._findings, self._models = context.session, findings, models
        self._offered: SlideResult | None = None
        context.links.connect(context.session.finished, self._keep)
        findings.offer_taken.connect(self._show_offered)

    def show_kept(self) -> None:
        """Show what is kept of the slide that was opened; another model's result is offered."""
        session = self._session
        if session.slide is None or session.sitting is None:
            return
        folder = kept(session.sitting, session.slide)
        # Nothing is lost where it cannot be read: the next run writes another.
        if folder is None:
            with suppress(HagmilError):
                self._offer_earlier(session.slide)
            return
        try:
            result = read_result(folder)
            model = self._model_of(result)
            if model:
                session.restore(result, model)
            else:
                self._offer(result, f"Show the last result, of {result.model.name}")
        except HagmilError as error:
            self._findings.add_note(f"The last result is not shown: {error_sentence(error)}.")

    def take(self, folder: Path) -> str:
        """Show the analysis in a folder; why that cannot be done, as a sentence, or nothing."""
        try:
            result = read_result(folder)
            self._session.restore(result, self._model_of(result))
        except HagmilError as error:
            return error_sentence(error)
        return ""

    def _model_of(self, result: SlideResult) -> str:
        """The bundle that found a result, of those that the next run may use; empty without one."""
        session = self._session
        chosen = session.model_chosen
        return model_of(result, [session.model_name] if chosen else self._models())

    def _offer_earlier(self, slide: Slide) -> None:
        """Offer the result of what the file held before, where it lies on this one."""
        folder = kept_of_earlier(slide)
        if folder is None:
            return
        result = read_result(folder)
        if fits(result, slide):
            made = datetime.fromtimestamp((folder / "result.json").stat().st_mtime)
            note = f"The file has changed since this result of {made:%d %B %Y}: it may not fit."
            self._offer(
                replace(result, notes=(note, *result.notes)),
                f"Show the result of {made:%d %B %Y}, from before the file has changed",
            )

    def _offer(self, result: SlideResult, words: str) -> None:
        self._offered = result
        self._findings.offer(words)

    def _show_offered(self) -> None:
        result, self._offered = self._offered, None
        slide = self._session.slide
        if result is not None and slide is not None and fits(result, slide):
            self._session.restore(result, changed=True)

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
