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
        """Start `work`, an iterator of items; every callback comes on the GUI thread."""

        def take(item: Any) -> None:
            if isinstance(item, CancelledError):
                on_cancelled()
            elif isinstance(item, BaseException):
                on_error(item)
            elif isinstance(item, _Done):
                on_done()
            else:
                on_item(item)

        def settle() -> None:
            self._worker = None

        self._worker = create_worker(
            _as_values,
            work,
            _connect={"yielded": take, "finished": settle, "errored": on_error},
        )

    def wait(self, milliseconds: int = 10_000) -> None:
        """Block until the work has ended; for closing."""
        if self._worker is not None:
            self._worker.await_workers(milliseconds)


class _Done:
    """The work has come to its end."""


def _as_values(work: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """Items, then how it ended, as values."""
    try:
        yield from work()
    except Exception as error:
        yield error
    else:
        yield _Done()
