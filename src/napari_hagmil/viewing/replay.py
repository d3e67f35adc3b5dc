"""The path again, as a film: what stood still is shortened, what was away is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from napari_hagmil.viewing.view import View, seconds_in_view

#: No view of a replay stays longer than this, s.
PAUSE = 1.0


def replayed(views: Sequence[View], *, speed: float = 4.0) -> Iterator[tuple[View, float]]:
    """Yield each view that was on the screen, and for how long it is shown again, s.

    Parameters
    ----------
    views : sequence of View
    speed : float
        How many times faster than it was.
    """
    before: View | None = None
    waiting = 0.0
    for view, seconds in zip(views, seconds_in_view(views).tolist(), strict=True):
        if not seconds:
            continue
        if before is not None and view[1:6] == before[1:6]:
            waiting += seconds
            continue
        if before is not None:
            yield before, min(waiting / speed, PAUSE)
        before, waiting = view, seconds
    if before is not None:
        yield before, min(waiting / speed, PAUSE)
