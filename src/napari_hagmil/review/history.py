"""The undo stack of a review, and reading it back from a journal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_hagmil.review.chain import lacks_lines
from napari_hagmil.review.members import annotation_from
from napari_hagmil.review.record import Record, applied, decode_lines, difference, is_chained
from napari_hagmil.review.state import Annotation, ReviewState
from napari_hagmil.untrusted import read_regular

#: Bytes of a journal that are read: ours are made short from 16 MB on.
MAX_JOURNAL = 2**30

#: Steps that can be undone; the oldest beyond that become part of the first state.
MAX_UNDO = 200


@dataclass(frozen=True, slots=True)
class Step:
    """A state, the name of the change that led to it, and its time (ISO 8601)."""

    action: str
    state: ReviewState
    at: str = ""


class History:
    """A sequence of states, one of which is the current one.

    Attributes
    ----------
    steps : list of Step
        At least one: the state that the review began with.
    at : int
        Index of the current step.
    """

    def __init__(self, state: ReviewState) -> None:
        self.steps = [Step("", state)]
        self.at = 0

    @property
    def state(self) -> ReviewState:
        """The current state."""
        return self.steps[self.at].state

    @property
    def undo_name(self) -> str:
        """Name of the change that `undo` takes back; empty when there is none."""
        return self.steps[self.at].action if self.at else ""

    @property
    def redo_name(self) -> str:
        """Name of the change that `redo` brings back; empty when there is none."""
        return self.steps[self.at + 1].action if self.at + 1 < len(self.steps) else ""

    def step_record(self, step: Step, *, replaces: bool = False) -> Record:
        """The record of a `push` with the same arguments."""
        record = _step_record(self.state, step)
        return {**record, "replaces": True} if replaces else record

    def push(self, step: Step, *, replaces: bool = False) -> None:
        """Add a step and drop those that were undone; `replaces`: in the place of the last."""
        keep = self.at if replaces and self.at else self.at + 1
        self.steps[keep:] = [step]
        del self.steps[: -(MAX_UNDO + 1)]
        self.at = len(self.steps) - 1

    def undo(self) -> None:
        """Step back, if there is a step."""
        self.at = max(self.at - 1, 0)

    def redo(self) -> None:
        """Step forward again, if there is a step."""
        self.at = min(self.at + 1, len(self.steps) - 1)

    def replay(self, record: Record) -> None:
        """Do what a record says.

        Raises
        ------
        ValueError, KeyError, TypeError
            When this version does not understand it.
        """
        kind = record["kind"]
        if kind == "state":
            self.steps, self.at = [Step("", applied(ReviewState(), record["state"]))], 0
        elif kind == "change":
            state = applied(self.state, record["change"])
            step = Step(str(record["action"]), state, str(record.get("at", "")))
            self.push(step, replaces=bool(record.get("replaces")))
        elif kind in ("undo", "redo"):
            self.undo() if kind == "undo" else self.redo()
        elif kind not in ("slide", "sketch"):
            raise ValueError(f"unknown kind of line {kind!r}")

    def records(self) -> Iterator[Record]:
        """The shortest sequence of records that leads to the same history.

        They are those of now, though each is made when it is asked for, on whichever thread.
        """
        return _records(tuple(self.steps), len(self.steps) - 1 - self.at)


def _records(steps: tuple[Step, ...], n_undone: int) -> Iterator[Record]:
    before = steps[0].state
    yield {"kind": "state", "state": difference(ReviewState(), before)}
    for step in steps[1:]:
        yield _step_record(before, step)
        before = step.state
    for _ in range(n_undone):
        yield {"kind": "undo"}


def _step_record(before: ReviewState, step: Step) -> Record:
    change = difference(before, step.state)
    return {"kind": "change", "at": step.at, "action": step.action, "change": change}


@dataclass(frozen=True, slots=True)
class Replay:
    """The result of replaying a journal.

    Attributes
    ----------
    history : History
        As far as the journal can be read.
    sketch : Annotation or None
        A drawing that was never finished.
    damaged : bool
        Whether more than a torn last line could not be read, or is missing.
    whole : bytes
        The content of the file where it is intact and can be appended to; else empty.
    """

    history: History
    sketch: Annotation | None = None
    damaged: bool = False
    whole: bytes = b""


def read_journal(path: Path) -> Replay:
    """Replay the journal of a review."""
    history, sketch = History(ReviewState()), None
    try:
        data = read_regular(path, MAX_JOURNAL)
    except (OSError, ValueError):
        return Replay(history, damaged=True)
    records, rest = decode_lines(data)
    for record in records:
        try:
            history.replay(record)
            if record["kind"] == "sketch":
                drawn = record["annotation"]
                sketch = annotation_from(drawn) if drawn else None
            elif record["kind"] == "change":
                sketch = None
        except (ValueError, KeyError, TypeError, AttributeError):
            return Replay(history, sketch, damaged=True)
    # A torn line is what a power cut leaves; lines that are gone without a trace are not.
    damaged = b"\n" in rest or (not rest and lacks_lines(path, data))
    is_whole = not (damaged or rest) and is_chained(data)
    return Replay(history, sketch, damaged, data if is_whole else b"")
