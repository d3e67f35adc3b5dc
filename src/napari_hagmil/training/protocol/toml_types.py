"""Check that the entries of a protocol file have the types of the fields they set."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from napari_hagmil.errors import ProtocolError

Fits = Callable[[Any], bool]


def require_table(source: str, name: str, found: object) -> None:
    """Raise unless a part of the file is a table: ``[name]``."""
    if not isinstance(found, dict):
        raise ProtocolError(
            source, f"needs [{name}] to be a table", value=f"{found!r:.60}", remedy="write it so"
        )


def require_types(source: str, entry: Mapping[str, Any], *kinds: type) -> None:
    """Raise unless every entry that is a field of one of the dataclasses has its type.

    Raises
    ------
    ProtocolError
        With the name of the first that has not.
    """
    annotations = {f.name: str(f.type) for kind in kinds for f in fields(kind)}
    for name, value in entry.items():
        # What is not in the table is one of several texts, which are named elsewhere.
        words, fits = _KINDS.get(annotations.get(name, ""), ("a text", _is_text))
        if name in annotations and not fits(value):
            raise ProtocolError(
                source, f"needs {name} to be {words}", value=f"{value!r:.60}", remedy="correct it"
            )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31


def _is_number(value: Any) -> bool:
    return (isinstance(value, float) and not math.isnan(value)) or _is_whole(value)


def _list_of(fits: Fits) -> Fits:
    return lambda value: isinstance(value, list) and all(map(fits, value))


_KINDS: dict[str, tuple[str, Fits]] = {
    "int": ("a whole number", _is_whole),
    "int | None": ("a whole number", _is_whole),
    "float": ("a number", _is_number),
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "tuple[int, ...]": ("a list of whole numbers", _list_of(_is_whole)),
    "tuple[float, ...]": ("a list of numbers", _list_of(_is_number)),
    "tuple[str, ...]": ("a list of texts", _list_of(_is_text)),
    "tuple[tuple[int, ...], ...]": ("a list of lists of numbers", _list_of(_list_of(_is_whole))),
    "Mapping[str, Any]": ("a table", lambda value: isinstance(value, dict)),
}
"""By a field's annotation: what must stand there, in words and as a check."""
