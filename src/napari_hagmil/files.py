"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import csv
import glob
import hashlib
import os
import re
import shutil
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from uuid import uuid4

from napari_hagmil.errors import OutputError
from napari_hagmil.process import machine, runs
from napari_hagmil.untrusted import well_formed

#: Bytes of the longest name that common systems take, those that a draft's name adds, and digits of
#: a hash that stands for what was cut off.
MAX_NAME, _DRAFT_ROOM, _HASH = 255, 34, 12

#: Age from which a draft is taken to be a killed program's, s: none is written to for a day.
STALE = 86_400.0


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary sibling to write to; it replaces `path` at the end.

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
    """Yield a temporary sibling of `path` to write to; it is removed at the end if still there.

    A sibling, since a rename is atomic only within one file system.

    Raises
    ------
    OutputError
        When the system refuses to write. What the block itself raises on purpose passes.
    """
    draft = sibling(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
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


def write_private(path: Path, text: str) -> None:
    """Write a file that other users of the machine cannot read: mode 0600."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def write_csv(
    path: Path,
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    encoding: str = "utf-8",
    end: str = "\n",
) -> None:
    """Write a table, one line per row; `OutputError` when it cannot be written.

    A text that a spreadsheet would take for a formula gets an apostrophe in front. All CSV files
    are written here.
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
    """Whether a path from outside exists; False for one that the system cannot even represent."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def require_writable(path: Path) -> None:
    """Raise `OutputError` now when `path` could not be written later, after long work."""
    with drafting(path) as draft:
        draft.mkdir()


def move(draft: Path, path: Path) -> None:
    """Move a finished file or folder to its final place, replacing what stands there."""
    if not (draft.is_dir() and path.is_dir()):
        _rename(draft, path)
        return
    # A folder cannot be renamed onto a full one: step the old one aside first.
    old = sibling(path)
    _rename(path, old)
    try:
        _rename(draft, path)
    except OSError:
        _rename(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _rename(source: Path, target: Path) -> None:
    """Rename, and believe what is there more than what the system says of it.

    A network drive may rename, lose the answer, ask again, and report that the source is missing.
    """
    facts = source.stat()
    try:
        source.replace(target)
    except OSError:
        with suppress(OSError):
            if os.path.samestat(facts, target.stat()):
                return
        raise


def move_together(moves: Sequence[tuple[Path, Path]]) -> None:
    """Move files (draft, path) into place, all or none, over those of the same names.

    What was there is copied first, and comes back when one of them cannot be moved.
    """
    done: list[tuple[Path, Path | None]] = []
    try:
        for draft, path in moves:
            before = sibling(path) if is_there(path) else None
            if before is not None:
                shutil.copy2(path, before)
            done.append((path, before))
            draft.replace(path)
    except OSError:
        for path, before in reversed(done):
            if before is None:
                remove(path)
            elif is_there(before):
                before.replace(path)
        raise
    for _, before in done:
        if before is not None:
            remove(before)


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
        Seconds since they were begun or last added to. Those of processes of this machine that
        have ended go at once.
    """
    wanted = glob.escape(short_name(name, _DRAFT_ROOM)) or "*"
    for draft in folder.glob(f".{wanted}.*.tmp"):
        with suppress(OSError):
            if _is_orphan(draft) or time.time() - draft.stat().st_mtime >= older_than:
                remove(draft)


def sibling(path: Path) -> Path:
    """Return an unused hidden name beside `path`."""
    name = short_name(path.name, _DRAFT_ROOM)
    return path.parent / f".{name}.{_here()}-{os.getpid()}-{uuid4().hex[:8]}.tmp"


@cache
def _here() -> str:
    """A short identifier of this machine, boot and container, for a file's name."""
    return f"{zlib.crc32(machine().encode()):08x}"


#: The end of a draft's name: machine, process, and a number of its own.
_DRAFT = re.compile(r"\.([0-9a-f]{8})-(\d{1,10})-[0-9a-f]{8}\.tmp$")


def _is_orphan(draft: Path) -> bool:
    """Whether the process that made a draft is known to have ended."""
    found = _DRAFT.search(draft.name)
    return found is not None and found[1] == _here() and not runs(int(found[2]))


@cache
def _sweep(folder: Path) -> None:
    """Remove what ended processes of this machine left in a folder; once in each process."""
    with suppress(OSError):
        for draft in folder.glob(".*.tmp"):
            if _is_orphan(draft):
                remove(draft)


def reserve(path: Path, n_bytes: int) -> None:
    """Allocate a file of zeros on the disk before it is mapped into memory.

    Writing to a mapped file without allocated blocks ends the process with SIGBUS when the disk is
    full.

    Raises
    ------
    OSError
        When the disk has no room for it.
    """
    with path.open("wb") as file:
        if n_bytes and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, n_bytes)
            return
        for start in range(0, n_bytes, _BLOCK):
            file.write(bytes(min(_BLOCK, n_bytes - start)))


_BLOCK = 2**24


def short_name(name: str, room: int = 0) -> str:
    """Shorten a file's name, with a hash, so that it leaves `room` bytes of the longest possible.

    Long names are common in scripts that need three bytes a character.
    """
    data = os.fsencode(name)
    if len(data) <= MAX_NAME - room:
        return name
    cut = data[: MAX_NAME - room - _HASH - 1].decode("utf-8", "ignore")
    return f"{cut}~{hashlib.sha256(data).hexdigest()[:_HASH]}"


def fits_name(path: Path) -> bool:
    """Whether a system takes the last part of a path as the name of a file."""
    return len(os.fsencode(path.name)) <= MAX_NAME


def _sync_folder(folder: Path) -> None:
    """Make a rename in a folder outlast a power cut, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
