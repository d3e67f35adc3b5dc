"""Temperature scaling: one number that makes probabilities as sure as the model is right.

Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017. The targets are Platt's (1999):
validation slides are few, and where they are all told apart the plain maximum would be a
temperature of 0, which makes every answer certain.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Beyond these a temperature says that there was nothing to fit.
LOWEST, HIGHEST = 0.05, 20.0


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """Find the T with the lowest cross-entropy of softmax(logits / T) to Platt's targets.

    Of n slides of a class and K classes, the target of that class is (n + 1) / (n + K), and that
    of each other class 1 / (n + K).

    Parameters
    ----------
    logits : (slides, classes)
        Of slides that the model was not trained on.
    labels : (slides,)
        Classes.

    Returns
    -------
    float
        Above 1 where the model is too sure; 1 without slides.
    """
    said = np.asarray(logits, dtype=np.float64)
    truth = np.asarray(labels, dtype=np.int64)
    if said.ndim != 2 or len(said) != len(truth):
        raise ValueError(
            f"a temperature is fitted on logits (slides, classes) and as many labels, got "
            f"{said.shape} and {truth.shape}; give one label per row"
        )
    if not len(said):
        return 1.0
    n_classes = said.shape[1]
    counts = np.bincount(truth, minlength=n_classes)[truth]
    targets = np.eye(n_classes)[truth] * counts[:, None] + 1
    targets /= (counts + n_classes)[:, None]

    def loss(log_temperature: float) -> float:
        return float(-(targets * _log_softmax(said / np.exp(log_temperature))).sum(1).mean())

    from scipy.optimize import minimize_scalar  # here: it takes 0.3 s and 20 MB of every start

    # Convex in 1 / T, so that there is one minimum.
    bounds = (np.log(LOWEST), np.log(HIGHEST))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def tempered(probabilities: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Divide the logits of probabilities by a temperature: probabilities again, (…, classes).

    The inverse temperature brings them back.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    logits = np.log(np.maximum(p, np.finfo(np.float64).tiny))
    return np.exp(_log_softmax(logits / temperature))


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))
