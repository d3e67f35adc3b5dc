"""Write what `analyze` writes from the window: the result on show, into a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from qtpy.QtWidgets import QFileDialog

from napari_hagmil.batch.analysis import write_files
from napari_hagmil.cascade import SlideResult
from napari_hagmil.cohort.cohort import default_name
from napari_hagmil.export.analysis import FILES
from napari_hagmil.session import error_sentence
from napari_hagmil.slide import Slide
from napari_hagmil.widgets.asking import may_replace
from napari_hagmil.widgets.cascade.context import CascadeContext
from napari_hagmil.widgets.cascade.run.findings_panel import FindingsPanel


class SaveAnalysis:
    """Asks for a folder, and writes the analysis there in the background.

    Parameters
    ----------
    context : CascadeContext
        Whose session's result is written.
    findings : FindingsPanel
        Its button, and where it is said what was written.
    """

    def __init__(self, context: CascadeContext, findings: FindingsPanel) -> None:
        self._context, self._findings = context, findings
        findings.save_asked.connect(self._ask)

    def _ask(self) -> None:
        session = self._context.session
        slide, result = session.slide, session.result
        if slide is None or result is None:
            return
        proposed = str(slide.path.with_name(f"{default_name(slide.path)}-analysis"))
        option = QFileDialog.Option.DontConfirmOverwrite
        while True:
            chosen, _ = QFileDialog.getSaveFileName(
                self._findings, "Folder for the analysis", proposed, options=option
            )
            if not chosen:
                return
            if may_replace(self._findings, [Path(chosen, name) for name in FILES]):
                break
        self._context.work.when_free(lambda: self._write(slide, result, Path(chosen)))

    def _write(self, slide: Slide, result: SlideResult, folder: Path) -> None:
        def work() -> Iterator[Path]:
            write_files(slide, result, folder, overwrite=True)
            yield folder

        self._context.work.start(
            work,
            on_item=lambda made: self._findings.add_note(f"Written to {made}."),
            on_done=lambda: None,
            on_cancelled=lambda: None,
            on_error=lambda error: self._findings.add_note(error_sentence(error)),
        )
