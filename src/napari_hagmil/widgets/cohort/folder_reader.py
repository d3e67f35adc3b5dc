"""Reading a cohort's folder in the background, and again while a run works on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_hagmil.session import error_sentence
from napari_hagmil.session.cohort.folder import CohortFolder, open_cohort
from napari_hagmil.widgets.work import Background

#: How often a run under way is read again, ms.
_LOOK = 5_000


class FolderReader(QObject):  # type: ignore[misc]
    """Opens folders and reads what is stored in them.

    Attributes
    ----------
    folder : CohortFolder or None
        The one that is open.

    Signals
    -------
    opened : CohortFolder
        Another folder is open.
    read : list of CohortEntry
        What is stored about some slides.
    ended
        All slides have been read.
    failed : str
        Why a folder cannot be opened, as a sentence.
    """

    opened = Signal(object)
    read = Signal(object)
    ended = Signal()
    failed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.folder: CohortFolder | None = None
        self._work, self._closing = Background(), False
        self._look = QTimer(self, interval=_LOOK)
        self._look.timeout.connect(self.refresh)

    @property
    def busy(self) -> bool:
        """Whether a folder is being read."""
        return self._work.busy

    def open(self, path: Path) -> None:
        """Open a folder, and read what is stored about its slides."""

        def work() -> Iterator[Any]:
            folder = open_cohort(path)
            yield folder
            yield from self._pieces(folder)

        self._work.when_free(lambda: self._start(work))

    def refresh(self) -> None:
        """Read the folder again, unless that is under way."""
        folder = self.folder
        if folder is not None and not self._work.busy:
            self._start(lambda: self._pieces(folder))

    def find_in(self, place: Path) -> None:
        """Look for slides that were moved, and read the folder again."""
        folder = self.folder
        if folder is None:
            return

        def work() -> Iterator[Any]:
            folder.look_in(place)
            yield from self._pieces(folder)

        self._work.when_free(lambda: self._start(work))

    def watch(self, *, on: bool) -> None:
        """Read the folder again every few seconds, or no longer."""
        if on != self._look.isActive():
            self._look.start() if on else self._look.stop()

    def close(self) -> None:
        """Stop reading."""
        self._closing = True
        self._look.stop()
        self._work.wait()

    def _pieces(self, folder: CohortFolder) -> Iterator[Any]:
        for piece in folder.read():
            if self._closing:
                return
            yield piece

    def _start(self, work: Any) -> None:
        self._work.start(
            work,
            on_item=self._take,
            on_done=self.ended.emit,
            on_cancelled=lambda: None,
            on_error=lambda error: self.failed.emit(error_sentence(error)),
        )

    def _take(self, item: Any) -> None:
        if isinstance(item, CohortFolder):
            self.folder = item
            self.opened.emit(item)
        else:
            self.read.emit(item)
