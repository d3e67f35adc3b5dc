"""Errors and warnings about a file's damaged and absent tiles."""

from __future__ import annotations

from napari_hagmil.errors import Problem, SlideReadError
from napari_hagmil.slide.interface import Address

_MAX_LENGTH = 160


def reason_of(error: BaseException) -> str:
    """Return the first line of what went wrong, without a full stop; of a group, its first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = (str(error) or type(error).__name__).splitlines()[0].strip().rstrip(".")
    return text[:_MAX_LENGTH]


def damaged_tile(name: str, address: Address, error: BaseException) -> SlideReadError:
    """Make the error of a tile that cannot be decoded."""
    level, row, column = address
    place = f"level {level}, row {row}, column {column}"
    return SlideReadError(
        name,
        f"has a damaged tile at {place} ({reason_of(error)})",
        remedy="copy the file again if its original is whole; until then this place stays unread",
    )


def absent_tiles(name: str, level: int, n_absent: int, n_tiles: int) -> Problem:
    """Make the warning about tiles of a level that the file does not hold."""
    return Problem(
        name,
        f"holds no pixels for {n_absent} of {n_tiles} tiles of level {level}; "
        "they are shown as background",
    )
