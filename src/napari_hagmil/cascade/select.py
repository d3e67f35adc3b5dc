"""Which nodes of a stage are handed on: the k highest, and the pinned ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def select_top(attention: ArrayLike, budget: int) -> NDArray[np.intp]:
    """Indices of the `budget` highest values, highest first.

    Ties go to the node that comes first in the bag; a budget beyond the bag takes it all.
    """
    order = np.argsort(-np.asarray(attention), kind="stable")
    return order[:budget]


def select_followed(
    attention: ArrayLike, budget: int, pinned: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """Indices of the nodes to follow, highest attention first.

    The reader's pinned nodes come on top of the budget, never at the cost of another branch:
    what the model would have followed is followed whatever was added.
    """
    chosen = np.zeros(len(pinned), dtype=bool)
    chosen[select_top(attention, budget)] = True
    chosen |= pinned
    order = np.argsort(-np.asarray(attention), kind="stable")
    return order[chosen[order]]
