"""The order of a cohort's classes: the negative first, so that of two the last is the positive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from napari_hagmil.cohort.cohort import Cohort
from napari_hagmil.errors import CohortError

NEGATIVES = frozenset(
    {"normal", "negative", "neg", "benign", "healthy", "control", "0", "no", "none", "false"}
    | {f"{no}{found}" for no in ("non-", "non", "no-") for found in ("tumor", "tumour", "cancer")}
)
"""Labels that say that nothing was found, in lower case."""


def class_order(labels: Iterable[str]) -> tuple[str, ...]:
    """The classes in alphabetical order, but a negative that is recognised comes first."""
    names = sorted(set(labels))
    negatives = _negatives(names)
    return (*negatives, *(name for name in names if name not in negatives))


def ordered(cohort: Cohort, classes: Sequence[str] = ()) -> tuple[str, ...]:
    """The classes of a cohort in the order of a model's logits.

    Parameters
    ----------
    cohort : Cohort
    classes : sequence of str
        The order that the user gave, negative first; by default `class_order`.

    Raises
    ------
    CohortError
        When the given classes are not those of the cohort.
    """
    found = tuple(sorted({record.label for record in cohort.records}))
    if not classes:
        return class_order(found)
    if sorted(classes) != list(found):
        raise CohortError(
            f"the classes {', '.join(classes)} are not those of the table",
            [f"its labels are {', '.join(found)}; give just these, the negative first"],
        )
    return tuple(classes)


def is_order_known(classes: Sequence[str]) -> bool:
    """Whether the labels alone say which of two classes is the positive one.

    F1, Youden's threshold and the sign of every score depend on it. Of more classes than two none
    is the positive one.
    """
    return len(classes) != 2 or len(_negatives(classes)) == 1


def begins_with_a_negative(classes: Sequence[str]) -> bool:
    """Whether the first class is known to mean that nothing was found."""
    return bool(_negatives(classes[:1]))


def _negatives(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.strip().lower().replace("_", "-") in NEGATIVES]
