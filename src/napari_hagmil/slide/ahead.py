"""Read ahead what a viewer is likely to show next, while it asks for nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

#: Seconds without a request after which a viewer counts as idle.
IDLE = 0.15

Box = tuple[int, int, int, int]
"""First row, row after the last, first column, column after the last; px of a level."""


class ReadAhead:
    """Runs small pieces of reading once nothing was asked for a while, until something is.

    Safe to share between threads. A piece that has begun goes on to its end beside what is asked
    for meanwhile: pieces must be short.

    Attributes
    ----------
    on : bool
        Whether anything is read ahead; only a viewer gains by it.
    """

    def __init__(self) -> None:
        self.on = False
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._asked = 0

    def then(self, pieces: Sequence[Callable[[], object]]) -> None:
        """Run these when idle, in their order, instead of those that were to be run."""
        with self._lock:
            self._cancel()
            asked = self._asked
            self._timer = threading.Timer(IDLE, self._run, (asked, pieces))
            self._timer.daemon = True  # a process need not wait for what nobody asked for
            self._timer.start()

    def stop(self) -> None:
        """Run nothing more."""
        with self._lock:
            self._cancel()

    def wait(self) -> None:
        """Wait until all that is to be run has been run."""
        timer = self._timer
        if timer is not None:
            timer.join()

    def _cancel(self) -> None:
        self._asked += 1
        if self._timer is not None:
            self._timer.cancel()

    def _run(self, asked: int, pieces: Sequence[Callable[[], object]]) -> None:
        for piece in pieces:
            if asked != self._asked:
                return
            piece()
        with self._lock:
            if asked == self._asked:
                self._timer = None  # it holds the pieces, and they the slide


def around(box: Box, chunk: tuple[int, int], shape: tuple[int, int]) -> Iterator[Box]:
    """Boxes of one chunk each that surround a box of whole chunks, inside a level."""
    top, bottom, left, right = box
    height, width = chunk
    for y in range(top - height, bottom + height, height):
        for x in range(left - width, right + width, width):
            inside = top <= y < bottom and left <= x < right
            if not inside and 0 <= y < shape[0] and 0 <= x < shape[1]:
                yield y, min(y + height, shape[0]), x, min(x + width, shape[1])


def middle(box: Box, chunk: tuple[int, int], scale: float) -> Iterator[Box]:
    """Boxes of one chunk each of a finer level, under the middle of a box: what a zoom shows.

    `scale`: pixels of the finer level per pixel of the box's.
    """
    spans = []
    for first, last, side in ((box[0], box[1], chunk[0]), (box[2], box[3], chunk[1])):
        centre, reach = (first + last) / 2, (last - first) / 4
        start, stop = int((centre - reach) * scale), int((centre + reach) * scale)
        spans.append(range(start - start % side, max(stop, start + 1), side))
    for y in spans[0]:
        for x in spans[1]:
            yield y, y + chunk[0], x, x + chunk[1]
