"""Calibration: whether a model is right as often as its probabilities claim.

Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017: slides are binned by the
probability of their most probable class; in each bin the mean of it is compared with the share
of slides for which that class is right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_hagmil.evaluation.classification import checked


@dataclass(frozen=True, slots=True)
class Calibration:
    """The reliability table, and two figures that summarise it.

    Attributes
    ----------
    edges : (bins + 1,)
        Of the bins of confidence.
    counts : (bins,)
        Slides in each.
    confidence, accuracy : (bins,)
        Mean probability of the most probable class, and how often it was right; NaN in a bin
        without slides.
    ece : float
        Expected calibration error: mean distance of the two, by slides.
    brier : float
        Mean squared distance of the probabilities from the truth, summed over classes.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    ece: float
    brier: float


def calibration(labels: ArrayLike, probabilities: ArrayLike, *, bins: int = 10) -> Calibration:
    """Compare the confidence of predictions with how often they are right.

    Parameters
    ----------
    labels : (n,)
        Classes.
    probabilities : (n, classes)
    bins : int
        Of equal width, from 0 to 1; a probability on an edge counts to the bin below it.
    """
    y, p = checked(labels, probabilities)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, confidence, bins) / counts
        accuracy = np.bincount(place, right, bins) / counts
    ece = float(np.nansum(counts * np.abs(mean - accuracy)) / len(y))
    brier = float(np.square(p - np.eye(p.shape[1])[y]).sum(axis=1).mean())
    return Calibration(edges, counts, mean, accuracy, ece, brier)
