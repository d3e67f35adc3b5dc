"""Working through a run's folder: what is due, what failed tried once more, what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from napari_hagmil.batch.folder import RunFolder, SlideOutcome
from napari_hagmil.ledger import SlideState


class Runner(Protocol):
    """A way of working through slides."""

    workers: int

    def outcomes(self, names: Sequence[str]) -> Iterator[SlideOutcome]:
        """Do these slides, in any order."""

    def finish(self) -> None:
        """Begin no other slide."""

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
        Slides by state, those of which nothing is known as "waiting", those at work as "running".
    running : dict of str to str
        Who is at each slide that is at work.
    seconds : float
        Mean of the slides that are done.
    """

    states: dict[str, int]
    running: dict[str, str]
    seconds: float

    @property
    def total(self) -> int:
        """Slides of the run."""
        return sum(self.states.values())

    @property
    def left(self) -> int:
        """Slides that nothing is known of yet, or that are at work."""
        return self.states.get("waiting", 0) + self.states.get("running", 0)

    def seconds_left(self) -> float | None:
        """As long as the rest will take with as many processes as there are now."""
        at_work = len(self.running)
        return self.left * self.seconds / at_work if at_work and self.seconds else None


def work_through(folder: RunFolder, runner: Runner, names: Sequence[str]) -> Iterator[SlideOutcome]:
    """Do all slides that are due, and once more those that failed in a way that may pass.

    Yields
    ------
    SlideOutcome
        Of every try, as it ends.
    """
    due = [name for name in names if folder.is_due(name)]
    while due:
        again: list[str] = []
        for outcome in runner.outcomes(due):
            yield outcome
            if outcome.state != "skipped" and folder.is_due(outcome.name):
                again.append(outcome.name)
        due = again


def retry(folder: RunFolder, names: Iterable[str], states: Sequence[SlideState]) -> int:
    """Let the slides in some states be tried again; how many there are."""
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
    """Look how far a run has come; changes nothing."""
    states: Counter[str] = Counter()
    running: dict[str, str] = {}
    seconds: list[float] = []
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
            if outcome.state == "done" and outcome.seconds:
                seconds.append(outcome.seconds)
    return RunStatus(dict(states), running, sum(seconds) / max(len(seconds), 1))
