"""Split a cohort into training, validation and test: by patient, every class in each, seeded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.cohort.cohort import PARTS, Cohort
from napari_hagmil.errors import CohortError

Counts = NDArray[np.int64]
"""(patients, classes): slides of each patient in each class."""

#: Shares of train, val and test: a third part for testing and 7 : 3 of the rest; and the paper's
#: 6 : 1.5 : 2.5.
HOLDOUT, THREE_WAY = (0.49, 0.21, 0.30), (0.60, 0.15, 0.25)

#: How often the first patients of the parts are drawn anew where classes were left out.
_DRAWS = 200


@dataclass(frozen=True, slots=True)
class Split:
    """Which slides of a cohort are for what.

    Attributes
    ----------
    train, val, test : tuple of int
        Places in `Cohort.records`, ascending; no slide and no patient in two of them.
    """

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]


def holdout(cohort: Cohort, *, seed: int) -> Split:
    """A test set, and 7 : 3 of the rest for training and validation.

    The test set is what the table's split column says, whatever the seed, or else 30 % of the
    slides. Where the column names validation slides, these are fixed too.

    Raises
    ------
    CohortError
        When a class has too few patients for every part to hold one.
    """
    named = {part: _named(cohort, part) for part in PARTS}
    rest = np.setdiff1d(np.arange(len(cohort)), named["test"])
    if not len(named["test"]):
        parts = divide(cohort, rest, HOLDOUT, seed=seed)
    elif len(named["val"]):
        parts = [named["train"], named["val"], named["test"]]
    else:
        parts = [*divide(cohort, rest, (0.7, 0.3), seed=seed), named["test"]]
    return _checked(cohort, parts)


def three_way(cohort: Cohort, *, seed: int) -> Split:
    """6 : 1.5 : 2.5 for training, validation and test; the split column does not count."""
    return _checked(cohort, divide(cohort, np.arange(len(cohort)), THREE_WAY, seed=seed))


def k_fold(cohort: Cohort, k: int, *, seed: int) -> tuple[Split, ...]:
    """One split per fold: each fold tests once, and validates once, for the fold before it.

    The split column does not count.

    Raises
    ------
    CohortError
        When a class has fewer than `k` patients, or `k` leaves nothing to train on.
    """
    if k < 3:
        raise CohortError("folds cannot be made", [f"{k} leave none to train on; take 3 or more"])
    folds = divide(cohort, np.arange(len(cohort)), (1 / k,) * k, seed=seed)
    splits = []
    for i in range(k):
        val = (i + 1) % k
        train = [fold for j, fold in enumerate(folds) if j not in (i, val)]
        splits.append(_checked(cohort, [np.concatenate(train), folds[val], folds[i]]))
    return tuple(splits)


def divide(
    cohort: Cohort, slides: NDArray[np.int64], shares: Sequence[float], *, seed: int
) -> list[NDArray[np.int64]]:
    """Divide some slides of a cohort by patient, each class in these shares as nearly as can be.

    First every part gets a patient of every class, rarest class first; then the other patients,
    those with most slides first, go where the classes are shortest of their share.

    Parameters
    ----------
    cohort : Cohort
    slides : (n,) int64
        Places in `Cohort.records`.
    shares : sequence of float
        Of the parts; sum 1.
    seed : int
    """
    patients, owner = np.unique([cohort.records[i].patient for i in slides], return_inverse=True)
    counts = np.zeros((len(patients), len(cohort.classes)), dtype=np.int64)
    np.add.at(counts, (owner, cohort.labels[slides]), 1)
    _require_patients(cohort, counts, len(shares))
    rng = np.random.default_rng(seed)
    part = _first_patients(counts, len(shares), rng)
    _place_rest(part, counts, np.asarray(shares), rng)
    return [slides[part[owner] == i] for i in range(len(shares))]


def _named(cohort: Cohort, part: str) -> NDArray[np.int64]:
    return np.array([i for i, r in enumerate(cohort.records) if r.split == part], dtype=np.int64)


def _require_patients(cohort: Cohort, counts: Counts, n_parts: int) -> None:
    patients = (counts > 0).sum(axis=0)
    problems = [
        f"the class {name!r} has {n} {'patient' if n == 1 else 'patients'}, and {n_parts} parts "
        "need one each"
        for name, n in zip(cohort.classes, patients, strict=True)
        if n < n_parts
    ]
    if problems:
        raise CohortError("the cohort cannot be divided by patient", problems)


def _first_patients(counts: Counts, n_parts: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The part of some patients, -1 for the rest, so that each part has each class."""
    for _ in range(_DRAWS):
        part = np.full(len(counts), -1, dtype=np.int64)
        if _try_first_patients(part, counts, n_parts, rng):
            return part
    raise CohortError(
        "the cohort cannot be divided by patient",
        [
            f"no way was found to give each of {n_parts} parts a patient of every class; "
            "make fewer parts, or add patients with slides of the rare classes only"
        ],
    )


def _try_first_patients(
    part: NDArray[np.int64], counts: Counts, n_parts: int, rng: np.random.Generator
) -> bool:
    """Draw patients for each class that a part lacks, in place; whether there were enough."""
    has = counts > 0
    for c in np.argsort(has.sum(axis=0), kind="stable"):
        lacking = [i for i in range(n_parts) if not has[part == i, c].any()]
        free = rng.permutation(np.flatnonzero(has[:, c] & (part < 0)))
        # Patients with few slides first: they disturb the shares least.
        free = free[np.argsort(counts[free].sum(axis=1), kind="stable")]
        if len(free) < len(lacking):
            return False
        part[free[: len(lacking)]] = lacking
    return True


def _place_rest(
    part: NDArray[np.int64],
    counts: Counts,
    shares: NDArray[np.float64],
    rng: np.random.Generator,
) -> None:
    """Give every patient that has none a part, in place."""
    totals = counts.sum(axis=0)
    missing = shares[:, None] * totals - [counts[part == i].sum(axis=0) for i in range(len(shares))]
    free = rng.permutation(np.flatnonzero(part < 0))
    for patient in free[np.argsort(-counts[free].sum(axis=1), kind="stable")]:
        # Change in the squared shortfall of part i if the patient goes there.
        after = np.square((missing - counts[patient]) / totals).sum(axis=1)
        best = int(np.argmin(after - np.square(missing / totals).sum(axis=1)))
        part[patient] = best
        missing[best] -= counts[patient]


def _checked(cohort: Cohort, parts: Sequence[NDArray[np.int64]]) -> Split:
    """Parts as a `Split`; raise where one of them lacks a class."""
    labels = cohort.labels
    problems = [
        f"{name} has no slide of class {c!r}"
        for name, part in zip(PARTS, parts, strict=True)
        for i, c in enumerate(cohort.classes)
        if not (labels[part] == i).any()
    ]
    if problems:
        raise CohortError("the split column cannot be used", problems)
    train, val, test = (tuple(int(i) for i in np.sort(part)) for part in parts)
    return Split(train, val, test)
