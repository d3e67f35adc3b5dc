"""Weights of the depths in a decision that all of them take part in."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

#: Penalty on the squared distance of the weights from equal ones. Validation slides are few, and
#: where the depths separate them perfectly the weights would grow without bound.
PULL = 0.05


def fit_depth_weights(logits: ArrayLike, labels: ArrayLike) -> tuple[float, ...]:
    """Find weights w ≥ 0 with the lowest cross-entropy of Σ w_d l_d, held near 1 / depths.

    Fit them on slides that no depth was trained on: on its own training slides every depth is
    right.

    Parameters
    ----------
    logits : (slides, depths, classes)
    labels : (slides,)

    Returns
    -------
    tuple of float
        One per depth.
    """
    said = torch.from_numpy(np.asarray(logits, dtype=np.float64))
    truth = torch.from_numpy(np.asarray(labels, dtype=np.int64))
    if said.ndim != 3 or len(said) != len(truth) or not len(said):
        raise ValueError(
            f"weights of depths are fitted on logits (slides, depths, classes) and as many labels, "
            f"got {tuple(said.shape)} and {tuple(truth.shape)}; give some slides"
        )
    equal = 1 / said.shape[1]
    roots = torch.full((said.shape[1],), equal**0.5, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([roots], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        weights = roots.square()  # never negative
        decided = torch.einsum("d,sdc->sc", weights, said)
        total = nn.functional.cross_entropy(decided, truth)
        total = total + PULL * (weights - equal).square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return tuple(round(float(weight), 6) for weight in roots.detach().square())
