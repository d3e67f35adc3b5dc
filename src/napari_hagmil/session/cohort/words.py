"""A cohort in words: how many slides, what became of them, how far a reader has come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from napari_hagmil.session.cohort.decisions import DecisionCount
from napari_hagmil.session.cohort.entry import CohortEntry
from napari_hagmil.session.numbers import counted


def cohort_sentence(entries: Sequence[CohortEntry], reader: str) -> str:
    """``"300 slides: 290 done, 10 failed. Reviews: 12 finished, 3 undecided."``."""
    states = Counter(one.state.replace("_", " ") for one in entries if one.state)
    stages = Counter(one.review(reader).stage for one in entries)
    moved = sum(one.is_moved for one in entries)
    became = [f"{n:,} {state}" for state, n in states.most_common()]
    became += [f"{moved:,} not where they were"] if moved else []
    read = [f"{stages[stage]:,} {stage}" for stage in ("finished", "undecided") if stages[stage]]
    whose = f"Reviews of {reader}" if reader else "Reviews"
    parts = [
        f"{counted(len(entries), 'slide')}{': ' if became else ''}{', '.join(became)}.",
        *([f"{whose}: {', '.join(read)}."] if read else []),
    ]
    return " ".join(parts)


def written_sentence(count: DecisionCount, name: str) -> str:
    """What a table of decisions holds."""
    rest = f"; {counted(count.unreviewed, 'slide')} without a review" if count.unreviewed else ""
    return f"Written to {name}: {counted(count.reviews, 'review')}{rest}."
