"""Who has a slide's review in hand: a file with process, host and heartbeat."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

from napari_hagmil.errors import ReviewHeldError

#: Seconds between two heartbeats.
BEAT = 3.0

#: A lock whose heart has not beaten for this long belongs to nobody, s.
STALE = 30.0


@dataclass(frozen=True, slots=True)
class Holder:
    """What a lock file says.

    Attributes
    ----------
    pid : int
        Process.
    host : str
        Name of its machine.
    token : str
        Different for every window.
    beat : float
        Last sign of life, seconds since 1970.
    """

    pid: int
    host: str
    token: str
    beat: float

    def alive(self) -> bool:
        """Whether the window is still there, as far as can be told from here."""
        if abs(time.time() - self.beat) > STALE:
            return False
        return self.host != socket.gethostname() or _runs(self.pid)


class Lock:
    """The right to write one journal.

    Parameters
    ----------
    path : Path
        The lock file; its folder must exist when it is taken.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.token = uuid4().hex
        self._last_beat = 0.0

    def holder(self) -> Holder | None:
        """Another window that is alive and holds the lock."""
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
            raise ReviewHeldError(held_by(other))
        self._write()
        # Two windows may have found it free at once: the later writer has it.
        if not self.owned():
            raise ReviewHeldError(held_by(self._read()))

    def owned(self) -> bool:
        """Whether the file still names this window."""
        found = self._read()
        return found is not None and found.token == self.token

    def beat(self) -> bool:
        """Give a sign of life when one is due; False when another window took over."""
        found = self._read()
        if found is not None and found.token != self.token:
            return False
        if time.monotonic() - self._last_beat >= BEAT:
            self._write()
        return True

    def release(self) -> None:
        """Let go, if it is still held."""
        if self.owned():
            with suppress(OSError):
                self.path.unlink()

    def _read(self) -> Holder | None:
        try:
            return Holder(**json.loads(self.path.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _write(self) -> None:
        me = Holder(os.getpid(), socket.gethostname(), self.token, time.time())
        draft = self.path.with_name(f".{self.path.name}.{self.token[:12]}.tmp")
        draft.write_text(json.dumps(asdict(me)), "utf-8")
        draft.replace(self.path)
        self._last_beat = time.monotonic()


def held_by(holder: Holder | None) -> str:
    """Say who has it, and what can be done."""
    who = f"process {holder.pid} on {holder.host}" if holder else "another process"
    return (
        f"the review of this slide is open in another window ({who}), and only one may write it; "
        "close it there, or take it over here"
    )


def _runs(pid: int) -> bool:
    if os.name == "nt":  # There, signal 0 is no question: trust the heartbeat.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # It runs, under another user.
    return True
