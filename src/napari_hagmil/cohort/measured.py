"""What was measured of slides instead of a class: a time and an event, or quantities.

Slides without a class still have to be divided into parts that are alike. For that each belongs to
a stratum: those with an event and those that are censored, or, of a quantity, the lower half and
the upper.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from napari_hagmil.cohort.cohort import SlideRecord

Row = Mapping[str, str]
"""Cells by column; "line" is where the row stands in the file."""


def with_measured(
    records: Sequence[SlideRecord], rows: Sequence[Row], columns: Sequence[str]
) -> tuple[list[SlideRecord], list[str]]:
    """The slides with what some columns say of them, and every cell that is no such number.

    Slides get the name of their stratum as label.
    """
    problems = [problem for row in rows for problem in _problems(row, columns)]
    if problems or not all(row[name] for row in rows for name in columns):
        return list(records), problems  # empty cells are reported with those of other columns
    measured = [tuple(float(row[name]) for name in columns) for row in rows]
    strata = strata_of(measured, columns)
    return [
        replace(record, measured=values, label=stratum)
        for record, values, stratum in zip(records, measured, strata, strict=True)
    ], []


def strata_of(measured: Sequence[Sequence[float]], columns: Sequence[str]) -> list[str]:
    """The stratum of every slide: by its event, or by the median of its first column."""
    if "event" in columns:
        at = list(columns).index("event")
        return ["event" if values[at] else "censored" for values in measured]
    first = [values[0] for values in measured]
    middle = float(np.median(first))
    # Of yes and no the median is one of the two.
    is_upper = [value > middle or (value == middle and middle > min(first)) for value in first]
    return ["upper" if upper else "lower" for upper in is_upper]


def _problems(row: Row, columns: Sequence[str]) -> Iterator[str]:
    for name in columns:
        cell = row[name]
        if not cell:
            continue
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            yield f"line {row['line']} has {cell!r} in {name}, which is no number"
        elif name == "time" and value <= 0:
            yield f"line {row['line']} has the time {cell}, which must be above 0"
        elif name == "event" and value not in (0, 1):
            yield f"line {row['line']} has the event {cell}, not 1, or 0 where it is censored"
