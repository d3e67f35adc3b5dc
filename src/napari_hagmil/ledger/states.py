"""What became of a slide of a cohort."""

from __future__ import annotations

from typing import Literal

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
