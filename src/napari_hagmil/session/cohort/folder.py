"""A run's folder, or a folder of slides, as a table that fills while it is read."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_hagmil.batch.folder import RunFolder, open_run
from napari_hagmil.batch.summary import latest_rows, result_facts
from napari_hagmil.cohort import SlideRecord, gather_slides
from napari_hagmil.cohort.folders import slides_below
from napari_hagmil.errors import OutputError
from napari_hagmil.export.result_reader import require_unchanged
from napari_hagmil.files import from_spreadsheet_cell, is_there
from napari_hagmil.session.cohort.entry import CohortEntry
from napari_hagmil.session.cohort.progress import ProgressReader
from napari_hagmil.session.numbers import percent
from napari_hagmil.session.runs.keeping import latest_kept
from napari_hagmil.untrusted import read_json

#: Entries that are handed over at once: of more the window would feel each, of fewer their number.
_PIECE = 250

_ODD = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError)


class CohortFolder:
    """Slides that are read one after the other, and what is stored about them.

    Parameters
    ----------
    root : Path
        The folder.
    records : iterable of SlideRecord
        Its slides.
    run : RunFolder, optional
        The run that the folder holds; None: a folder of slides.
    """

    def __init__(
        self, root: Path, records: Iterable[SlideRecord], run: RunFolder | None = None
    ) -> None:
        self.root, self.run = root, run
        self._records = tuple(records)
        self._found: dict[str, Path] = {}
        self._progress = ProgressReader()

    @property
    def mpp(self) -> float | None:
        """µm per level-0 px that the run gave slides without one; None: as the files say."""
        return self.run.settings.mpp if self.run else None

    def entries(self) -> list[CohortEntry]:
        """All slides, of which no more is known than the table says; reads nothing."""
        state = "waiting" if self.run else ""
        return [
            CohortEntry(
                record.name,
                self._found.get(record.name, record.path),
                "" if record.patient == record.name else record.patient,
                state=state,
            )
            for record in self._records
        ]

    def read(self) -> Iterator[list[CohortEntry]]:
        """All slides with what is stored about them, in pieces; made for a worker's thread.

        No slide is opened. What cannot be read is not known.
        """
        piece: list[CohortEntry] = []
        calls = _patient_calls(self.root / "patients.csv") if self.run else {}
        rows = latest_rows(self.run) if self.run else map(_kept_facts, self.entries())
        for entry, row in zip(self.entries(), rows, strict=True):
            known = replace(_with_facts(entry, row), patient_call=calls.get(entry.patient, ""))
            if self.run is not None and known.state in ("done", "incomplete", "no_tissue"):
                known = replace(known, result=self.run.place(entry.name))
            reviews = self._progress.read(entry.path, known.fingerprint)
            piece.append(replace(known, reviews=reviews, is_moved=not is_there(entry.path)))
            if len(piece) == _PIECE:
                yield piece
                piece = []
        yield piece

    def look_in(self, folder: Path) -> int:
        """Find slides that were moved by their files' names, in a folder and below it.

        A name that several files have there is none to go by.

        Returns
        -------
        int
            How many were found.
        """
        places: dict[str, list[Path]] = {}
        for place in slides_below(folder)[0]:
            places.setdefault(place.path.name, []).append(place.path)
        before = len(self._found)
        for entry in self.entries():
            there = places.get(entry.path.name, [])
            if len(there) == 1 and not is_there(entry.path):
                self._found[entry.name] = there[0].absolute()
        return len(self._found) - before


def open_cohort(path: Path) -> CohortFolder:
    """Open the folder of a batch, or any folder, table or glob that names slides.

    Raises
    ------
    OutputError
        When it holds a run that cannot be read, or there is no such folder.
    CohortError
        When it names no slide.
    """
    if (path / "run.json").exists():
        run = open_run(path)
        return CohortFolder(path, run.records.values(), run)
    if "*" not in path.name and not is_there(path):
        raise OutputError(f"the folder {path.name}", "is not there", remedy="choose another folder")
    return CohortFolder(path, gather_slides(path).records)


def _kept_facts(entry: CohortEntry) -> Mapping[str, Any]:
    """What the last result says that a window has kept of a slide."""
    with suppress(*_ODD):
        folder = latest_kept(entry.path)
        if folder is not None:
            require_unchanged(folder)
            said = read_json(folder / "result.json")
            # The fingerprint is not looked at: an entry of today's bytes may lie beside this one.
            return {**result_facts(said), "state": str(said["state"]), "fingerprint": ""}
    return {}


def _patient_calls(path: Path) -> Mapping[str, str]:
    """How the run calls each patient; nothing where its table cannot be read."""
    with suppress(*_ODD, csv.Error), path.open(newline="", encoding="utf-8") as file:
        return {from_spreadsheet_cell(row["patient"]): _call(row) for row in csv.DictReader(file)}
    return {}


def _call(row: Mapping[str, str]) -> str:
    if not row["called"]:
        return "not called"
    chances = [float(value) for key, value in row.items() if key.startswith("p_")]
    return f"{from_spreadsheet_cell(row['called'])} {percent(max(chances))}"


def _with_facts(entry: CohortEntry, row: Mapping[str, Any]) -> CohortEntry:
    """An entry with a row of the summary; as it was where the row is none of ours."""
    state = str(row.get("state") or entry.state)
    try:
        share, mpp = row.get("finest_share"), row.get("mpp")
        chances = [float(row[key]) for key in row if key.startswith("p_") and row[key] is not None]
        return replace(
            entry,
            state=state,
            reason=str(row.get("reason") or ""),
            called=str(row.get("class") or ""),
            probabilities=tuple(chances),
            unseen=None if share is None else min(max(1 - float(share), 0.0), 1.0),
            mpp=None if mpp is None else float(mpp),
            fingerprint=str(row.get("fingerprint") or ""),
        )
    except (TypeError, ValueError):
        return replace(entry, state=state)
