"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from napari_hagmil.errors import OutputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary sibling to write to; it takes the place of `path` at the end.

    When the writing fails the sibling goes away, and what stood at `path` stays.

    Raises
    ------
    OutputError
        When the folder cannot be written, or the file not replaced.
    """
    with drafting(path) as draft:
        yield draft
        move(draft, path)


@contextmanager
def drafting(path: Path) -> Iterator[Path]:
    """Give a temporary sibling of `path` to write to; what is left of it goes at the end.

    A sibling, since only within one file system a rename is atomic.
    """
    draft = sibling(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"{path.name} cannot be written to the folder {path.parent.name or path.parent}, "
            f"which must be writable ({error.strerror or error}); choose another folder"
        ) from error
    finally:
        remove(draft)


def require_writable(path: Path) -> None:
    """Raise `OutputError` now when `path` could not be written later, after long work."""
    with drafting(path) as draft:
        draft.mkdir()


def sibling(path: Path) -> Path:
    """Make up a hidden name beside `path` that nothing else uses."""
    return path.parent / f".{path.name}.{uuid4().hex[:12]}.tmp"


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
