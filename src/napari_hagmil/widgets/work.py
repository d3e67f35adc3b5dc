"""Long work off the GUI thread, its outcome always back on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, Signal

from napari_hagmil.errors import CancelledError


class Relay(QObject):  # type: ignore[misc]
    """Carries values from any thread to a slot on the thread where it was made."""

    sent = Signal(object)


class Background:
    """Runs one piece of work at a time in a worker thread.

    Errors travel as values: napari's worker swallows every ``RuntimeError``, and two of this
    package's errors are such.
    """

    def __init__(self) -> None:
        self._worker: Any = None
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether work is under way."""
        return self._worker is not None

    def start(
        self,
        work: Callable[[], Iterator[Any]],
        *,
        on_item: Callable[[Any], None],
        on_done: Callable[[], None],
        on_cancelled: Callable[[], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        """Start `work`, an iterator of items; every callback comes on the GUI thread.

        How it ended is told when this object is free again, so that the next piece of work can
        be started right there.
        """
        ending: list[BaseException] = []

        def take(item: Any) -> None:
            if isinstance(item, BaseException):
                ending.append(item)
            elif not self._closed:
                on_item(item)

        def settle() -> None:
            self._worker = None
            if self._closed:
                return
            if not ending:
                on_done()
            elif isinstance(ending[0], CancelledError):
                on_cancelled()
            else:
                on_error(ending[0])

        self._worker = create_worker(
            _as_values,
            work,
            _connect={"yielded": take, "finished": settle, "errored": ending.append},
        )

    def wait(self, milliseconds: int = 10_000) -> None:
        """Block until the work has ended; for closing.

        From then on nothing is told: what is still on its way would meet widgets that are gone.
        """
        self._closed = True
        if self._worker is not None:
            self._worker.await_workers(milliseconds)


def _as_values(work: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """Items, and as the last value the error, if there was one."""
    try:
        yield from work()
    except Exception as error:
        yield error
