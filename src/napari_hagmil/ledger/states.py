"""The states of a slide in a batch run, and what follows from each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from napari_hagmil.errors import (
    MissingPixelSizeError,
    NoTissueError,
    SlideFormatError,
    SlideReadError,
)
from napari_hagmil.process import is_out_of_memory

SlideState = Literal[
    "done",
    "no_tissue",
    "incomplete",
    "missing_mpp",
    "unreadable",
    "failed",
    "crashed",
    "timeout",
    "oom",
    "skipped",
]
"""Done; without tissue; too much unread to call it; without a pixel size; not a slide that can be
read; failed otherwise; its process died; it took too long; memory ran out; left to another process.
"""


@dataclass(frozen=True, slots=True)
class StateRule:
    """The consequences of a state.

    Attributes
    ----------
    has_manifest : bool
        Whether the slide's folder is whole, with its manifest.
    exit_status : int
        Of what worked on the slide alone.
    tries : int
        Attempts, unless the user asks to retry that state.
    remedy : str
        What the user can do.
    """

    has_manifest: bool
    exit_status: int
    tries: int
    remedy: str


#: The rule of every state.
STATE_RULES: dict[SlideState, StateRule] = {
    "done": StateRule(True, 0, 1, ""),
    "no_tissue": StateRule(True, 3, 1, "look at the slide, and give its tissue's outline"),
    "incomplete": StateRule(True, 3, 1, "copy or export the file again, then --retry incomplete"),
    "missing_mpp": StateRule(False, 3, 1, "read such slides into another folder, with --mpp"),
    "unreadable": StateRule(False, 3, 1, "copy or export the file again, then --retry unreadable"),
    "failed": StateRule(False, 3, 2, "mend what the reason says, then --retry failed"),
    "crashed": StateRule(False, 3, 2, "open the slide alone to see why, then --retry crashed"),
    "timeout": StateRule(False, 3, 2, "give a longer --timeout, then --retry timeout"),
    "oom": StateRule(False, 3, 2, "give fewer --workers or more --memory, then --retry oom"),
    "skipped": StateRule(False, 4, 0, "wait for the other process"),
}

STATES: tuple[SlideState, ...] = get_args(SlideState)


def state_after(error: BaseException) -> SlideState:
    """The state of a slide whose work ended with an error."""
    by_kind: tuple[tuple[type[BaseException], SlideState], ...] = (
        (NoTissueError, "no_tissue"),
        (MissingPixelSizeError, "missing_mpp"),
        (SlideFormatError, "unreadable"),
        (SlideReadError, "unreadable"),
    )
    for kind, state in by_kind:
        if isinstance(error, kind):
            return state
    return "oom" if is_out_of_memory(error) else "failed"
