"""The viewport's path on disk: a table that anything can read, and the seal that vouches for it.

The seal holds the number of bytes and their SHA-256. Like the chain of a journal it has no key: it
detects what a disk, a copy or a careless hand changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import numpy as np

from napari_hagmil.files import replacing
from napari_hagmil.untrusted import read_regular
from napari_hagmil.viewing.view import Event, View

#: After the fingerprint of the slide.
SUFFIX, SEAL = ".viewing.csv", ".seal"

HEADER = b"time,x,y,width,height,magnification,event\n"

_MAX_BYTES, _MAX_SEAL = 2**28, 200
_EVENTS: tuple[Event, ...] = get_args(Event)


def encode_views(views: Iterable[View]) -> bytes:
    """The rows of views; (x, y) count from the corner of the first pixel, as in all files."""
    return b"".join(map(_row, views))


def decode_views(data: bytes) -> tuple[list[View], bytes]:
    """The views of a table, and the rest from the first row on that is none: usually nothing."""
    if not data.startswith(HEADER):
        return [], data
    views: list[View] = []
    at = len(HEADER)
    while (end := data.find(b"\n", at)) >= 0:
        view = _view(data[at:end])
        if view is None:
            break
        views.append(view)
        at = end + 1
    return views, data[at:]


def read_table(path: Path) -> bytes:
    """The bytes of a table; empty where there is none.

    Raises
    ------
    OSError, ValueError
        When it cannot be read, or is too large for one.
    """
    return read_regular(path, _MAX_BYTES) if path.exists() else b""


def write_table(path: Path, views: Iterable[View]) -> None:
    """Write a table of its own; `OutputError` when it cannot be written."""
    with replacing(path) as draft:
        draft.write_bytes(HEADER + encode_views(views))


def write_seal(path: Path, n_bytes: int, digest: str) -> None:
    """Note how many bytes a table has, and their SHA-256."""
    with replacing(path.with_suffix(SEAL)) as draft:
        draft.write_text(f"{n_bytes} {digest}\n", encoding="ascii")


def is_table(path: Path) -> bool:
    """Whether a file is a path of the viewport, by its name."""
    return path.name.endswith(SUFFIX)


def check_table(path: Path) -> str:
    """Say what is wrong with a table, as a clause; "" when it is as it was written.

    Raises
    ------
    OSError, ValueError
        When it cannot be read.
    """
    return what_is_wrong(path, read_table(path))


def what_is_wrong(path: Path, data: bytes) -> str:
    """As `check_table`, of bytes that were read; the last rows may have no seal yet."""
    try:
        count, digest = read_regular(path.with_suffix(SEAL), _MAX_SEAL).decode("ascii").split()
        n_bytes = int(count)
    except (OSError, ValueError):
        return f"has no {SEAL} beside it that says what was written"
    if len(data) < n_bytes:
        return "lacks rows at its end"
    if hashlib.sha256(data[:n_bytes]).hexdigest() != digest:
        return "was changed"
    _, rest = decode_views(data)
    return "has rows at its end that say nothing" if rest else ""


def _row(view: View) -> bytes:
    when = datetime.fromtimestamp(view.time, UTC).isoformat(timespec="milliseconds")
    power = "" if np.isnan(view.magnification) else f"{view.magnification:.3f}"
    sides = (view.x + 0.5, view.y + 0.5, view.width, view.height)
    numbers = ",".join(f"{side:.1f}" for side in sides)
    return f"{when},{numbers},{power},{view.event}\n".encode()


def _view(line: bytes) -> View | None:
    try:
        when, x, y, width, height, power, event = line.decode("ascii").split(",")
        time = datetime.fromisoformat(when).timestamp()
        numbers = float(y) - 0.5, float(x) - 0.5, float(height), float(width)
        at = float(power) if power else float("nan")
    except (ValueError, OverflowError):
        return None
    finite = bool(np.isfinite(numbers).all()) and not np.isinf(at)
    known = next((one for one in _EVENTS if one == event), None)
    return View(time, *numbers, at, known) if finite and known else None
