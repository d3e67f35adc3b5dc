"""Metrics of scores: AUC, thresholds, and bootstrap intervals, in plain numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Metric = Callable[[NDArray[np.int64], NDArray[np.float64]], float]


class Interval(NamedTuple):
    """A value with the percentile interval of its bootstrap."""

    value: float
    low: float
    high: float


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve of two classes: the chance that a positive scores higher.

    Ties count half (Mann–Whitney U / n₊n₋).

    Parameters
    ----------
    labels : (n,)
        1 positive, 0 negative.
    scores : (n,)
        Higher means more positive.

    Returns
    -------
    float
        NaN where one class is absent.
    """
    y, s = _checked(labels, scores)
    positive, negative = s[y == 1], np.sort(s[y == 0])
    if not len(positive) or not len(negative):
        return float("nan")
    below = np.searchsorted(negative, positive, side="left")
    upto = np.searchsorted(negative, positive, side="right")
    return float((below + upto).sum() / (2 * len(positive) * len(negative)))


def accuracy(labels: ArrayLike, scores: ArrayLike, threshold: float = 0.5) -> float:
    """Share of slides on their side of the threshold; at the threshold counts as positive."""
    y, s = _checked(labels, scores)
    return float(((s >= threshold) == (y == 1)).mean())


def f1(labels: ArrayLike, scores: ArrayLike, threshold: float = 0.5) -> float:
    """Harmonic mean of precision and recall of the positives; 0 where none is found."""
    y, s = _checked(labels, scores)
    called = s >= threshold
    both = int((called & (y == 1)).sum())
    return 2 * both / max(int(called.sum() + (y == 1).sum()), 1)


def youden_threshold(labels: ArrayLike, scores: ArrayLike) -> float:
    """The threshold that maximises sensitivity + specificity − 1 (Youden 1950).

    It lies in the middle of the gap below the lowest score that it calls positive; of equal
    ones the widest gap is taken. Choose it on validation slides only.
    """
    y, s = _checked(labels, scores)
    edges = np.unique(s)
    sensitivity = np.array([(s[y == 1] >= edge).mean() for edge in edges])
    specificity = np.array([(s[y == 0] < edge).mean() for edge in edges])
    gaps = np.diff(edges, prepend=edges[0])
    youden = sensitivity + specificity
    best = np.flatnonzero(np.isclose(youden, youden.max()))
    chosen = best[np.argmax(gaps[best])]
    return float(edges[chosen] - gaps[chosen] / 2)


def bootstrap(
    metric: Metric,
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    seed: int = 0,
    rounds: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """A metric with its percentile interval over slides drawn with replacement.

    Rounds in which the metric is not defined (one class absent) are left out.
    """
    y, s = _checked(labels, scores)
    rng = np.random.default_rng(seed)
    draws = (rng.integers(len(y), size=len(y)) for _ in range(rounds))
    values = np.array([metric(y[draw], s[draw]) for draw in draws])
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return Interval(metric(y, s), float(low), float(high))


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    y, s = np.asarray(labels, dtype=np.int64), np.asarray(scores, dtype=np.float64)
    if y.shape != s.shape or y.ndim != 1 or not len(y) or not np.isin(y, (0, 1)).all():
        raise ValueError(
            f"a metric takes as many labels (0 or 1) as scores, got shapes {y.shape} and "
            f"{s.shape} with labels {np.unique(y)[:5].tolist()}; give one of each per slide"
        )
    return y, s
