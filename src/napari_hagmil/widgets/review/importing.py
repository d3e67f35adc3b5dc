"""Brings the annotations of files into a review, while the window stays usable."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from psygnal import Signal

from napari_hagmil.errors import CancelledError
from napari_hagmil.session import Review, error_sentence
from napari_hagmil.session.background.importing import FoundAnnotations, read_import
from napari_hagmil.session.background.task import Task
from napari_hagmil.slide import Slide
from napari_hagmil.widgets.work import Background, Relay, load_tables

#: Geometries between two ticks of the progress.
_TICK = 50


class Importer:
    """Reads one file at a time in the background, and adds what it holds as one step.

    Parameters
    ----------
    review : Review
        Where annotations go.

    Attributes
    ----------
    task : Task
        The import that is under way.

    Signals
    -------
    ended : str
        Why nothing was imported, as a sentence; empty when something was, and when one begins.
    """

    ended = Signal(str)

    def __init__(self, review: Review) -> None:
        self.review, self.task = review, Task()
        self._work, self._relay = Background(), Relay()
        self._relay.sent.connect(lambda at: self.task.step(*at))
        self._stop = threading.Event()
        review.session.slide_changed.connect(self._leave_slide)

    @property
    def busy(self) -> bool:
        """Whether an import is under way."""
        return self._work.busy

    def take(self, path: Path) -> None:
        """Import a file into the review of the open slide."""
        slide = self.review.session.slide
        if slide is None:
            self._refuse("Open a slide first: there is nothing to import into.")
        elif self.busy:
            self._refuse(f"{path.name} waits for no other import: cancel that, or try again then.")
        else:
            self.ended.emit("")
            self._start(path, slide)

    def _start(self, path: Path, slide: Slide) -> None:
        self._stop = stop = threading.Event()
        prepared = self.review.session.prepared

        def progress(done: int, total: int) -> None:
            if stop.is_set():
                raise CancelledError(f"the import of {path.name}", "was cancelled")
            if done % _TICK == 0:
                self._relay.sent.emit((done, total))

        def work() -> Iterator[FoundAnnotations]:
            load_tables()
            tissue = prepared.tissue if prepared else None
            yield read_import(path, slide, progress, tissue=tissue)

        self.task.begin(f"Importing {path.name}", stop.set)
        self._work.start(
            work,
            on_item=self._add,
            on_done=self.task.end,
            on_cancelled=lambda: self._fail(f"{path.name} was not imported: it was cancelled."),
            on_error=lambda error: self._fail(error_sentence(error)),
        )

    def close(self) -> None:
        """End an import, and hear no more of it."""
        self._stop.set()
        self._work.forget()

    def _add(self, found: FoundAnnotations) -> None:
        if not self._stop.is_set():  # another slide is open by now
            self.review.take_import(found)

    def _fail(self, sentence: str) -> None:
        self.task.end()
        self._refuse(sentence)

    def _refuse(self, sentence: str) -> None:
        self.review.say(sentence)
        self.ended.emit(sentence)

    def _leave_slide(self, slide: object) -> None:
        self._stop.set()
