"""The decision: the finest depth's, or one in which every depth that was read counts; no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def decide(
    logits: Sequence[NDArray[np.float32]], weights: Sequence[float]
) -> NDArray[np.float32] | None:
    """Logits of the decision once some depths have been read: Σ w_d l_d.

    The coarsest depth has seen all of the slide, the finest only what was followed: weighed
    together (a linear opinion pool in the logits, fitted on validation slides) they can know more
    than the finest alone.

    Parameters
    ----------
    logits : sequence of (classes,)
        Of each depth read, coarse to fine.
    weights : sequence of float
        One per depth of the model, not negative; empty: no pooling.

    Returns
    -------
    (classes,) or None
        None where the last depth of `logits` speaks for itself: without weights, and where no
        depth that was read has any weight.
    """
    reached = np.asarray(weights[: len(logits)], dtype=np.float32)
    if not reached.any():
        return None
    return np.asarray(reached @ np.stack(logits), dtype=np.float32)


def weights_of(model: object) -> tuple[float, ...]:
    """A model's weights of its depths; none where it does not speak of them."""
    return tuple(getattr(model, "depth_weights", ()))
