"""A pool of worker processes on this machine that share the requests of one job."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, Protocol

from napari_hagmil.batch.attendant import Attendant, EndedError, Job, Limits


class Pool:
    """Worker processes for one job, each with one request at a time.

    Parameters
    ----------
    job : Job
    workers : int
        Processes.
    limits : Limits
        Of each.
    """

    def __init__(self, job: Job, workers: int, limits: Limits) -> None:
        self.workers = workers
        self._attendants = [Attendant(job, limits, number) for number in range(workers)]
        self._lock, self._stopping = threading.Lock(), threading.Event()

    def replies(self, requests: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """Yield the replies to the requests, in the order in which they arrive.

        Yields
        ------
        (request, reply)
            The last reply to a request whose process ended is an `EndedError`.

        Raises
        ------
        Exception
            What the job raised; all processes are stopped.
        """
        todo, said = iter(requests), SimpleQueue[tuple[Any, Any] | Exception | None]()
        threads = [
            threading.Thread(target=self._attend, args=(attendant, todo, said), daemon=True)
            for attendant in self._attendants
        ]
        for thread in threads:
            thread.start()
        try:
            left = len(threads)
            while left:
                found = said.get()
                if isinstance(found, Exception):
                    raise found
                if found is None:
                    left -= 1
                else:
                    yield found
        except BaseException:
            self.stop()
            raise

    def finish(self) -> None:
        """Start no further request."""
        self._stopping.set()

    def stop(self) -> None:
        """Stop at once; requests in progress are abandoned."""
        self.finish()
        for attendant in self._attendants:
            attendant.stop()

    def close(self) -> None:
        """End the processes."""
        for attendant in self._attendants:
            attendant.close()

    def _attend(
        self,
        attendant: Attendant,
        todo: Iterator[Any],
        said: SimpleQueue[tuple[Any, Any] | Exception | None],
    ) -> None:
        """Hand one request after another to a process, on a thread of its own."""
        try:
            while not self._stopping.is_set():
                with self._lock:
                    request = next(todo, None)
                if request is None:
                    break
                try:
                    for reply in attendant.replies(request):
                        said.put((request, reply))
                except EndedError as end:
                    said.put((request, end))
        except Exception as error:
            said.put(error)
        finally:
            said.put(None)


class Asked(Protocol):
    """The options of a verb that concern worker processes."""

    @property
    def workers(self) -> int | None:
        """Number of processes; None for none."""

    @property
    def timeout(self) -> float | None:
        """Seconds."""

    @property
    def memory(self) -> float | None:
        """GiB."""


@contextmanager
def pool_for(job: Job, asked: Asked) -> Iterator[Pool | None]:
    """Start the pool that the options ask for; None where they ask for none."""
    if not (asked.workers or asked.timeout or asked.memory):
        yield None
        return
    workers = asked.workers or 1
    pool = Pool(job, workers, limits_of(workers, asked.timeout, asked.memory))
    try:
        yield pool
    finally:
        pool.close()


def limits_of(sharing: int, seconds: float | None, gigabytes: float | None) -> Limits:
    """The limits of worker processes, `sharing` of which share this machine's cores.

    With 0, as on a cluster, torch chooses its number of threads itself.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = max(1, (cores or 1) // sharing) if sharing else None
    return Limits(seconds, gigabytes * 2**30 if gigabytes else None, threads)
