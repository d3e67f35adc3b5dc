"""A worker process that analyzes one slide after another, supervised from outside.

A slide whose reader crashes, hangs or eats memory costs its process, and not the run: the process
is replaced. The process stays up from slide to slide, since loading torch and a model takes longer
than a small slide.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from napari_hagmil.process import prepare_process

if TYPE_CHECKING:
    from napari_hagmil.batch.folder import RunFolder, SlideOutcome
    from napari_hagmil.batch.one import Work
    from napari_hagmil.ledger import SlideState

#: Seconds between two looks at a process.
_LOOK = 0.2
#: Seconds for a process to end by itself.
_GRACE = 5.0
#: Seconds for a process to load what it needs, on the slowest network drive.
_START = 600.0

#: What a process says when it has loaded everything: the clock of a slide starts then.
_READY = "ready"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process may take for one slide.

    Attributes
    ----------
    seconds : float or None
    memory : float or None
        Bytes of the process.
    threads : int or None
        That torch computes with; None: its own choice.
    """

    seconds: float | None = None
    memory: float | None = None
    threads: int | None = None


class Attendant:
    """One process that works on the slides of a run's folder, started with the first.

    Parameters
    ----------
    folder : RunFolder
    limits : Limits
    work : callable, optional
        What is done with a slide; the analysis, unless given. It must be importable by name.
    """

    def __init__(self, folder: RunFolder, limits: Limits, work: Work | None = None) -> None:
        self.folder, self.limits, self.work = folder, limits, work
        self._process: SpawnProcess | None = None
        self._line: Connection | None = None
        self._stopping = False

    def run(self, name: str) -> SlideOutcome:
        """Do one slide; whatever becomes of the process, there is an outcome."""
        from napari_hagmil.batch.folder import SlideOutcome

        started = time.monotonic()
        try:
            if self._process is None or not self._process.is_alive():
                self._start()
                self._received(_START)
            self._send(name)
            outcome: SlideOutcome = self._received(self.limits.seconds)
            return outcome
        except _EndedError as end:
            stopped = self._stopping
            self._kill()
            if stopped:
                return SlideOutcome(name, "skipped", "it was stopped", 0)
            return lost(self.folder, name, end.state, end.reason, time.monotonic() - started)

    def stop(self) -> None:
        """End the process at once, from any thread; its slide is as if it had not been begun."""
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

    def _start(self) -> None:
        self._kill()
        spawn = multiprocessing.get_context("spawn")
        self._line, theirs = spawn.Pipe()
        process = spawn.Process(
            target=_serve,
            args=(theirs, self.folder.root, self.limits.threads, self.work),
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

    def _send(self, name: str) -> None:
        with suppress(OSError):  # It is gone: whoever waits for the answer finds out.
            if self._line is not None:
                self._line.send(name)

    def _received(self, seconds: float | None) -> Any:
        """What the process says next; `_EndedError` when it cannot, or may not go on."""
        line, started = self._line, time.monotonic()
        try:
            while line is not None and not line.poll(_LOOK):
                self._require_well(line, time.monotonic() - started, seconds)
            return line.recv() if line is not None else None
        except (EOFError, OSError):
            raise _EndedError("crashed", self._how_it_died()) from None

    def _require_well(self, line: Connection, waited: float, seconds: float | None) -> None:
        process, limit = self._process, self.limits.memory
        if (process is None or not process.is_alive()) and not line.poll():
            raise _EndedError("crashed", self._how_it_died())
        if seconds is not None and waited > seconds:
            raise _EndedError("timeout", f"it took longer than {seconds:.0f} s")
        if limit is not None and process is not None:
            with suppress(psutil.Error):
                used = psutil.Process(process.pid).memory_info().rss
                if used > limit:
                    raise _EndedError("oom", f"its process took {used / 2**30:.1f} GiB of memory")

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


class _EndedError(Exception):
    """A process is gone, or must go."""

    def __init__(self, state: SlideState, reason: str) -> None:
        super().__init__(reason)
        self.state, self.reason = state, reason


def lost(
    folder: RunFolder, name: str, state: SlideState, reason: str, seconds: float
) -> SlideOutcome:
    """Write down what a process that is gone cannot say itself."""
    from napari_hagmil.batch.folder import SlideOutcome
    from napari_hagmil.batch.one import sweep

    claim = folder.claims.take(name)
    if claim is None:
        return SlideOutcome(name, "skipped", f"{folder.claims.holder(name)} has it", 0)
    with claim:
        known = folder.outcome(name)
        if known is not None and folder.is_settled(name):
            return known
        sweep(folder, name)
        tries = 1 + (known.tries if known else 0)
        outcome = SlideOutcome(name, state, reason, tries, seconds)
        folder.note(outcome)
        return outcome


def _serve(line: Connection, root: Path, threads: int | None, work: Work | None) -> None:
    """Work until whoever asks is gone."""
    # Ctrl-C goes to the whole group: whoever asks decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare_process()
    from napari_hagmil.batch.folder import open_run
    from napari_hagmil.batch.one import run_one

    if work is None:
        import torch

        from napari_hagmil.batch.analysis import analyze_into

        work = analyze_into
        if threads is not None:
            torch.set_num_threads(threads)
    folder = open_run(root)
    with suppress(EOFError, OSError):
        line.send(_READY)
        while True:
            line.send(run_one(folder, line.recv(), work))
