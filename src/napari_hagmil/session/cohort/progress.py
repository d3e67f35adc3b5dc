"""How far each reader has come, read from the journals of slides that are not open."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from napari_hagmil.review.history import read_journal
from napari_hagmil.review.progress import ReviewProgress, progress_of
from napari_hagmil.review.shelf import journals_of


class ProgressReader:
    """Reads journals; one that has not changed is read once."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[int, int, ReviewProgress]] = {}

    def read(self, slide: Path, fingerprint: str = "") -> Mapping[str, ReviewProgress]:
        """How far every reader of a slide has come; those who have not begun are left out.

        Parameters
        ----------
        slide : Path
            It need not be there.
        fingerprint : str
            Of its content; empty: of whatever content it was reviewed with last.
        """
        try:
            journals = journals_of(slide, fingerprint)
            found = {reader: self._of(path) for reader, path in journals.items()}
        except OSError:
            return {}
        return {name: one for name, one in found.items() if one.stage != "not begun"}

    def _of(self, journal: Path) -> ReviewProgress:
        stat = journal.stat()
        mark = stat.st_mtime_ns, stat.st_size
        known = self._known.get(journal)
        if known is None or known[:2] != mark:
            progress = progress_of(read_journal(journal).history.state)
            known = self._known[journal] = (*mark, progress)
        return known[2]
