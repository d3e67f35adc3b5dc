"""The decisions of all readers on all slides of a cohort, as one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from napari_hagmil.cohort import SlideRecord
from napari_hagmil.errors import HagmilError
from napari_hagmil.export.pseudonyms import Pseudonyms
from napari_hagmil.export.review import ReviewWish, review_rows, unreviewed_row, write_reviews
from napari_hagmil.export.signature import Signature
from napari_hagmil.review import ReviewState
from napari_hagmil.review.history import read_journal
from napari_hagmil.review.shelf import journals_of
from napari_hagmil.session.cohort.entry import CohortEntry
from napari_hagmil.slide import open_slide

#: Everything that was decided, drawn or concluded: a table to count in leaves nothing out.
_ALL = ReviewWish(accepted_only=False, formats=("csv",))


@dataclass(frozen=True, slots=True)
class DecisionCount:
    """What a table of decisions holds.

    Attributes
    ----------
    slides, unreviewed : int
        Slides of the cohort, and those of them that nobody has reviewed.
    reviews : int
        Reviews, one of each reader of each slide.
    """

    slides: int
    unreviewed: int
    reviews: int


def write_decisions(
    path: Path, entries: Sequence[CohortEntry], shared_reader: str
) -> DecisionCount:
    """Write every review of every slide into one CSV; made for a worker's thread.

    The columns are those of a single slide's table. The date is when the review was last written. A
    slide that nobody has reviewed has one row, of the kind "unreviewed".

    Parameters
    ----------
    path : Path
        Replaced whole.
    entries : sequence of CohortEntry
        The slides.
    shared_reader : str
        Who signs reviews that are no reader's own.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    names = _names(entries)
    found = [list(_reviews(entry, names[entry.name], shared_reader)) for entry in entries]
    missing = [
        [unreviewed_row(Signature(slide=names[entry.name]))]
        for entry, reviews in zip(entries, found, strict=True)
        if not reviews
    ]
    write_reviews(path, [*(rows for reviews in found for rows in reviews), *missing])
    return DecisionCount(len(entries), len(missing), sum(map(len, found)))


def nameless(entries: Sequence[CohortEntry]) -> list[CohortEntry]:
    """Entries with pseudonyms for names and patients, whose reviews are found all the same."""
    pseudonyms = Pseudonyms.own()
    found = []
    for entry in entries:
        record = pseudonyms.record(SlideRecord(entry.path, "", entry.patient, name=entry.name))
        patient = record.patient if entry.patient else ""
        found.append(replace(entry, path=record.path, name=record.name, patient=patient))
    return found


def _names(entries: Sequence[CohortEntry]) -> dict[str, str]:
    """What each slide is called: by its file, as in a single export; of equal files by its name."""
    counts = Counter(entry.path.name for entry in entries)
    return {
        entry.name: entry.path.name if counts[entry.path.name] == 1 else entry.name
        for entry in entries
    }


def _reviews(entry: CohortEntry, name: str, shared_reader: str) -> Iterator[list[list[Any]]]:
    for reader, journal in journals_of(entry.path, entry.fingerprint).items():
        state = read_journal(journal).history.state
        signature = Signature(
            slide=name,
            fingerprint=journal.stem,
            reviewer=reader or shared_reader,
            signed=datetime.fromtimestamp(journal.stat().st_mtime).astimezone(),
        )
        rows = review_rows(state, _ALL, mpp=_mpp(entry, state), signature=signature)
        if rows:
            yield rows


def _mpp(entry: CohortEntry, state: ReviewState) -> float | None:
    """µm per level-0 px as the reader corrected it, of the result, or as the slide says."""
    known = state.mpp_override or entry.mpp
    if known is not None:
        return known
    try:
        with open_slide(entry.path) as slide:
            return slide.mpp
    except HagmilError:
        return None
