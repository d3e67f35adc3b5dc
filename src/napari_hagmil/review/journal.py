"""An append-only file of every change, encoded, written and synced by a thread of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from napari_hagmil.errors import Problem, system_reason
from napari_hagmil.files import replacing
from napari_hagmil.review.chain import forget_head, set_aside, write_head
from napari_hagmil.review.lock import BEAT, Lock, held_error
from napari_hagmil.review.record import Record, encode_line, last_link

#: Seconds after which a failed write is tried again.
_RETRY = 1.0

Report = Callable[[Problem | None], object]
"""Called with what keeps the journal from being written, and with None when it is again."""


@dataclass(frozen=True, slots=True)
class _Restart:
    """The file is begun again with these records; `aside`: what it held is kept beside it."""

    records: Iterable[Record]
    aside: bool


class Journal:
    """Appends records to a file from a thread of its own; neither exists before `start`.

    Everything that the file should hold is also kept in memory, so that the whole file can be
    rewritten after the disk was full or a network drive was unavailable. Records are encoded on
    that thread, too: those of ten thousand outlines take as long as a hand notices.

    Parameters
    ----------
    path : Path
        The file; its folder is created.
    on_problem : callable
        Called with a `Problem` when writing fails, and with None when it works again; on the
        journal's thread.

    Attributes
    ----------
    lost : bool
        Whether another window has taken the journal over: this one writes no more.
    """

    def __init__(self, path: Path, *, on_problem: Report = lambda problem: None) -> None:
        self.path, self.on_problem = path, on_problem
        self.lock = Lock(path.with_suffix(".lock"))
        self.lost = False
        self._queue: list[Record | _Restart] = []
        self._encoding = threading.Lock()
        self._lines: list[bytes] = []
        self._n_written = self._n_begun = 0
        self._rewrite = False
        self._aside: list[bytes] = []
        self._wake = threading.Condition()
        self._file: IO[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._closing = self._troubled = False

    @property
    def started(self) -> bool:
        """Whether this window writes it."""
        return self._thread is not None

    @property
    def n_lines(self) -> int:
        """Lines of the file, including those that wait to be written."""
        with self._wake:
            queue = list(self._queue)
            if not self._restarts:
                return len(self._lines) + len(queue)
            # Those before the file is begun again count no more.
            return [isinstance(one, _Restart) for one in reversed(queue)].index(True)

    @property
    def n_bytes(self) -> int:
        """Bytes of the file, including those that are encoded and wait to be written."""
        with self._wake:
            return 0 if self._restarts else sum(map(len, self._lines))

    @property
    def n_begun(self) -> int:
        """Bytes of the file when it was opened, begun, or made short last."""
        return self._n_begun

    def start(
        self, records: Iterable[Record], *, whole: bytes = b"", by_force: bool = False
    ) -> None:
        """Acquire the lock, and go on with the file, or write it with these records.

        Parameters
        ----------
        records : iterable of dict
        whole : bytes
            The intact content that was read; it is appended to if the file still holds it.
        by_force : bool
            Take the lock from another window.

        Raises
        ------
        ReviewHeldError
            When another window holds the journal; not with `by_force`.
        OSError
            When the folder cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.lock.acquire(by_force=by_force)
        # Before the thread runs, which would write a file without them.
        if whole and self._is(whole):
            self._lines = whole.splitlines(keepends=True)
            self._n_written, self._n_begun = len(self._lines), len(whole)
        else:
            self.replace(records)
        self._thread = threading.Thread(target=self._live, name="review-journal", daemon=True)
        self._thread.start()

    def append(self, record: Record) -> None:
        """Queue one more line to be written."""
        self._put(record)

    def _is(self, whole: bytes) -> bool:
        try:
            return self.path.read_bytes() == whole
        except OSError:
            return False

    def shorten(self, records: Iterable[Record]) -> None:
        """Queue the file to be set aside and begun again with these records."""
        self._put(_Restart(records, aside=True))

    def replace(self, records: Iterable[Record]) -> None:
        """Queue the whole file to be rewritten with these records."""
        self._put(_Restart(records, aside=False))

    def _put(self, wanted: Record | _Restart) -> None:
        with self._wake:
            self._queue.append(wanted)
            self._wake.notify_all()

    def flush(self, seconds: float = 5.0) -> bool:
        """Wait until everything is on disk; False when it is not after that time."""
        with self._wake:
            return self._wake.wait_for(lambda: not self._waiting, seconds)

    def close(self) -> bool:
        """Write what waits and release the lock; False when something could not be written."""
        if self._thread is None:
            return True
        self._encode()  # a disk may never answer, but this comes to an end
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
    def _restarts(self) -> bool:
        """Whether the file is to be begun again, and what it holds counts no more."""
        return any(isinstance(one, _Restart) for one in self._queue)

    @property
    def _waiting(self) -> bool:
        return bool(self._queue) or self._rewrite or self._n_written < len(self._lines)

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
                # Two writers would tear the file: whoever lost the lock stops at once.
                if not self.lock.beat():
                    self.lost = True
                    self.on_problem(held_error(self.lock.holder()).problem)
                    return
                self._write()
            except OSError as error:
                self._fail(error)

    def _encode(self) -> None:
        """Make lines of what is queued, in its order."""
        with self._encoding:
            while self._queue:
                wanted = self._queue[0]
                if isinstance(wanted, _Restart):
                    self._begin_again(wanted)
                    continue
                before = self._lines[-1] if self._lines else b""
                line = encode_line(len(self._lines), wanted, before)
                with self._wake:
                    self._lines.append(line)
                    del self._queue[0]

    def _begin_again(self, wanted: _Restart) -> None:
        lines: list[bytes] = []
        for record in wanted.records:
            lines.append(encode_line(len(lines), record, lines[-1] if lines else b""))
        with self._wake:
            if wanted.aside:
                self._aside.append(b"".join(self._lines))
            self._lines, self._n_written, self._rewrite = lines, 0, True
            self._n_begun = sum(map(len, lines))
            del self._queue[0]

    def _write(self) -> None:
        self._encode()
        with self._wake:
            rewrite = self._rewrite
            lines = self._lines
            upto = len(self._lines)
            data = b"".join(self._lines[0 if rewrite else self._n_written : upto])
        if rewrite:
            self._rewrite_file(data)
        elif data:
            self._append(data)
        if rewrite or data:
            write_head(self.path, upto, last_link(data))
        with self._wake:
            if lines is self._lines:  # and not begun again since, as `close` may
                self._n_written, self._rewrite = upto, False
            self._wake.notify_all()
        if self._troubled:
            self._troubled = False
            self.on_problem(None)

    def _append(self, data: bytes) -> None:
        if self._file is None:
            self._file = self.path.open("ab", buffering=0)
        # Writing to a file that was deleted does not fail, and loses what is written.
        if not os.path.samestat(os.fstat(self._file.fileno()), self.path.stat()):
            raise FileNotFoundError(2, "the file was replaced by another")
        while data:
            data = data[self._file.write(data) :]
        os.fsync(self._file.fileno())

    def _rewrite_file(self, data: bytes) -> None:
        self._close_file()
        while self._aside:
            set_aside(self.path, self._aside[0])
            del self._aside[0]
        # A process killed between the two would leave the head of another file: journals without
        # one are taken as they are.
        forget_head(self.path)
        with replacing(self.path, durable=True) as draft:
            draft.write_bytes(data)

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _fail(self, error: OSError) -> None:
        # A failed write may have left half a line, or the disk may be gone: rewrite the file.
        self._close_file()
        with self._wake:
            self._rewrite = True
        if not self._troubled:
            self._troubled = True
            self.on_problem(
                Problem(
                    "the review",
                    f"cannot be saved to {self.path.parent} ({system_reason(error)})",
                    remedy="leave the window open: it is kept in memory, and saving is tried again "
                    "every second",
                )
            )
