"""Claims: which process works on which slide of a folder that many share.

A claim is a file that appears whole or not at all, and whose owner rewrites it every few seconds.
One whose owner is gone is taken over by whoever moves it aside first. Whether a claim is old is
judged by the clock of the file system that holds it, so that machines whose clocks differ agree.

Not `flock`: it is not reliable on network drives, and does not say who holds a lock.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any
from uuid import uuid4

from napari_hagmil.errors import OutputError
from napari_hagmil.files import remove, short_name, sibling
from napari_hagmil.process import machine, runs
from napari_hagmil.untrusted import read_json

#: Seconds between heartbeats.
BEAT = 5.0

#: A claim without a heartbeat for this long belongs to nobody, s.
STALE = 60.0

#: Bytes of a claim's document, filled up with spaces: a heartbeat replaces as many as there were.
_SIZE = 1024


@dataclass(frozen=True, slots=True)
class Claimant:
    """The owner of a claim: the content of its file.

    Attributes
    ----------
    host : str
        Name of its machine.
    pid : int
        Its process.
    machine : str
        Tells machines, their starts and their containers apart: only on the same one does `pid`
        say whether the process still runs.
    token : str
        Different for each claim.
    start, heartbeat : float
        When the claim was made and last renewed, s since 1970 by its owner's clock.
    """

    host: str
    pid: int
    machine: str
    token: str
    start: float
    heartbeat: float

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Claims:
    """The claims of one folder.

    Parameters
    ----------
    folder : Path
        Where the files lie; made when the first claim is.
    stale : float
        Seconds without a heartbeat after which a claim is taken over.
    beat : float
        Seconds between the heartbeats of claims made here.
    """

    def __init__(self, folder: Path, *, stale: float = STALE, beat: float = BEAT) -> None:
        self.folder, self.stale, self.beat = folder, stale, beat

    def path(self, name: str) -> Path:
        """The file of a slide's claim."""
        return self.folder / f"{short_name(name, len('.json'))}.json"

    def take(self, name: str, *, tidy: Callable[[], object] = lambda: None) -> Claim | None:
        """Claim a slide; None where another process holds the claim.

        Parameters
        ----------
        name : str
        tidy : callable
            Removes what a dead owner left. It is called before his claim ends, so that it is called
            again when this process is killed, too; never where nobody died.

        Raises
        ------
        OutputError
            When the folder cannot be written.
        """
        path = self.path(name)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            claim = self._make(path)
            if claim is None and self._set_aside(path, tidy):
                claim = self._make(path)
        except OSError as error:
            raise OutputError(
                str(self.folder),
                f"cannot be written ({error.strerror or error})",
                remedy="choose another folder, or make it writable",
            ) from error
        return claim

    def holder(self, name: str) -> Claimant | None:
        """The process that works on a slide; None where there is none, or it has died."""
        path = self.path(name)
        found = _claimant(path)
        return None if found is None or self._is_stale(path, found) else found

    def _make(self, path: Path) -> Claim | None:
        """Create the file, unless there is one."""
        now = time.time()
        who = Claimant(
            socket.gethostname(), os.getpid(), machine(), uuid4().hex, round(now, 3), round(now, 3)
        )
        draft = sibling(path)
        try:
            draft.write_bytes(_document(who))
            if not _appear(draft, path):
                return None
        finally:
            remove(draft)
        return Claim(path, who, self.beat)

    def _set_aside(self, path: Path, tidy: Callable[[], object]) -> bool:
        """Tidy up after a dead owner and end his claim; return whether its place is free now."""
        found = _claimant(path)
        if not self._is_stale(path, found):
            return False
        # One process alone may end a claim: another would take away the one that follows it.
        mark = path.with_name(f".{path.name}.{_short(found)}.over")
        if not self._marked(mark):
            return False
        try:
            tidy()
            if _claimant(path) != found:
                return False
            aside = sibling(path)
            with suppress(FileNotFoundError):
                path.replace(aside)
            remove(aside)
            return True
        finally:
            remove(mark)

    def _marked(self, mark: Path) -> bool:
        """Create a marker exclusively; one left by a killed process expires."""
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            with suppress(OSError):
                if _now_by_files(self.folder) - mark.stat().st_mtime > self.stale:
                    remove(mark)
            return False
        return True

    def _is_stale(self, path: Path, found: Claimant | None) -> bool:
        """Whether nobody holds the claim in a file any more. A file that is no claim is as old."""
        if found and found.machine == machine() and not runs(found.pid):
            return True
        try:
            age = _now_by_files(self.folder) - path.stat().st_mtime
        except OSError:
            return not path.exists()
        return age > self.stale


class Claim:
    """A slide that this process works on, until `release` or the end of a ``with`` block.

    A thread renews it. A process that was suspended for long may have lost it: ask `is_held`
    before something is put in its final place.

    Parameters
    ----------
    path : Path
        The claim's file.
    owner : Claimant
    beat : float
        Seconds between heartbeats.
    """

    def __init__(self, path: Path, owner: Claimant, beat: float) -> None:
        self.path, self.owner = path, owner
        self._beat, self._closing = beat, threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"claim-{path.stem}", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """The slide's name."""
        return self.path.name.removesuffix(".json")

    def is_held(self) -> bool:
        """Whether the file still names this claim."""
        found = _claimant(self.path)
        return found is not None and found.token == self.owner.token

    def release(self) -> None:
        """Give up the claim; does nothing when it is no longer held."""
        self._closing.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        if self.is_held():
            with suppress(OSError):
                self.path.unlink()

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def _live(self) -> None:
        """Renew the heartbeat in the open file: a claim that was moved aside is not recreated."""
        try:
            with self.path.open("rb+", buffering=0) as file:
                while not self._closing.wait(self._beat):
                    if not self._renew(file):
                        return
        except OSError:
            return  # Gone with its folder, or its disk: is_held says so.

    def _renew(self, file: IO[bytes]) -> bool:
        if not self.is_held():
            return False
        renewed = asdict(self.owner) | {"heartbeat": round(time.time(), 3)}
        file.seek(0)
        file.write(_document(Claimant(**renewed)))
        os.fsync(file.fileno())
        return True


def _short(found: Claimant | None) -> str:
    """A file's name for a claim: its token may be anything."""
    return hashlib.sha256(repr(found.token if found else None).encode()).hexdigest()[:16]


def _document(who: Claimant) -> bytes:
    return json.dumps(asdict(who)).encode().ljust(_SIZE - 1) + b"\n"


def _claimant(path: Path) -> Claimant | None:
    """Read the claimant from a file; None where there is no valid one."""
    try:
        said: Any = read_json(path, limit=2 * _SIZE)
        found = Claimant(**said)
        known = (found.host, found.machine, found.token, found.pid, found.start, found.heartbeat)
    except (OSError, ValueError, TypeError):
        return None
    kinds: tuple[Any, ...] = (str, str, str, int, int | float, int | float)
    fits = all(isinstance(value, kind) for value, kind in zip(known, kinds, strict=True))
    return found if fits and found.pid > 0 else None


def _appear(draft: Path, path: Path) -> bool:
    """Link a file to its final name unless the name is taken: atomic, and for one process only."""
    try:
        os.link(draft, path)
    except FileExistsError:
        # A network drive may link, lose the answer, ask again, and find its own link.
        return _is_same(draft, path)
    except OSError:
        return _is_same(draft, path) or _appear_unlinked(draft, path)
    return True


def _is_same(draft: Path, path: Path) -> bool:
    try:
        return path.samefile(draft)
    except OSError:
        return False


def _appear_unlinked(draft: Path, path: Path) -> bool:
    """As `_appear`, where the file system has no hard links: for a moment the file is empty."""
    try:
        with path.open("xb") as file:
            file.write(draft.read_bytes())
    except FileExistsError:
        return False
    return True


def _now_by_files(folder: Path) -> float:
    """Now, by the clock that stamps the files of a folder."""
    probe = sibling(folder / "clock")
    try:
        probe.touch()
        return probe.stat().st_mtime
    finally:
        remove(probe)
