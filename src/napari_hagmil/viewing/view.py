"""What a reader had in view, and for how long: the path is a list of views, each until the next."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Event = Literal["open", "move", "rest", "away", "back", "close"]

#: Seconds after which a view that stays is noted again: a crash costs no more of it.
REST = 3.0

#: A view counts no longer than this, s: without another note the machine was asleep.
LONGEST = 2 * REST


class View(NamedTuple):
    """A rectangle of the slide on the screen, from a moment on.

    Attributes
    ----------
    time : float
        Seconds since 1970.
    y, x : float
        Its centre, level-0 px.
    height, width : float
        Level-0 px.
    magnification : float
        On the screen; NaN where the slide has no pixel size.
    event : str
        What brought it: "open" (the slide, or the recording, was opened), "move" (of place or
        magnification), "rest" (it is still the same), "away" (another program came to the front:
        nothing is in view), "back", "close".
    """

    time: float
    y: float
    x: float
    height: float
    width: float
    magnification: float
    event: Event = "move"


def seconds_in_view(views: Sequence[View]) -> NDArray[np.float64]:
    """How long each view was on the screen, s, (n,).

    Each lasts until the next. After "away" and "close", and before an "open" that follows a crash,
    nothing is in view; a clock that was set back makes nothing negative.
    """
    lasted = np.zeros(len(views))
    if len(views) > 1:
        times = np.fromiter((view.time for view in views), np.float64, len(views))
        ends = [view.event in ("away", "close") for view in views[:-1]]
        begins = [view.event == "open" for view in views[1:]]
        shown = ~(np.array(ends) | np.array(begins))
        lasted[:-1] = np.where(shown, np.clip(np.diff(times), 0.0, LONGEST), 0.0)
    return lasted


def as_columns(views: Sequence[View]) -> NDArray[np.float64]:
    """The numbers of views, (n, 6): time, y, x, height, width, magnification."""
    numbers = chain.from_iterable(view[:6] for view in views)
    return np.fromiter(numbers, np.float64, 6 * len(views)).reshape(-1, 6)
