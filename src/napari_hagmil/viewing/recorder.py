"""Keeps the viewport's path: taking a view costs the window microseconds, a thread writes them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import time as now

from napari_hagmil.errors import Problem, system_reason
from napari_hagmil.files import replacing
from napari_hagmil.review.lock import Lock, held_error
from napari_hagmil.review.shelf import Shelf, keep_damaged
from napari_hagmil.viewing.table import (
    HEADER,
    SEAL,
    SUFFIX,
    decode_views,
    encode_views,
    read_table,
    what_is_wrong,
    write_seal,
)
from napari_hagmil.viewing.view import REST, View

#: Seconds that a view must last to be kept while the viewport moves: 20 a second are a smooth path.
LEAST = 0.05

Report = Callable[[Problem], object]
"""Called with what keeps the path from being kept."""


class ViewRecorder:
    """Appends views to the table of one slide, which it locks; made and closed by one thread.

    Parameters
    ----------
    path : Path
        The table; its folder is made.
    on_problem : callable
        Called when the path cannot be kept, on either thread; it stays in memory then.

    Attributes
    ----------
    note : Problem or None
        What was found wrong with the table that was there.
    """

    def __init__(self, path: Path, *, on_problem: Report = lambda problem: None) -> None:
        self.path, self.on_problem = path, on_problem
        self.note: Problem | None = None
        self._lock = Lock(path.with_suffix(".lock"))
        self._known: list[View] = []
        self._kept: list[View] = []
        self._held: View | None = None
        self._n_written = 0
        self._hash = hashlib.sha256()
        self._n_bytes = 0
        self._guard, self._closing = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._failed = False

    def start(self, carried: bytes = b"") -> None:
        """Lock the table and go on with it; one that was changed is kept under another name.

        Parameters
        ----------
        carried : bytes
            What to begin with where there is no table yet: that of another folder.

        Raises
        ------
        ReviewHeldError
            When another window keeps a path of this slide.
        OSError, ValueError
            When the table cannot be read, or its folder not be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        data = read_table(self.path)
        wrong = what_is_wrong(self.path, data) if data else ""
        if wrong:
            self.note = keep_damaged(self.path)
        found = data or carried
        self._known, rest = decode_views(found)
        whole = found[: len(found) - len(rest)] or HEADER
        if whole != data:
            with replacing(self.path, durable=True) as draft:
                draft.write_bytes(whole)
        self._seal(whole)
        self._thread = threading.Thread(target=self._live, name="viewing-path", daemon=True)
        self._thread.start()

    def take(self, view: View) -> None:
        """Note what is in view from now on; of a movement, only what lasts `LEAST` is kept."""
        with self._guard:
            held, self._held = self._held, view
            if held is not None:
                last = self._kept[-1].time if self._kept else 0.0
                brief = view.time - held.time < LEAST and held.time - last < LEAST
                if held.event != "move" or not brief:
                    self._kept.append(held)

    def views(self) -> list[View]:
        """The whole path: of earlier sittings, and of this one until now."""
        with self._guard:
            mine = [*self._kept, *([self._held] if self._held is not None else [])]
            if mine and mine[-1].event not in ("away", "close"):
                # So that what is in view now counts for as long as it has been.
                mine.append(mine[-1]._replace(time=max(now(), mine[-1].time), event="rest"))
        return [*self._known, *mine]

    def close(self) -> None:
        """Write what waits, and unlock the table."""
        if self._thread is None:
            return
        self._closing.set()
        self._thread.join(2 * REST)
        self._thread = None
        with self._guard:
            held, self._held = self._held, None
            if held is not None:
                self._kept.append(held)
                if held.event not in ("away", "close"):
                    self._kept.append(held._replace(time=max(now(), held.time), event="close"))
        with suppress(OSError):
            self._write()
        self._lock.release()

    def _live(self) -> None:
        while not self._closing.wait(REST):
            self._rest()
            try:
                if not self._lock.beat():
                    self.on_problem(held_error(self._lock.holder()).problem)
                    return
                self._write()
                self._failed = False
            except OSError as error:
                self._fail(error)

    def _rest(self) -> None:
        """Note that the view is still the same."""
        with self._guard:
            held, moment = self._held, now()
            if held is None or moment - held.time < LEAST:
                return
            self._kept.append(held)
            is_in_view = held.event not in ("away", "close")
            self._held = held._replace(time=moment, event="rest") if is_in_view else None

    def _write(self) -> None:
        with self._guard:
            waiting = self._kept[self._n_written :]
        if not waiting:
            return
        rows, n_there = encode_views(waiting), self.path.stat().st_size
        if n_there < self._n_bytes:
            raise FileNotFoundError(2, "the file was replaced by another")
        with self.path.open("r+b") as file:
            # Not after what a killed write has left behind: the table ends where its seal says.
            file.truncate(self._n_bytes)
            file.seek(self._n_bytes)
            file.write(rows)
        self._n_written += len(waiting)
        self._seal(rows)

    def _seal(self, added: bytes) -> None:
        """Vouch for the table with these bytes at its end."""
        self._hash.update(added)
        self._n_bytes += len(added)
        write_seal(self.path, self._n_bytes, self._hash.hexdigest())

    def _fail(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            self.on_problem(
                Problem(
                    "where you look",
                    f"cannot be kept in {self.path.parent} ({system_reason(error)})",
                    remedy="it is tried again; what was seen until now is in memory",
                )
            )


def places_of(shelf: Shelf) -> tuple[Path, ...]:
    """Where the table may be written: beside the journal, else in the user's data folder."""
    journals = dict.fromkeys((shelf.journal, shelf.fallback))
    return tuple(one.with_name(one.stem + SUFFIX) for one in journals)


def tables_of(shelf: Shelf) -> list[Path]:
    """All tables that there are for these bytes, the one to go on with first."""
    moved = [shelf.found.with_name(shelf.found.stem + SUFFIX)] if shelf.found else []
    tables = dict.fromkeys([*places_of(shelf), *moved])
    return [one for one in tables if one.is_file() and not one.is_symlink()]


def forget_path(shelf: Shelf) -> None:
    """Delete what was kept of a slide, everywhere, with its seals."""
    for table in tables_of(shelf):
        table.unlink(missing_ok=True)
        table.with_suffix(SEAL).unlink(missing_ok=True)
