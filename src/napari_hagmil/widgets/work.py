"""Long work on a worker thread, with callbacks on the GUI thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, Signal

from napari_hagmil.errors import CancelledError

#: Ends of all work that has begun: set once nothing of it runs any more.
_ENDS: set[threading.Event] = set()


def load_tables() -> None:
    """Load what napari's layers keep their features in; made for a worker's thread.

    napari loads it with the first layer that has any, and the window would stand still for that.
    """
    import_module("pandas")


def after_all_work(do: Callable[[], object]) -> None:
    """Call `do` now, or from another thread once no work of any window is left."""
    running = [end for end in tuple(_ENDS) if not end.is_set()]
    if not running:
        do()
        return

    def wait() -> None:
        for end in running:
            end.wait()
        do()

    threading.Thread(target=wait, daemon=True, name="hagmil-closing").start()


class Relay(QObject):  # type: ignore[misc]
    """Carries values from any thread to slots on the thread that made it."""

    sent = Signal(object)


class Background:
    """Runs one piece of work at a time in a worker thread.

    Errors travel as values: napari's worker swallows every ``RuntimeError``, and some of this
    package's errors are of that kind.
    """

    def __init__(self) -> None:
        self._worker: Any = None
        self._closed = False
        self._end = threading.Event()
        self._next: Callable[[], object] | None = None

    @property
    def busy(self) -> bool:
        """Whether work is running."""
        return self._worker is not None

    def when_free(self, do: Callable[[], object]) -> None:
        """Call `do` now or once no work is left; of several waiting calls only the last is made."""
        if self.busy:
            self._next = do
        else:
            do()

    def start(
        self,
        work: Callable[[], Iterator[Any]],
        *,
        on_item: Callable[[Any], None],
        on_done: Callable[[], None],
        on_cancelled: Callable[[], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        """Start `work`, which yields items; every callback runs on the GUI thread.

        The callbacks of its end run when this object is free again, so that they can start the
        next piece of work.
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
            waiting = self._next
            if waiting is not None and not self.busy:
                self._next = None
                waiting()

        self._end = threading.Event()
        _ENDS.add(self._end)
        self._worker = create_worker(
            _as_values,
            work,
            self._end,
            _connect={"yielded": take, "finished": settle, "errored": ending.append},
        )

    def forget(self) -> None:
        """Call back no more: the widgets may be gone."""
        self._closed = True

    def wait(self, seconds: float = 0.4) -> None:
        """Wait for the work to end, before closing, but not for a disk that does not answer.

        No callback runs from then on: the widgets it would update may be gone. What must
        outlive the work is closed by `after_all_work`.
        """
        self.forget()
        if self._worker is not None:
            self._worker.quit()
            self._end.wait(seconds)


def _as_values(work: Callable[[], Iterator[Any]], end: threading.Event) -> Iterator[Any]:
    """Yield the items, and the error, if there is one, as the last value."""
    try:
        yield from work()
    except Exception as error:
        yield error
    finally:
        _ENDS.discard(end)
        end.set()
