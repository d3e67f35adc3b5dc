"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import csv
import glob
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from napari_hagmil.errors import OutputError
from napari_hagmil.untrusted import well_formed

#: A draft this old belongs to a program that was killed, s: none writes for a day.
STALE = 86_400.0


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Give a temporary sibling to write to; it takes the place of `path` at the end.

    When the writing fails the sibling is removed, and what stood at `path` stays.

    Parameters
    ----------
    path : Path
        A file or a folder; its parent is made where it is missing.
    durable : bool
        Whether a file must outlast a power cut from the end of the block on: costs some ms.

    Raises
    ------
    OutputError
        When the folder cannot be written, or the file not replaced.
    """
    with drafting(path) as draft:
        yield draft
        if durable:
            with draft.open("rb+") as file:
                os.fsync(file.fileno())
        move(draft, path)
        if durable:
            _sync_folder(path.parent)


@contextmanager
def drafting(path: Path) -> Iterator[Path]:
    """Give a temporary sibling of `path` to write to; what is left of it is removed at the end.

    A sibling, since a rename is atomic only within one file system.

    Raises
    ------
    OutputError
        When the system refuses to write. What the block itself raises on purpose passes.
    """
    draft = sibling(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
    except OSError as error:
        # Errors of this package, and of decoders, have no number of the system's.
        if error.errno is None:
            raise
        raise OutputError(
            path.name,
            f"cannot be written to the folder {path.parent.name or path.parent} "
            f"({error.strerror or error})",
            remedy="choose another folder",
        ) from error
    finally:
        remove(draft)


def write_csv(
    path: Path,
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    encoding: str = "utf-8",
    end: str = "\n",
) -> None:
    """Write a table, one line per row; `OutputError` when it cannot be written.

    A text that a spreadsheet would take for a formula has an apostrophe before it. No other code
    writes CSV.
    """
    with replacing(path) as draft, draft.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, lineterminator=end)
        writer.writerow([spreadsheet_cell(name) for name in header])
        writer.writerows([spreadsheet_cell(value) for value in row] for row in rows)


def spreadsheet_cell(value: object) -> object:
    """A value that no spreadsheet runs as a formula, and any encoding can write."""
    if not isinstance(value, str):
        return value
    # csv leaves a lone carriage return unquoted, and reads it as the end of a line.
    text = well_formed(value).replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA) and not _is_number(text) else text


def from_spreadsheet_cell(text: str) -> str:
    """Undo `spreadsheet_cell`, for tables of ours that are read again."""
    return text[1:] if text[:1] == "'" and text.lstrip("'").startswith(_FORMULA) else text


_FORMULA = ("=", "+", "-", "@", "\t")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_there(path: Path) -> bool:
    """Whether a path from outside leads to something; one that no system takes leads nowhere."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def require_writable(path: Path) -> None:
    """Raise `OutputError` now when `path` could not be written later, after long work."""
    with drafting(path) as draft:
        draft.mkdir()


def move(draft: Path, path: Path) -> None:
    """Put a finished file or folder in the place of another of the same name."""
    if not (draft.is_dir() and path.is_dir()):
        draft.replace(path)
        return
    # A folder cannot be renamed onto a full one: step the old one aside first.
    old = sibling(path)
    path.replace(old)
    try:
        draft.replace(path)
    except OSError:
        old.replace(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def remove(path: Path) -> None:
    """Remove a file or folder that may not be there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def remove_drafts(folder: Path, name: str = "", *, older_than: float = STALE) -> None:
    """Remove the drafts that killed programs have left in a folder.

    Parameters
    ----------
    folder : Path
    name : str
        Of the file or folder that they were to become; empty: of all.
    older_than : float
        Seconds since they were begun or last added to.
    """
    for draft in folder.glob(f".{glob.escape(name) or '*'}.*.tmp"):
        with suppress(OSError):
            if time.time() - draft.stat().st_mtime >= older_than:
                remove(draft)


def sibling(path: Path) -> Path:
    """Make up a hidden name beside `path` that nothing else uses."""
    return path.parent / f".{path.name}.{uuid4().hex[:12]}.tmp"


def _sync_folder(folder: Path) -> None:
    """Make a rename in a folder outlast a power cut, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
