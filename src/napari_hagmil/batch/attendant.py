"""A worker process that answers one request after another, supervised from outside.

A slide whose reader crashes, hangs or eats memory costs its process, and not the run: the process
is replaced. The process stays up from slide to slide, since loading torch and a model takes longer
than a small slide.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING, Any, Protocol

import psutil

from napari_hagmil.errors import ProcessError
from napari_hagmil.process import prepare_process, see_one_gpu

if TYPE_CHECKING:
    from napari_hagmil.ledger import SlideState

#: Seconds between two looks at a process.
_LOOK = 0.2
#: Seconds for a process to end by itself.
_GRACE = 5.0
#: Seconds for a process to load what it needs, on the slowest network drive.
_START = 600.0
#: How often in a row a process may end before it has loaded what it needs.
_STARTS = 3

#: What a process says when it has loaded everything: the clock of a request starts then.
_READY = "ready"


class Job(Protocol):
    """What a worker process does. It is sent to the process, and called there once."""

    def __call__(self) -> Callable[[Any], Iterator[Any]]:
        """Load what is needed; return the function that answers a request with replies."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process may take for one request.

    Attributes
    ----------
    seconds : float or None
    memory : float or None
        Bytes of the process.
    threads : int or None
        That torch computes with; None: its own choice.
    gpus : int
        GPUs of this machine that the processes share out: each sees one alone. 0: all see all.
    """

    seconds: float | None = None
    memory: float | None = None
    threads: int | None = None
    gpus: int = 0


class EndedError(Exception):
    """A worker process ended, or was ended, before it had answered.

    Parameters
    ----------
    state : str
        "crashed", "timeout" or "oom"; "skipped" where the user stopped it.
    reason : str
    seconds : float
        How long it had worked on the request.
    """

    def __init__(self, state: SlideState, reason: str, seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.state, self.reason, self.seconds = state, reason, seconds


class Attendant:
    """One process for a job, started with the first request.

    Parameters
    ----------
    job : Job
    limits : Limits
    number : int
        Of the process among its kind, which says which GPU it sees.
    """

    def __init__(self, job: Job, limits: Limits, number: int = 0) -> None:
        self.job, self.limits, self.number = job, limits, number
        self._process: SpawnProcess | None = None
        self._line: Connection | None = None
        self._stopping = False

    def replies(self, request: Any) -> Iterator[Any]:
        """Yield the replies of the process to a request.

        Raises
        ------
        EndedError
            When the process ends before the answer is complete, or exceeds a limit; the next
            request starts another.
        ProcessError
            When no process comes up: that is not the request's fault.
        Exception
            What the job itself raised; the process stays up.
        """
        started = time.monotonic()
        try:
            if self._process is None or not self._process.is_alive():
                self._start_surely()
                started = time.monotonic()
            self._send(request)
            while not isinstance(reply := self._received(self._left(started)), _Over):
                yield reply
        except EndedError as end:
            self._kill()
            end.seconds = time.monotonic() - started
            raise EndedError("skipped", "it was stopped") if self._stopping else end from None
        if reply.error is not None:
            raise reply.error

    def stop(self) -> None:
        """End the process at once, from any thread."""
        self._stopping = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """End the process when it has nothing left to do."""
        if self._line is not None:
            self._line.close()
        if self._process is not None:
            self._process.join(_GRACE)
        self._kill()

    def _start_surely(self) -> None:
        """Start the process; one that ends while it loads is no fault of the slide's."""
        for attempt in range(1, _STARTS + 1):
            try:
                self._start()
                said = self._received(_START)
            except EndedError as end:
                if self._stopping:
                    raise
                if attempt == _STARTS:
                    raise ProcessError(
                        "the processes that read slides",
                        f"do not start: {end}",
                        remedy="give fewer --workers, or look at what the system's log says",
                    ) from end
            else:
                if isinstance(said, _Over) and said.error is not None:
                    raise said.error
                return

    def _start(self) -> None:
        self._kill()
        prepare_process()  # What the job travels with may load torch, before `_serve` is called.
        spawn = multiprocessing.get_context("spawn")
        self._line, theirs = spawn.Pipe()
        process = spawn.Process(
            target=_serve,
            args=(theirs, self.job, self.limits, self.number),
            name="hagmil-slide",
            daemon=True,
        )
        with _allowed_children():
            process.start()
        self._process = process
        theirs.close()

    def _kill(self) -> None:
        process, self._process, line, self._line = self._process, None, self._line, None
        if line is not None:
            line.close()
        if process is not None:
            process.kill()
            process.join()

    def _left(self, started: float) -> float | None:
        """Seconds that the request may still take."""
        limit = self.limits.seconds
        return None if limit is None else limit - (time.monotonic() - started)

    def _send(self, request: Any) -> None:
        with suppress(OSError):  # It is gone: whoever waits for the answer finds out.
            if self._line is not None:
                self._line.send(request)

    def _received(self, seconds: float | None) -> Any:
        """What the process says next; `EndedError` when it cannot, or may not go on."""
        line, started = self._line, time.monotonic()
        try:
            while line is not None and not line.poll(_LOOK):
                late = seconds is not None and time.monotonic() - started > seconds
                self._require_well(line, late=late)
            return line.recv() if line is not None else None
        except (EOFError, OSError):
            raise EndedError("crashed", self._how_it_died()) from None

    def _require_well(self, line: Connection, *, late: bool) -> None:
        process, limit = self._process, self.limits.memory
        if (process is None or not process.is_alive()) and not line.poll():
            raise EndedError("crashed", self._how_it_died())
        if late:
            raise EndedError(
                "timeout", f"it took longer than {self.limits.seconds or _START:.0f} s"
            )
        if limit is not None and process is not None:
            with suppress(psutil.Error):
                used = psutil.Process(process.pid).memory_info().rss
                if used > limit:
                    raise EndedError("oom", f"its process took {used / 2**30:.1f} GiB of memory")

    def _how_it_died(self) -> str:
        if self._process is None:
            return "its process is gone"
        self._process.join(_GRACE)
        code = self._process.exitcode
        if code is not None and code < 0:
            with suppress(ValueError):
                return f"its process ended by {signal.Signals(-code).name}"
        return f"its process ended with status {code}"


@contextmanager
def _allowed_children() -> Iterator[None]:
    """Let a daemonic process start one: workers of dask's nanny are daemonic.

    Ours ends with the line to whoever asks, so that none is left behind.
    """
    config = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    before = config.pop("daemon", None)
    try:
        yield
    finally:
        if before is not None:
            config["daemon"] = before


@dataclass(frozen=True, slots=True)
class _Over:
    """The end of an answer, with the error that the job raised."""

    error: Exception | None = None


def _end_with_the_asker() -> None:
    """End when whoever asks was killed: a slide that hangs would keep its claim for ever.

    Nobody would be left to end it at its limits.
    """
    asker = multiprocessing.parent_process()
    if asker is not None:
        asker.join()
        os._exit(1)


def _serve(line: Connection, job: Job, limits: Limits, number: int) -> None:
    """Answer until whoever asks is gone."""
    # Ctrl-C goes to the whole group: whoever asks decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_asker, name="asker", daemon=True).start()
    prepare_process()
    if limits.gpus:
        see_one_gpu(number % limits.gpus)
    try:
        answer = job()
    except Exception as error:
        line.send(_Over(error))
        return
    if limits.threads is not None:
        import torch

        torch.set_num_threads(limits.threads)
    with suppress(EOFError, OSError):
        line.send(_READY)
        while True:
            request = line.recv()
            try:
                for reply in answer(request):
                    line.send(reply)
            except Exception as error:
                line.send(_Over(error))
            else:
                line.send(_Over())
