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

    F1, Youden's threshold and the sign of every score depend on which of two classes is the
    positive, the last: where no label says so, it has to be given.

    Parameters
    ----------
    cohort : Cohort
    classes : sequence of str
        The order that the user gave, negative first; by default none.

    Raises
    ------
    CohortError
        When the given classes are not those of the cohort, or two classes have no order.
    """
    found = tuple(sorted({record.label for record in cohort.records}))
    if classes:
        if sorted(classes) != list(found):
            raise CohortError(
                f"the classes {', '.join(classes)} are not those of the table",
                [f"its labels are {', '.join(found)}; give just these, the negative first"],
            )
        return tuple(classes)
    if len(found) == 2 and len(_negatives(found)) != 1:
        raise CohortError(
            f"which of {' and '.join(found)} is the positive class is not known",
            [
                "F1 and thresholds are of the positive one; give the negative first, as "
                f"--classes {','.join(found)} or classes = [{', '.join(map(repr, found))}] in "
                "the protocol"
            ],
        )
    return class_order(found)


def _negatives(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.strip().lower().replace("_", "-") in NEGATIVES]
