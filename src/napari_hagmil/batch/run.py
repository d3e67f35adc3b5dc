"""Work through a run's folder: what is due, what is retried, and what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from napari_hagmil.batch.folder import RunFolder, SlideOutcome
from napari_hagmil.ledger import SlideState


class Runner(Protocol):
    """A strategy for working through slides: local processes, or a cluster."""

    workers: int

    def outcomes(self, names: Sequence[str]) -> Iterator[SlideOutcome]:
        """Do these slides, in any order."""

    def finish(self) -> None:
        """Start no further slide."""

    def stop(self) -> None:
        """Stop at once."""

    def close(self) -> None:
        """Let go of processes and connections."""


@dataclass(frozen=True, slots=True)
class RunStatus:
    """How far a run has come.

    Attributes
    ----------
    states : dict of str to int
        Number of slides by state; "waiting" has no outcome yet, "running" is claimed by a process.
    running : dict of str to str
        The process (host and pid) that works on each running slide.
    seconds : float
        Mean of the slides that are done.
    reasons : dict of str to dict of str to str
        Why slides are not done, by state and name.
    """

    states: dict[str, int]
    running: dict[str, str]
    seconds: float
    reasons: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Slides of the run."""
        return sum(self.states.values())

    @property
    def left(self) -> int:
        """Slides that are waiting or running."""
        return self.states.get("waiting", 0) + self.states.get("running", 0)

    def seconds_left(self) -> float | None:
        """Estimated seconds until the rest is done by the processes that are at work now."""
        at_work = len(self.running)
        return self.left * self.seconds / at_work if at_work and self.seconds else None


def work_through(folder: RunFolder, runner: Runner, names: Sequence[str]) -> Iterator[SlideOutcome]:
    """Analyze all slides that are due, and retry those whose failure may be temporary.

    Yields
    ------
    SlideOutcome
        Of every try, as it ends.
    """
    due = [name for name in names if folder.is_due(name)]
    _withdraw(folder, due)
    while due:
        again: list[str] = []
        for outcome in runner.outcomes(due):
            yield outcome
            if outcome.state != "skipped" and folder.is_due(outcome.name):
                again.append(outcome.name)
        due = again


def _withdraw(folder: RunFolder, due: Iterable[str]) -> None:
    """Take away the manifests of damaged slides: from now on a manifest says that a slide is done.

    Processes that share a run need not read all files of each slide that another has finished.
    """
    for name in due:
        if folder.has_manifest(name) and (claim := folder.claims.take(name)) is not None:
            with claim:
                if not folder.is_settled(name):
                    folder.withdraw(name)


def retry(folder: RunFolder, names: Iterable[str], states: Sequence[SlideState]) -> int:
    """Reset the slides in some states so that they are tried again; return how many there are."""
    count = 0
    for name in names:
        outcome = folder.outcome(name)
        if outcome is None or outcome.state not in states:
            continue
        # Not while somebody is at it: his manifest would be taken from him.
        claim = folder.claims.take(name)
        if claim is not None:
            with claim:
                folder.forget(name)
            count += 1
    return count


def status_of(folder: RunFolder) -> RunStatus:
    """Return how far a run has come, without changing anything."""
    states: Counter[str] = Counter()
    running: dict[str, str] = {}
    seconds: list[float] = []
    reasons: dict[str, dict[str, str]] = {}
    for name in folder.records:
        outcome = folder.outcome(name)
        holder = folder.claims.holder(name) if folder.claims.path(name).exists() else None
        if holder is not None:
            running[name] = str(holder)
            states["running"] += 1
        elif outcome is None:
            states["waiting"] += 1
        else:
            states[outcome.state] += 1
            if outcome.state != "done":
                reasons.setdefault(outcome.state, {})[name] = outcome.reason
            elif outcome.seconds:
                seconds.append(outcome.seconds)
    return RunStatus(dict(states), running, sum(seconds) / max(len(seconds), 1), reasons)
