"""Metrics of class probabilities, for two classes or more, in plain numpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_hagmil.evaluation.metrics import Interval, auc

Labels = NDArray[np.int64]
"""(n,) classes as places in the model's list."""

Probabilities = NDArray[np.float64]
"""(n, classes)."""

OfSlides = Callable[[NDArray[np.intp]], float]
"""A metric of some slides, given their places (with repeats)."""


@dataclass(frozen=True, slots=True)
class RocCurve:
    """Sensitivity against false alarms of one class against all others.

    Attributes
    ----------
    false_positive_rate, true_positive_rate : (m,)
        From (0, 0) to (1, 1).
    thresholds : (m,)
        The lowest score that is called positive at each point; infinite at the first.
    """

    false_positive_rate: NDArray[np.float64]
    true_positive_rate: NDArray[np.float64]
    thresholds: NDArray[np.float64]


def class_auc(labels: ArrayLike, probabilities: ArrayLike) -> NDArray[np.float64]:
    """AUC of each class against all others, (classes,); NaN where one side is absent."""
    y, p = checked(labels, probabilities)
    return np.array([auc(y == c, p[:, c]) for c in range(p.shape[1])])


def macro_auc(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean of `class_auc`, one against rest; NaN unless every class is there.

    Of two classes it is the AUC of either.
    """
    return float(class_auc(labels, probabilities).mean())


def confusion_matrix(labels: ArrayLike, called: ArrayLike, n_classes: int) -> NDArray[np.int64]:
    """Slides by class (rows) and by what they were called (columns)."""
    matrix = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(matrix, (np.asarray(labels), np.asarray(called)), 1)
    return matrix


def class_f1(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """F1 of each class, (classes,): NaN for one that neither is nor was called."""
    both = confusion.sum(axis=0) + confusion.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * confusion.diagonal() / both)


def macro_f1(labels: ArrayLike, called: ArrayLike, n_classes: int) -> float:
    """Mean of `class_f1` over the classes that are there, or were called."""
    return float(np.nanmean(class_f1(confusion_matrix(labels, called, n_classes))))


def f1_score(labels: ArrayLike, called: ArrayLike, n_classes: int) -> float:
    """F1 as papers give it: of the positive class, the last, for two; macro F1 for more.

    0 where nothing positive is, or was called.
    """
    of_classes = class_f1(confusion_matrix(labels, called, n_classes))
    if n_classes == 2:
        return float(np.nan_to_num(of_classes[1]))
    return float(np.nanmean(of_classes))


def f1_name(classes: Sequence[str]) -> str:
    """What `f1_score` is the F1 of, for the tables."""
    return f"F1 of {classes[1]}" if len(classes) == 2 else "F1, mean over classes"


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> RocCurve:
    """ROC of two classes: a point per distinct score.

    Parameters
    ----------
    labels : (n,)
        1 positive, 0 negative; both must be there.
    scores : (n,)
        Higher means more positive.
    """
    y, s = np.asarray(labels, dtype=np.int64), np.asarray(scores, dtype=np.float64)
    if not 0 < y.sum() < len(y):
        raise ValueError(
            f"a ROC curve needs slides of both classes, got {int(y.sum())} positive of {len(y)}; "
            "add slides of the other"
        )
    order = np.argsort(-s, kind="stable")
    last = np.flatnonzero(np.append(np.diff(s[order]) != 0, True))
    positive, negative = np.cumsum(y[order])[last], np.cumsum(1 - y[order])[last]
    return RocCurve(
        np.append(0, negative / negative[-1]),
        np.append(0, positive / positive[-1]),
        np.append(np.inf, s[order][last]),
    )


def bootstrap_groups(
    metric: OfSlides,
    groups: Sequence[str],
    *,
    seed: int = 0,
    rounds: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """A metric with its percentile interval over patients drawn with replacement.

    Slides of one patient are alike: drawing slides would make the interval too narrow. Rounds
    in which the metric is not defined (a class absent) are left out.

    Parameters
    ----------
    metric : callable
    groups : sequence of str
        The patient of every slide.
    """
    _, owner = np.unique(np.asarray(groups), return_inverse=True)
    members = [np.flatnonzero(owner == g) for g in range(owner.max() + 1)]
    rng = np.random.default_rng(seed)
    draws = (rng.integers(len(members), size=len(members)) for _ in range(rounds))
    values = np.array([metric(np.concatenate([members[g] for g in draw])) for draw in draws])
    value = metric(np.arange(len(owner)))
    if np.isnan(values).all():
        return Interval(value, float("nan"), float("nan"))
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return Interval(value, float(low), float(high))


def checked(labels: ArrayLike, probabilities: ArrayLike) -> tuple[Labels, Probabilities]:
    """Labels and probabilities as arrays; raise where they do not fit each other."""
    y, p = np.asarray(labels, dtype=np.int64), np.asarray(probabilities, dtype=np.float64)
    if y.ndim != 1 or p.ndim != 2 or len(y) != len(p) or not len(y):
        raise ValueError(
            f"labels (n,) and probabilities (n, classes) are needed, got {y.shape} and {p.shape}; "
            "give one row per slide"
        )
    if (y < 0).any() or (y >= p.shape[1]).any():
        raise ValueError(
            f"labels must be 0 to {p.shape[1] - 1}, got {y.min()} to {y.max()}; give places in "
            "the list of classes"
        )
    return y, p
