"""One slide of a cohort as a line of its table: what is known of it, in words and for sorting."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from napari_hagmil.ledger import STATE_RULES
from napari_hagmil.review.progress import ReviewProgress
from napari_hagmil.session.numbers import percent

Column = Literal[
    "slide",
    "patient",
    "class",
    "probability",
    "uncertainty",
    "unseen",
    "state",
    "review",
    "readers",
]

#: The columns of the table, with their headings.
COLUMNS: Mapping[Column, str] = MappingProxyType(
    {
        "slide": "Slide",
        "patient": "Patient",
        "class": "Prediction",
        "probability": "Probability",
        "uncertainty": "Uncertainty",
        "unseen": "Never viewed",
        "state": "State",
        "review": "Review",
        "readers": "Read by",
    }
)

#: States with a result that can be shown.
_SHOWN = ("done", "incomplete")


@dataclass(frozen=True, slots=True)
class CohortEntry:
    """A slide of a cohort.

    Attributes
    ----------
    name : str
        Unique in the cohort.
    path : Path
        Where the slide is expected.
    patient : str
        Empty where the slide is its own.
    patient_call : str
        What all slides of the patient say together, in words; empty where that is not known.
    state : str
        A `SlideState`, "waiting" or "running"; empty where nothing was run on the slide.
    reason : str
        Why it is not done, as a sentence.
    called : str
        The class that the model calls.
    probabilities : tuple of float
        Of all classes.
    unseen : float or None
        Share of the tissue that was never viewed at the finest depth, 0 to 1.
    mpp : float or None
        µm per level-0 px of the result.
    fingerprint : str
        Of the content that the result is of; empty where that is not known.
    result : Path or None
        The folder of the stored result.
    reviews : mapping of str to ReviewProgress
        By reader; the shared review under "".
    is_moved : bool
        Whether the slide is not where it is expected.
    """

    name: str
    path: Path
    patient: str = ""
    patient_call: str = ""
    state: str = ""
    reason: str = ""
    called: str = ""
    probabilities: tuple[float, ...] = ()
    unseen: float | None = None
    mpp: float | None = None
    fingerprint: str = ""
    result: Path | None = None
    reviews: Mapping[str, ReviewProgress] = field(default_factory=dict)
    is_moved: bool = False

    @property
    def has_result(self) -> bool:
        """Whether there is a result that can be shown."""
        return self.result is not None and self.state in _SHOWN

    @property
    def can_be_read(self) -> bool:
        """Whether it could be read now: it is there, and was opened before where a run tried it."""
        rule = STATE_RULES.get(self.state)  # type: ignore[call-overload]
        return not self.is_moved and (not self.state or (rule is not None and rule.has_manifest))

    @property
    def probability(self) -> float | None:
        """Of the most probable class; None without a prediction."""
        return max(self.probabilities, default=None)

    @property
    def uncertainty(self) -> float | None:
        """How undecided the model is, 0 to 1: the entropy of its probabilities over its highest."""
        if len(self.probabilities) < 2:
            return None
        entropy = -sum(p * math.log(p) for p in self.probabilities if p > 0)
        return min(entropy / math.log(len(self.probabilities)), 1.0)

    def review(self, reader: str) -> ReviewProgress:
        """How far a reader has come; the shared review under ""."""
        return self.reviews.get(reader, ReviewProgress())

    def sort_key(self, column: Column, reader: str) -> tuple[bool, Any]:
        """What a column sorts by: whether nothing is known, then the value."""
        value = _VALUES[column](self, reader)
        return value is None or value == "" or value == (), value

    def words(self, column: Column, reader: str) -> str:
        """What a cell of the table says."""
        number = {
            "probability": self.probability,
            "uncertainty": self.uncertainty,
            "unseen": self.unseen,
        }.get(column)
        if number is not None:
            return percent(number)
        texts: dict[Column, str] = {
            "slide": self.name,
            "patient": ": ".join(filter(None, (self.patient, self.patient_call))),
            "class": self.called,
            "state": self._state_words(),
            "review": _told(self.review(reader)),
            "readers": ", ".join(name or "all" for name in sorted(self.reviews)),
        }
        return texts.get(column, "")

    def _state_words(self) -> str:
        """The state; a mark, and no colour, tells those that need a person in any theme."""
        if self.is_moved:
            return "✗ moved"
        rule = STATE_RULES.get(self.state)  # type: ignore[call-overload]
        mark = "✗ " if rule is not None and rule.exit_status else ""
        return mark + self.state.replace("_", " ")

    def tip(self) -> str:
        """What to know beyond the cells: where the slide is, what went wrong, what to do."""
        lines = [str(self.path)]
        if self.is_moved:
            lines.append("It is not there any more: press Find slides…")
        if self.reason:
            lines.append(self.reason)
        rule = STATE_RULES.get(self.state)  # type: ignore[call-overload]
        if rule is not None and rule.remedy:
            lines.append(f"What to do: {rule.remedy}")
        return "\n".join(lines)


def _review_order(entry: CohortEntry, reader: str) -> tuple[str, int]:
    review = entry.review(reader)
    return review.stage, review.decided


#: What each column sorts by.
_VALUES: Mapping[Column, Callable[[CohortEntry, str], Any]] = MappingProxyType(
    {
        "slide": lambda entry, reader: entry.name.casefold(),
        "patient": lambda entry, reader: entry.patient.casefold(),
        "class": lambda entry, reader: entry.called.casefold(),
        "probability": lambda entry, reader: entry.probability,
        "uncertainty": lambda entry, reader: entry.uncertainty,
        "unseen": lambda entry, reader: entry.unseen,
        "state": lambda entry, reader: entry.state,
        "review": _review_order,
        "readers": lambda entry, reader: tuple(sorted(map(str.casefold, entry.reviews))),
    }
)


def _told(review: ReviewProgress) -> str:
    if review.stage == "not begun":
        return ""
    if review.concluded:
        said = "" if review.concluded == "✓" else f": {review.concluded}"
        return f"finished{said}"
    left = review.regions - review.decided
    return "finished" if not left else f"{left:,} of {review.regions:,} undecided"


@dataclass(frozen=True, slots=True)
class CohortFilter:
    """Which slides the table shows.

    Attributes
    ----------
    text : str
        Part of a slide's name, patient, class, state, reason or reader; capitals are ignored.
    state, called : str or None
        Only this state or class; None: all.
    review : str or None
        Only slides at this stage of the reader's review: see `ReviewProgress.stage`.
    reader : str
        Whose review.
    """

    text: str = ""
    state: str | None = None
    called: str | None = None
    review: str | None = None
    reader: str = ""

    def passes(self, entry: CohortEntry) -> bool:
        """Whether the table shows a slide."""
        return (
            self.state in (None, entry.state)
            and self.called in (None, entry.called)
            and self.review in (None, entry.review(self.reader).stage)
            and self.text.casefold().strip() in _searched(entry)
        )


def _searched(entry: CohortEntry) -> str:
    patient = (entry.patient, entry.patient_call)
    said = (entry.name, *patient, entry.called, entry.state, entry.reason, *entry.reviews)
    return "\n".join(said).casefold()


def in_order(
    entries: Sequence[CohortEntry], column: Column, reader: str, *, descending: bool = False
) -> list[CohortEntry]:
    """Entries sorted by a column; what is not known comes last in either direction."""
    keyed = [(*one.sort_key(column, reader), one) for one in entries]
    known = [(value, one) for is_unknown, value, one in keyed if not is_unknown]
    known.sort(key=itemgetter(0), reverse=descending)
    return [one for _, one in known] + [one for is_unknown, _, one in keyed if is_unknown]


def next_undecided(entries: Sequence[CohortEntry], at: str, reader: str) -> CohortEntry | None:
    """The next slide after `at` that the reader has not finished, from the start again at the end.

    Slides that cannot be opened are passed over.
    """
    names = [one.name for one in entries]
    start = names.index(at) + 1 if at in names else 0
    around = (*entries[start:], *entries[:start])
    return next(
        (
            one
            for one in around
            if one.name != at and one.can_be_read and one.review(reader).stage != "finished"
        ),
        None,
    )
