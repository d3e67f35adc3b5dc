"""An append-only file of every change, written and synced behind the window's back."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

from napari_hagmil.review.lines import encode_line
from napari_hagmil.review.lock import BEAT, Lock, held_by
from napari_hagmil.review.record import Record

#: Seconds after which a failed write is tried again.
_RETRY = 1.0


class Journal:
    """Appends records to a file from a thread of its own; nothing exists before `start`.

    All that the file should hold is also kept in memory: when a disk was full or a network
    drive away for a while, the file is then written anew, whole.

    Parameters
    ----------
    path : Path
        The file; its folder is made.
    on_problem : callable
        Told a sentence when writing fails, and "" when it works again; from the
        journal's thread.

    Attributes
    ----------
    lost : bool
        Whether another window has taken the journal over: nothing is written any more.
    """

    def __init__(self, path: Path, *, on_problem: Callable[[str], None] = lambda s: None) -> None:
        self.path, self.on_problem = path, on_problem
        self.lock = Lock(path.with_suffix(".lock"))
        self.lost = False
        self._lines: list[bytes] = []
        self._n_written = 0
        self._anew = False
        self._edition = 0
        self._wake = threading.Condition()
        self._file: IO[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._closing = self._troubled = False

    @property
    def started(self) -> bool:
        """Whether it is being written."""
        return self._thread is not None

    @property
    def n_lines(self) -> int:
        """Lines of the file, those that wait to be written included."""
        return len(self._lines)

    @property
    def n_bytes(self) -> int:
        """Bytes of the file, those that wait to be written included."""
        return sum(map(len, self._lines))

    def start(self, records: Iterable[Record], *, by_force: bool = False) -> None:
        """Take the lock, and write the whole file anew with these records.

        Raises
        ------
        ReviewHeldError
            When another window holds the journal; not with `by_force`.
        OSError
            When the folder cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.lock.acquire(by_force=by_force)
        # Before the thread lives: it would write a file without them.
        self.replace(records)
        self._thread = threading.Thread(target=self._live, name="review-journal", daemon=True)
        self._thread.start()

    def append(self, record: Record) -> None:
        """Write one more line, as soon as the disk takes it."""
        with self._wake:
            self._lines.append(encode_line(len(self._lines), record))
            self._wake.notify_all()

    def replace(self, records: Iterable[Record]) -> None:
        """Write the whole file anew, in the place of what was there."""
        lines = [encode_line(number, record) for number, record in enumerate(records)]
        with self._wake:
            self._lines, self._n_written, self._anew = lines, 0, True
            self._edition += 1
            self._wake.notify_all()

    def flush(self, seconds: float = 5.0) -> bool:
        """Wait until all is on disk; False when it is not after so long."""
        with self._wake:
            return self._wake.wait_for(lambda: not self._waiting, seconds)

    def close(self) -> bool:
        """Write what waits and let go; False when something could not be written."""
        if self._thread is None:
            return True
        clean = self.lost or self.flush()
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        self._thread.join(2 * BEAT)
        self._thread = None
        self._close_file()
        self.lock.release()
        return clean

    @property
    def _waiting(self) -> bool:
        return self._anew or self._n_written < len(self._lines)

    def _live(self) -> None:
        while not self._closing:
            with self._wake:
                if self._troubled:
                    self._wake.wait_for(lambda: self._closing, _RETRY)
                else:
                    self._wake.wait_for(lambda: self._waiting or self._closing, BEAT)
            try:
                if self._troubled:
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                # What another window has taken over is not written to.
                if not self.lock.beat():
                    self.lost = True
                    return self.on_problem(held_by(self.lock.holder()))
                self._write()
            except OSError as error:
                self._fail(error)
        return None

    def _write(self) -> None:
        with self._wake:
            edition, anew = self._edition, self._anew
            upto = len(self._lines)
            data = b"".join(self._lines[0 if anew else self._n_written : upto])
        if anew:
            self._write_anew(data)
        elif data:
            self._append(data)
        with self._wake:
            if edition == self._edition:
                self._n_written, self._anew = upto, False
            self._wake.notify_all()
        if self._troubled:
            self._troubled = False
            self.on_problem("")

    def _append(self, data: bytes) -> None:
        if self._file is None:
            self._file = self.path.open("ab", buffering=0)
        # A file that was deleted still takes what is written to it.
        if not os.path.samestat(os.fstat(self._file.fileno()), self.path.stat()):
            raise FileNotFoundError(2, "the file was replaced by another")
        while data:
            data = data[self._file.write(data) :]
        os.fsync(self._file.fileno())

    def _write_anew(self, data: bytes) -> None:
        self._close_file()
        draft = self.path.with_name(f".{self.path.name}.tmp")
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
        sync_folder(self.path.parent)

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _fail(self, error: OSError) -> None:
        # What a failed write left behind may be torn, or on a disk that is gone.
        self._close_file()
        with self._wake:
            self._anew = True
        if not self._troubled:
            self._troubled = True
            self.on_problem(
                f"the review cannot be saved to {self.path.parent} ({error.strerror or error}); "
                "it is kept in memory and tried again every second, so leave the window open"
            )


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder last beyond a power cut, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
