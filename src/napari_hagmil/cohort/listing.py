"""The slides found in a data set, and what was left out and why."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_hagmil.cohort.cohort import SlideRecord
from napari_hagmil.cohort.read import OPTIONAL, REQUIRED
from napari_hagmil.errors import CohortError, Problem
from napari_hagmil.files import write_csv
from napari_hagmil.untrusted import well_formed


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or row of a data set that is not in its cohort.

    Attributes
    ----------
    name : str
        Path within the data set, or the file's name.
    reason : str
        Why, as a clause.
    """

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The slides of a data set, ready to be written as a cohort's table.

    Attributes
    ----------
    records : tuple of SlideRecord
    left_out : tuple of LeftOut
        Every file that looks like a slide, or every row of the data set's own table, that gave no
        record.
    problems : tuple of Problem
        What the user may want to mend.
    notes : tuple of str
        What the user should know, a sentence each.
    """

    records: tuple[SlideRecord, ...]
    left_out: tuple[LeftOut, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


def write_cohort(path: str | Path, records: Sequence[SlideRecord]) -> None:
    """Write a table that `read_cohort` reads.

    A slide or truth below the table's folder is named relative to it, so that both can move
    together; any other by its absolute path.

    Raises
    ------
    CohortError
        When there is no slide, or a name that is no text and cannot stand in a table.
    OutputError
        When the table cannot be written.
    """
    path = Path(path)
    if not records:
        raise CohortError(f"{path.name} cannot be written", ["no slide was found"])
    _require_text(path, records)
    columns = (*REQUIRED, *OPTIONAL)
    cells = [_cells(record, path.parent) for record in records]
    write_csv(path, columns, [[row.get(column, "") for column in columns] for row in cells])


def _cells(record: SlideRecord, folder: Path) -> dict[str, str]:
    return {
        "slide": _named(record.path, folder),
        "label": record.label,
        "patient": record.patient,
        "split": record.split or "",
        "name": record.name,
        "truth": _named(record.truth, folder) if record.truth else "",
    }


def _require_text(path: Path, records: Sequence[SlideRecord]) -> None:
    names = [str(name) for one in records for name in (one.path, one.truth, one.label, one.patient)]
    lost = [name for name in names if well_formed(name) != name]
    if lost:
        why = [f"{well_formed(name)} is not UTF-8: rename it" for name in lost]
        raise CohortError(f"{path.name} cannot be written", why)


def _named(path: Path, folder: Path) -> str:
    absolute, base = path.absolute(), folder.absolute()
    return (absolute.relative_to(base) if absolute.is_relative_to(base) else absolute).as_posix()


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder, sorted by folder; hidden ones and loops of links are passed.

    Raises
    ------
    CohortError
        When there is no such folder.
    """
    if not folder.is_dir():
        raise CohortError(f"{folder.name or folder} cannot be used", ["it is not a folder"])
    seen = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        # A link to a folder further up would be walked for ever.
        real = os.path.realpath(root)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(root, name) for name in sorted(names) if not name.startswith("."))


def number(n: int, noun: str) -> str:
    """``1 slide``, ``2 slides``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def some(names: Sequence[str], shown: int = 5) -> str:
    """Name a few of many: "a, b and 12 others"."""
    if len(names) <= shown:
        return ", ".join(names)
    return f"{', '.join(names[: shown - 1])} and {len(names) - shown + 1} others"
