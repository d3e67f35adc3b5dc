"""Read untrusted bytes and JSON: bounded, finite, regular files only; else a `ValueError`.

JSON as Python reads it knows NaN, whole numbers of any length, lone surrogates and any nesting;
each breaks something far from the file. Here they end at the file, with one kind of error.
"""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

#: Bytes of a JSON document: reviews and annotations of whole slides stay below some 100 MB.
MAX_JSON_BYTES = 256 * 2**20

#: Whole numbers that numpy and torch can hold.
_MAX_INTEGER = 2**63


def read_regular(path: Path, limit: int) -> bytes:
    """Read a file, unless it is a pipe or a device, which may never end.

    Raises
    ------
    OSError
        When it cannot be read.
    ValueError
        When it is no regular file, or has more than `limit` bytes.
    """
    # Opening a pipe would wait for somebody to write to it.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _BINARY)
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError("it is no regular file")
        if facts.st_size > limit:
            raise ValueError(f"it has {facts.st_size / 1e6:.0f} MB, more than {limit / 1e6:.0f} MB")
        # Python makes room for as much as is asked for before it reads.
        return file.read(facts.st_size)


_BINARY: int = getattr(os, "O_BINARY", 0)


def read_json(path: Path, *, limit: int = MAX_JSON_BYTES, not_numbers: bool = False) -> Any:
    """Read and parse a JSON file in UTF-8, with or without a mark.

    With `not_numbers`, NaN and infinities, which QuPath writes among measurements, become None.

    Raises
    ------
    OSError
        When it cannot be read.
    ValueError
        When it is no regular file, too large, or not JSON as `parse_json` takes it.
    """
    text = read_regular(path, limit).decode("utf-8-sig")
    return parse_json(text, not_numbers=not_numbers)


def parse_json(text: str | bytes, *, not_numbers: bool = False) -> Any:
    """Parse JSON: finite numbers, whole ones below 2⁶³, well-formed text.

    Lone halves of surrogate pairs become U+FFFD, since no file could be written with them. With
    `not_numbers`, NaN and infinities become None.

    Raises
    ------
    ValueError
        When it is not that.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    try:
        found = json.loads(
            text,
            parse_constant=_nothing if not_numbers else _refuse,
            parse_float=_finite,
            parse_int=_whole_number,
        )
        return _mended(found) if "\\ud" in text or "\\uD" in text else found
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def json_text(value: Any, *, indent: int | None = None) -> str:
    """JSON that `parse_json` takes: NaN becomes null, and an infinity the text "inf" or "-inf".

    Python writes all three as words that JSON does not have.
    """
    return json.dumps(_finite_only(value), ensure_ascii=False, allow_nan=False, indent=indent)


def _finite_only(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, list | tuple):
        return [_finite_only(one) for one in value]
    if isinstance(value, dict):
        return {key: _finite_only(one) for key, one in value.items()}
    return value


def well_formed(text: str) -> str:
    """Replace lone surrogates, which no encoding can write, by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, list):
        return [_mended(one) for one in value]
    if isinstance(value, dict):
        return {_mended(key): _mended(one) for key, one in value.items()}
    return value


def _nothing(_name: str) -> None:
    """What stands for a word that is no number."""


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number that JSON knows")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:20]} is too large")
    return value


def _whole_number(digits: str) -> int:
    # Python refuses more digits than these by itself, in other words.
    value = int(digits) if len(digits) <= 20 else _MAX_INTEGER
    if abs(value) >= _MAX_INTEGER:
        raise ValueError(f"the number {digits[:20]}… is too large")
    return value
