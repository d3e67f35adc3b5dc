"""Long work beside a window that must stay quick."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def leave_a_core() -> Iterator[None]:
    """Let torch use all cores of the CPU but one meanwhile: the window repaints on that one.

    Made for the thread that does the work.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before - 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)
