"""The one undo stack of a sitting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from napari_hagmil.review.record import Record, applied, difference
from napari_hagmil.review.state import ReviewState

#: Steps that can be undone; older ones become part of the first state.
MAX_UNDO = 200


@dataclass(frozen=True, slots=True)
class Step:
    """A state, the name of the change that led to it, and when it was made (ISO 8601)."""

    action: str
    state: ReviewState
    at: str = ""


class History:
    """States in a row, and where in the row one stands.

    Attributes
    ----------
    steps : list of Step
        At least one: the state that the sitting began with.
    at : int
        Index of the step that holds now.
    """

    def __init__(self, state: ReviewState) -> None:
        self.steps = [Step("", state)]
        self.at = 0

    @property
    def state(self) -> ReviewState:
        """The state that holds now."""
        return self.steps[self.at].state

    @property
    def undo_name(self) -> str:
        """Name of the change that `undo` would take back; empty when there is none."""
        return self.steps[self.at].action if self.at else ""

    @property
    def redo_name(self) -> str:
        """Name of the change that `redo` would bring again; empty when there is none."""
        return self.steps[self.at + 1].action if self.at + 1 < len(self.steps) else ""

    def step_record(self, step: Step, *, replaces: bool = False) -> Record:
        """The line of the journal that `push` with the same arguments needs."""
        record = _step_record(self.state, step)
        return {**record, "replaces": True} if replaces else record

    def push(self, step: Step, *, replaces: bool = False) -> None:
        """Add a step; what was undone before it is gone. `replaces`: instead of the last."""
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

    def take(self, record: Record) -> None:
        """Do what a line of the journal says.

        Raises
        ------
        ValueError, KeyError, TypeError
            When it says nothing that this version understands.
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
        """The shortest journal that leads to the same history."""
        first = self.steps[0].state
        yield {"kind": "state", "state": difference(ReviewState(), first)}
        before = first
        for step in self.steps[1:]:
            yield _step_record(before, step)
            before = step.state
        for _ in range(len(self.steps) - 1 - self.at):
            yield {"kind": "undo"}


def _step_record(before: ReviewState, step: Step) -> Record:
    change = difference(before, step.state)
    return {"kind": "change", "at": step.at, "action": step.action, "change": change}
