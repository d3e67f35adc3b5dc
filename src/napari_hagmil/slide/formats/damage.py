"""One sentence for whatever a decoder raises."""

from __future__ import annotations

from napari_hagmil.errors import SlideReadError
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
    return SlideReadError(
        f"{name} has a damaged tile at level {level}, row {row}, column {column} "
        f"({reason_of(error)}); this place is left unread"
    )
