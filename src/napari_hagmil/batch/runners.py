"""Strategies for working through a run's folder: processes of this machine, or a dask cluster.

Each hands its slides to an `Attendant`. Results are written to the folder at once; only names and
outcomes travel between processes.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hagmil.batch.attendant import Attendant, EndedError, Limits
from napari_hagmil.batch.folder import RunFolder, SlideOutcome, open_run
from napari_hagmil.batch.pool import Pool
from napari_hagmil.errors import HagmilError, MissingExtraError, OutputError
from napari_hagmil.permission import is_this_machine, require_network

if TYPE_CHECKING:
    from napari_hagmil.batch.one import Work


@dataclass(frozen=True, slots=True)
class RunJob:
    """Analyzes slides of a run's folder: takes a name, replies with the outcome.

    Attributes
    ----------
    root : Path
        The folder.
    work : callable, optional
        Instead of `analyze_into`; it must be possible to send it to another process, and what
        arrives must be equal to what was sent: a worker keeps its process for as long as it is.
    """

    root: Path
    work: Work | None = None

    def __call__(self) -> Callable[[str], Iterator[SlideOutcome]]:
        """Load torch and the analysis."""
        from napari_hagmil.batch.one import run_one

        work = self.work
        if work is None:
            from napari_hagmil.batch.analysis import analyze_into

            work = analyze_into
        folder, done = open_run(self.root), work

        def answer(name: str) -> Iterator[SlideOutcome]:
            yield run_one(folder, name, done, trusting=True)

        return answer


class LocalRunner:
    """A pool of processes on this machine, each with one slide at a time.

    Parameters
    ----------
    folder : RunFolder
    workers : int
    limits : Limits
    work : callable, optional
        As of `RunJob`.
    """

    def __init__(
        self, folder: RunFolder, workers: int, limits: Limits, work: Work | None = None
    ) -> None:
        self.folder, self.workers = folder, workers
        self._pool = Pool(RunJob(folder.root, work), workers, limits)

    def outcomes(self, names: Sequence[str]) -> Iterator[SlideOutcome]:
        """Do these slides, in any order."""
        for name, reply in self._pool.replies(names):
            yield _outcome(self.folder, name, reply)

    def finish(self) -> None:
        """Begin no other slide."""
        self._pool.finish()

    def stop(self) -> None:
        """Stop at once; slides that were at work are as if they had not been begun."""
        self._pool.stop()

    def close(self) -> None:
        """End the processes."""
        self._pool.close()


def _outcome(folder: RunFolder, name: str, reply: SlideOutcome | EndedError) -> SlideOutcome:
    """The outcome of a slide, recorded here where its process ended without a reply."""
    from napari_hagmil.batch.one import lost

    if not isinstance(reply, EndedError):
        return reply
    if reply.state == "skipped":
        return SlideOutcome(name, "skipped", reply.reason, 0)
    return lost(folder, SlideOutcome(name, reply.state, reply.reason, seconds=reply.seconds))


@dataclass(frozen=True, slots=True)
class Cluster:
    """An existing dask cluster, and what each slide takes of it.

    Attributes
    ----------
    address : str
        Of its scheduler.
    resources : mapping of str to float
        As its workers name them, ``{"GPU": 1}``: only those that have as much free take a slide.
    """

    address: str
    resources: Mapping[str, float] = field(default_factory=dict)


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
    cluster : Cluster, optional
        An existing one.
    work : callable, optional
        As of `RunJob`.

    Raises
    ------
    MissingExtraError
        When distributed is not installed.
    OutputError
        When nothing answers at the address, or later not any more.
    OfflineError
        When the cluster is on another machine, and the user wants no use of the network.
    """

    def __init__(
        self,
        folder: RunFolder,
        workers: int,
        limits: Limits,
        cluster: Cluster | None = None,
        work: Work | None = None,
    ) -> None:
        if not has_distributed():
            raise MissingExtraError(
                "a dask cluster", "needs distributed, which is not installed",
                remedy="pip install distributed, or leave --scheduler out",
            )  # fmt: skip
        self.folder, self.limits, self._cluster = folder, limits, cluster
        self._made, self._client = _connected(workers, cluster)
        # Where workers stand is not where this process stands.
        self.job = RunJob(folder.root.absolute(), work)
        self.workers = sum(self._client.nthreads().values()) or workers
        self._futures: set[Any] = set()
        self._stopping = False

    def outcomes(self, names: Sequence[str]) -> Iterator[SlideOutcome]:
        """Do these slides, in any order."""
        from distributed import as_completed

        left, by_key = iter(names), dict[str, str]()
        done = as_completed()
        # Not all at once: a million futures are some GB of the scheduler's memory.
        self._submit(islice(left, max(_AHEAD, 2 * self.workers)), by_key, done)
        for future in done:
            self._futures.discard(future)
            name = by_key.pop(future.key)
            if future.cancelled():
                self._require_scheduler()
                continue
            error = future.exception()
            if isinstance(error, HagmilError):
                raise error
            if error is not None:
                # Noted, or the slide would be due for ever.
                ended = EndedError("crashed", f"dask: {error}"[:200])
                yield _outcome(self.folder, name, ended)
            else:
                yield future.result()
            future.release()
            self._submit(islice(left, 1), by_key, done)

    def _require_scheduler(self) -> None:
        """Raise when slides were given up by nobody here."""
        if not self._stopping:
            raise OutputError(
                f"the scheduler {self._client.scheduler.address}",
                "does not answer any more",
                remedy="start the same command again when it does: what is done stays",
            )

    def _submit(self, names: Iterable[str], by_key: dict[str, str], done: Any) -> None:
        resources = dict(self._cluster.resources) if self._cluster else None
        for name in names:
            if self._stopping:
                return
            future = self._client.submit(
                _attend, self.job, name, self.limits, pure=False, retries=2, resources=resources
            )
            self._futures.add(future)
            by_key[future.key] = name
            done.add(future)

    def finish(self) -> None:
        """Begin no other slide."""
        self._stopping = True
        # Not `processing`: that counts those that wait on a worker, too.
        at_work = {key for keys in self._client.run(_at_work).values() for key in keys}
        self._client.cancel([future for future in self._futures if future.key not in at_work])

    def stop(self) -> None:
        """Stop at once."""
        self._stopping = True
        self._client.cancel(list(self._futures))
        _close_attendants()

    def close(self) -> None:
        """Disconnect from the cluster, and shut it down if it was made here."""
        self._client.close()
        if self._made is not None:
            self._made.close()
        _close_attendants()


def _connected(workers: int, cluster: Cluster | None) -> tuple[Any, Any]:
    """A cluster made here, or None where there is one, and its client."""
    import dask
    from distributed import Client, LocalCluster

    if cluster is None:
        with dask.config.set(_QUIET):
            made = LocalCluster(
                n_workers=1, threads_per_worker=workers, processes=False, dashboard_address=":0"
            )
        return made, Client(made)
    if not is_this_machine(cluster.address):
        require_network(f"the scheduler {cluster.address}")
    try:
        return None, Client(cluster.address)
    except OSError as error:
        raise OutputError(
            f"the scheduler {cluster.address}", "does not answer", remedy="check the address"
        ) from error


def has_distributed() -> bool:
    """Whether dask.distributed is installed."""
    return importlib.util.find_spec("distributed") is not None


#: Slides that a cluster is given ahead, also one whose workers have yet to come.
_AHEAD = 1000

#: What a cluster of one worker need not do, some hundred times a second, beside the slides.
_QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.scheduler.work-stealing": False,
    "distributed.admin.tick.interval": "1s",
}

_here = threading.local()
_attendants: list[Attendant] = []


def _attend(job: RunJob, name: str, limits: Limits) -> SlideOutcome:
    """On a thread of a dask worker: one slide, by the process of this thread."""
    mine: Attendant | None = getattr(_here, "attendant", None)
    if mine is None or mine.job != job or mine.limits != limits:
        mine = _here.attendant = Attendant(job, limits, len(_attendants))
        _attendants.append(mine)
    try:
        (outcome,) = mine.replies(name)
    except EndedError as end:
        reply = end
    else:
        said: SlideOutcome = outcome
        return said
    try:
        folder = open_run(job.root)
    except OutputError as error:
        # Not an error of the run's own: whoever asked has the folder, and notes the slide there.
        raise RuntimeError(str(error)) from error
    return _outcome(folder, name, reply)


def _at_work(dask_worker: Any) -> list[str]:
    """On a dask worker: the keys of the slides that its threads are at."""
    return [task.key for task in dask_worker.state.executing]


def _close_attendants() -> None:
    while _attendants:
        attendant = _attendants.pop()
        attendant.stop()
        attendant.close()
