"""Fixations of the viewport: where it stayed, found by dispersion and duration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.files import write_csv
from napari_hagmil.viewing.view import View, as_columns, seconds_in_view

#: Shares of the view's shorter side over which the centre may spread, down and across together.
DISPERSION = 0.25

#: The magnification of a fixation may vary by this factor.
SAME_POWER = 1.1

#: Shortest fixation, s. An eye rests for a fifth of a second; a hand that pans stops longer.
SHORTEST = 0.5


Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fixation:
    """A stretch of time in which the viewport stayed at one place and magnification.

    Attributes
    ----------
    start : float
        Seconds since 1970.
    seconds : float
        How long it lasted.
    y, x : float
        Mean centre, weighted by time, level-0 px.
    height, width : float
        Mean size of the view, level-0 px.
    magnification : float
        Mean.
    views : int
        How many views it is made of.
    """

    start: float
    seconds: float
    y: float
    x: float
    height: float
    width: float
    magnification: float
    views: int


def find_fixations(
    views: Sequence[View], *, dispersion: float = DISPERSION, shortest: float = SHORTEST
) -> list[Fixation]:
    """Extract fixations with a threshold of dispersion and one of duration.

    The algorithm I-DT of D. D. Salvucci and J. H. Goldberg, *Identifying fixations and saccades in
    eye-tracking protocols*, ETRA 2000, with the centre of the viewport for the point of gaze: a
    window over consecutive views grows while their centres spread, down and across together, over
    no more than `dispersion`; it is a fixation when it lasts for `shortest`.

    Parameters
    ----------
    views : sequence of View
        In the order of time.
    dispersion : float
        As a share of the first view's shorter side, so that it means the same at any magnification.
    shortest : float
        Seconds.

    Returns
    -------
    list of Fixation
        In the order of time; no two share a view.
    """
    columns, lasted = as_columns(views), seconds_in_view(views)
    found, i = [], 0
    while i < len(views):
        stop = _end_of_window(columns, lasted, i, dispersion)
        if lasted[i:stop].sum() >= shortest:
            found.append(_mean(columns[i:stop], lasted[i:stop]))
            i = stop
        else:
            i += 1
    return found


def write_fixations(path: Path, fixations: Sequence[Fixation]) -> None:
    """Write a table with a row per fixation; (x, y) count from the corner of the first pixel."""
    header = ("time", "seconds", "x", "y", "width", "height", "magnification", "views")
    write_csv(path, header, [_row(one) for one in fixations])


def _row(one: Fixation) -> list[object]:
    when = datetime.fromtimestamp(one.start, UTC).isoformat(timespec="milliseconds")
    sides = (one.x + 0.5, one.y + 0.5, one.width, one.height)
    power = "" if np.isnan(one.magnification) else round(one.magnification, 3)
    return [when, round(one.seconds, 3), *(round(v, 1) for v in sides), power, one.views]


def _end_of_window(columns: Floats, lasted: Floats, first: int, dispersion: float) -> int:
    """Where a window ends that begins with a view: after the last view that still belongs to it."""
    _, y0, x0, height, width, power = columns[first]
    limit = dispersion * min(height, width)
    (low_y, high_y), (low_x, high_x) = (y0, y0), (x0, x0)
    for i in range(first, len(columns)):
        y, x, at = columns[i, 1], columns[i, 2], columns[i, 5]
        low_y, high_y, low_x, high_x = min(low_y, y), max(high_y, y), min(low_x, x), max(high_x, x)
        spread = high_y - low_y + high_x - low_x
        other = max(at, power) > SAME_POWER * min(at, power)
        if spread > limit or other or not lasted[i]:
            return max(i, first + 1)
    return len(columns)


def _mean(columns: Floats, lasted: Floats) -> Fixation:
    y, x, height, width, power = np.average(columns[:, 1:], axis=0, weights=lasted).tolist()
    start, seconds = float(columns[0, 0]), float(lasted.sum())
    return Fixation(start, seconds, y, x, height, width, power, len(columns))
