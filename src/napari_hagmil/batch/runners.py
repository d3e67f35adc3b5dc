"""Strategies for working through a run's folder: processes of this machine, or a dask cluster.

Each hands its slides to an `Attendant`. Results are written to the folder at once; only names and
outcomes travel between processes.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hagmil.batch.attendant import Attendant, Limits, lost
from napari_hagmil.batch.folder import RunFolder, SlideOutcome, open_run
from napari_hagmil.errors import MissingExtraError, OutputError
from napari_hagmil.offline import is_this_machine, require_network

if TYPE_CHECKING:
    from napari_hagmil.batch.one import Work


class LocalRunner:
    """A pool of processes on this machine, each with one slide at a time.

    Parameters
    ----------
    folder : RunFolder
    workers : int
    limits : Limits
    work : callable, optional
        As of `Attendant`.
    """

    def __init__(
        self, folder: RunFolder, workers: int, limits: Limits, work: Work | None = None
    ) -> None:
        self.workers = workers
        self._free = [Attendant(folder, limits, work) for _ in range(workers)]
        self._all = tuple(self._free)
        self._lock, self._stopping = threading.Lock(), threading.Event()

    def outcomes(self, names: Sequence[str]) -> Iterator[SlideOutcome]:
        """Do these slides, in any order."""
        todo = iter(names)
        with ThreadPoolExecutor(self.workers) as pool:
            running: set[Future[SlideOutcome]] = set()
            while True:
                while len(running) < self.workers and not self._stopping.is_set():
                    name = next(todo, None)
                    if name is None:
                        break
                    running.add(pool.submit(self._run, name))
                if not running:
                    return
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in ended)

    def finish(self) -> None:
        """Begin no other slide."""
        self._stopping.set()

    def stop(self) -> None:
        """Stop at once; slides that were at work are as if they had not been begun."""
        self.finish()
        for attendant in self._all:
            attendant.stop()

    def close(self) -> None:
        """End the processes."""
        for attendant in self._all:
            attendant.close()

    def _run(self, name: str) -> SlideOutcome:
        with self._lock:
            attendant = self._free.pop()
        try:
            return attendant.run(name)
        finally:
            with self._lock:
                self._free.append(attendant)


class DaskRunner:
    """A dask cluster: an existing one, or a local one made for the run.

    Every thread of its workers has its own process for the slides, so that a slide that crashes its
    process never takes dask's worker with it.

    Parameters
    ----------
    folder : RunFolder
        On a path that all workers see.
    workers : int
        Of a cluster that is made.
    limits : Limits
    scheduler : str, optional
        Address of an existing cluster.

    Raises
    ------
    MissingExtraError
        When distributed is not installed.
    OutputError
        When nothing answers at the address.
    OfflineError
        When the cluster is on another machine, and the user wants no use of the network.
    """

    def __init__(
        self, folder: RunFolder, workers: int, limits: Limits, scheduler: str | None = None
    ) -> None:
        if not has_distributed():
            raise MissingExtraError(
                "a dask cluster", "needs distributed, which is not installed",
                remedy="pip install distributed, or leave --scheduler out",
            )  # fmt: skip
        from distributed import Client, LocalCluster

        if scheduler and not is_this_machine(scheduler):
            require_network(f"the scheduler {scheduler}")
        self.folder, self.limits = folder, limits
        self._cluster: Any = None
        if scheduler is None:
            self._cluster = LocalCluster(
                n_workers=1, threads_per_worker=workers, processes=False, dashboard_address=":0"
            )
        try:
            self._client: Any = Client(scheduler or self._cluster)
        except OSError as error:
            raise OutputError(
                f"the scheduler {scheduler}", "does not answer", remedy="check the address"
            ) from error
        self.workers = sum(self._client.nthreads().values()) or workers
        self._futures: set[Any] = set()
        self._stopping = False

    def outcomes(self, names: Sequence[str]) -> Iterator[SlideOutcome]:
        """Do these slides, in any order."""
        from distributed import as_completed

        if self._stopping:
            return
        submitted = [
            self._client.submit(
                _attend, str(self.folder.root), name, self.limits, pure=False, retries=2
            )
            for name in names
        ]
        by_key = dict(zip((one.key for one in submitted), names, strict=True))
        self._futures = set(submitted)
        for future in as_completed(submitted):
            self._futures.discard(future)
            if future.cancelled():
                continue
            error = future.exception()
            if error is not None:
                # Noted, or the slide would be due for ever.
                yield lost(self.folder, by_key[future.key], "crashed", f"dask: {error}"[:200], 0.0)
            else:
                yield future.result()
            future.release()

    def finish(self) -> None:
        """Begin no other slide."""
        self._stopping = True
        self._client.cancel([future for future in self._futures if future.status == "pending"])

    def stop(self) -> None:
        """Stop at once."""
        self._stopping = True
        self._client.cancel(list(self._futures))
        _close_attendants()

    def close(self) -> None:
        """Disconnect from the cluster, and shut it down if it was made here."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()
        _close_attendants()


def has_distributed() -> bool:
    """Whether dask.distributed is installed."""
    return importlib.util.find_spec("distributed") is not None


def threads_of(workers: int) -> int:
    """Threads of torch in each of some processes that share this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 1) // workers)


_here = threading.local()
_attendants: list[Attendant] = []


def _attend(root: str, name: str, limits: Limits) -> SlideOutcome:
    """On a thread of a dask worker: one slide, by the process of this thread."""
    mine: Attendant | None = getattr(_here, "attendant", None)
    if mine is None or mine.folder.root != Path(root) or mine.limits != limits:
        mine = _here.attendant = Attendant(open_run(Path(root)), limits)
        _attendants.append(mine)
    return mine.run(name)


def _close_attendants() -> None:
    while _attendants:
        attendant = _attendants.pop()
        attendant.stop()
        attendant.close()
