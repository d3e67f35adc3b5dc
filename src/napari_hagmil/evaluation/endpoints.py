"""Metrics of quantities, of several yes-or-no targets, and of survival, in plain numpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_hagmil.evaluation.classification import bootstrap_groups
from napari_hagmil.evaluation.metrics import Interval, auc
from napari_hagmil.models import Endpoint

Floats = NDArray[np.float64]

OfSome = Callable[[NDArray[np.intp]], float]
"""A metric of some slides, given their places (with repeats)."""


def concordance(time: ArrayLike, event: ArrayLike, risk: ArrayLike) -> float:
    """Harrell's c-index: the chance that of two slides the earlier event has the higher risk.

    A pair counts where the earlier time is an event's; a censored slide is taken to outlive an
    event at the same time. Equal risks count half.

    Parameters
    ----------
    time, event, risk : (n,)
        Event: 1, or 0 where the slide is censored.

    Returns
    -------
    float
        NaN where no two slides can be compared.
    """
    comparable, agreeing = _pairs(time, event, risk)
    return _share(agreeing, comparable)


def _pairs(time: ArrayLike, event: ArrayLike, risk: ArrayLike) -> tuple[Floats, Floats]:
    """Whether slide i had its event before slide j, and to which degree their risks agree."""
    t, d, r = (np.asarray(values, dtype=np.float64) for values in (time, event, risk))
    earlier = (t[:, None] < t) | ((t[:, None] == t) & (d < d[:, None]))
    comparable = (earlier & (d[:, None] == 1)).astype(np.float64)
    agrees = (r[:, None] > r) + 0.5 * (r[:, None] == r)
    return comparable, comparable * agrees


def _share(agreeing: Floats, comparable: Floats) -> float:
    pairs = comparable.sum()
    return float(agreeing.sum() / pairs) if pairs else float("nan")


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the precision-recall curve, as a sum of steps: Σ (Rₖ − Rₖ₋₁) Pₖ.

    Parameters
    ----------
    labels, scores : (n,)
        Labels: 1 positive, 0 negative. A step per distinct score.

    Returns
    -------
    float
        NaN where no slide is positive.
    """
    y, s = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if not y.sum():
        return float("nan")
    order = np.argsort(-s, kind="stable")
    last = np.flatnonzero(np.append(np.diff(s[order]) != 0, True))
    found = np.cumsum(y[order])[last]
    return float((np.diff(found, prepend=0.0) * found / (last + 1)).sum() / y.sum())


def macro_average_precision(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """AUPRC of the last of two classes, or the mean of one against rest of more.

    Parameters
    ----------
    labels : (n,)
        Classes, as places in the columns of `probabilities`.
    probabilities : (n, classes)
    """
    y, p = np.asarray(labels), np.asarray(probabilities)
    classes = [1] if p.shape[1] == 2 else range(p.shape[1])
    return float(np.mean([average_precision(y == c, p[:, c]) for c in classes]))


def r_squared(measured: ArrayLike, predicted: ArrayLike) -> float:
    """1 − residual / total sum of squares; NaN where all were measured alike."""
    y, x = np.asarray(measured, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    total = np.square(y - y.mean()).sum()
    return float(1 - np.square(y - x).sum() / total) if total else float("nan")


def pearson(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Correlation; NaN where one of the two is constant."""
    y, x = np.asarray(measured, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    y, x = y - y.mean(), x - x.mean()
    norm = np.sqrt(np.square(y).sum() * np.square(x).sum())
    return float((y * x).sum() / norm) if norm else float("nan")


def merit(endpoint: Endpoint, outputs: ArrayLike, measured: ArrayLike) -> float:
    """The chance that of two slides the order is told right; mean over the targets.

    Of survival the c-index, of yes or no the AUC, of a quantity the same of its order.

    Parameters
    ----------
    endpoint : Endpoint
    outputs : (n, outputs)
    measured : (n, columns)
    """
    y, read = np.asarray(measured, dtype=np.float64), list(endpoint.readings(outputs).values())
    if endpoint.is_survival:
        return concordance(y[:, 0], y[:, 1], read[0])
    if endpoint.kind == "labels":
        return float(np.mean([auc(y[:, i], p) for i, p in enumerate(read)]))
    happened = np.ones(len(y))
    return float(np.mean([concordance(y[:, i], happened, -x) for i, x in enumerate(read)]))


def intervals(
    endpoint: Endpoint,
    outputs: ArrayLike,
    measured: ArrayLike,
    patients: Sequence[str],
    *,
    seed: int = 0,
    rounds: int = 2000,
) -> dict[str, Interval]:
    """Every metric of an endpoint with its 95 % interval, drawn over patients.

    `c_index`; or of each target and, under the plain name, their mean: `r2`, `pearson` and `mae`
    of quantities, `auc` and `auprc` of yes or no.

    Parameters
    ----------
    endpoint : Endpoint
    outputs : (n, outputs)
    measured : (n, columns)
    patients : sequence of str
        Of each slide.
    seed, rounds : int
        Of the bootstrap.
    """
    y, read = np.asarray(measured, dtype=np.float64), list(endpoint.readings(outputs).values())
    found: dict[str, OfSome] = {}
    if endpoint.is_survival:
        found["c_index"] = _concordance_of_some(y[:, 0], y[:, 1], read[0])
    for name, metric in _METRICS.get(endpoint.kind, {}).items():
        each = {
            f"{name}_{target}": _of_some(metric, y[:, i], read[i])
            for i, target in enumerate(endpoint.targets)
        }
        found[name] = _mean_of(list(each.values()))
        if len(each) > 1:
            found.update(each)
    return {
        name: bootstrap_groups(metric, patients, seed=seed, rounds=rounds)
        for name, metric in found.items()
    }


def _mean_absolute_error(measured: ArrayLike, predicted: ArrayLike) -> float:
    return float(np.abs(np.asarray(measured) - np.asarray(predicted)).mean())


_METRICS: dict[str, dict[str, Callable[[Any, Any], float]]] = {
    "regression": {"r2": r_squared, "pearson": pearson, "mae": _mean_absolute_error},
    "labels": {"auc": auc, "auprc": average_precision},
}


def _of_some(metric: Callable[[Any, Any], float], y: Floats, x: Floats) -> OfSome:
    return lambda places: metric(y[places], x[places])


def _mean_of(metrics: Sequence[OfSome]) -> OfSome:
    return lambda places: float(np.mean([metric(places) for metric in metrics]))


def _concordance_of_some(time: Floats, event: Floats, risk: Floats) -> OfSome:
    """The pairs are compared once: a slide drawn twice counts as two."""
    comparable, agreeing = _pairs(time, event, risk)

    def of_some(places: NDArray[np.intp]) -> float:
        drawn = np.bincount(places, minlength=len(time)).astype(np.float64)
        pairs = drawn @ comparable @ drawn
        return float(drawn @ agreeing @ drawn / pairs) if pairs else float("nan")

    return of_some
