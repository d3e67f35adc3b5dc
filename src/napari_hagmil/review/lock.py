"""Which window may write a review: a lock file with process, host and heartbeat.

Not filelock: a user who finds a review locked must learn who holds it, and be able to take it
over; and an advisory lock of the system is not reliable on the network drives of slides.
"""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from uuid import uuid4

from napari_hagmil.errors import ReviewHeldError
from napari_hagmil.files import replacing, write_private
from napari_hagmil.process import runs
from napari_hagmil.untrusted import read_json

#: Seconds between heartbeats.
BEAT = 3.0

#: A lock without a heartbeat for this long belongs to nobody, s.
STALE = 30.0

_MAX_BYTES = 2**16


@dataclass(frozen=True, slots=True)
class Holder:
    """The content of a lock file.

    Attributes
    ----------
    pid : int
        Process.
    host : str
        Name of its machine.
    token : str
        Different for every window.
    beat : float
        Time of the last heartbeat, seconds since 1970.
    """

    pid: int
    host: str
    token: str
    beat: float

    def alive(self) -> bool:
        """Whether the window still runs, as far as this machine can see."""
        if self.host == socket.gethostname() and not runs(self.pid):
            return False
        # A beat to come is none that is overdue: clocks are set back.
        return time.time() - self.beat <= STALE


class Lock:
    """The right to write one journal.

    Parameters
    ----------
    path : Path
        The lock file; its folder must exist when the lock is acquired.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.token = uuid4().hex
        self._last_beat = 0.0

    def holder(self) -> Holder | None:
        """The other window that holds the lock; None when there is none, or it is dead."""
        found = self._read()
        return found if found and found.token != self.token and found.alive() else None

    def acquire(self, *, by_force: bool = False) -> None:
        """Take the lock.

        Raises
        ------
        ReviewHeldError
            When another window holds it; not with `by_force`.
        OSError
            When the lock cannot be written.
        """
        other = self.holder()
        if other and not by_force:
            raise held_error(other)
        self._write()
        # Two windows may have found it free at the same time: the later writer has it.
        if not self.owned():
            raise held_error(self._read())

    def owned(self) -> bool:
        """Whether the file still names this window."""
        found = self._read()
        return found is not None and found.token == self.token

    def beat(self) -> bool:
        """Write a heartbeat when one is due; False when another window took over.

        Raises
        ------
        OSError
            When the lock cannot be written, or its folder is gone.
        """
        found = self._read()
        if found is not None and found.token != self.token:
            return False
        if time.monotonic() - self._last_beat >= BEAT:
            # A folder that is gone took the journal with it: say so, and do not make it anew.
            self.path.parent.stat()
            self._write()
        return True

    def release(self) -> None:
        """Remove the lock file if this window still holds it."""
        if self.owned():
            with suppress(OSError):
                self.path.unlink()

    def _read(self) -> Holder | None:
        try:
            said: Any = read_json(self.path, limit=_MAX_BYTES)
            found = Holder(*(said[field.name] for field in fields(Holder)))
            return found if _is_whole(found) else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _write(self) -> None:
        me = Holder(os.getpid(), socket.gethostname(), self.token, time.time())
        with replacing(self.path) as draft:
            write_private(draft, json.dumps(asdict(me)))
        self._last_beat = time.monotonic()


def held_error(holder: Holder | None) -> ReviewHeldError:
    """The error that says who holds the review, and what can be done."""
    who = f"process {holder.pid} on {holder.host}" if holder else "another process"
    return ReviewHeldError(
        "the review of this slide",
        f"is open in another window ({who}), and only one may write it",
        remedy="close it there, or take it over here",
    )


def _is_whole(found: Holder) -> bool:
    texts, is_process = (found.host, found.token), isinstance(found.pid, int) and found.pid > 0
    is_time = isinstance(found.beat, int | float)
    return is_process and is_time and all(isinstance(text, str) for text in texts)
