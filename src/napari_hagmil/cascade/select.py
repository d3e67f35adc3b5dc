"""Which nodes of a stage are handed on: the k highest, and the pinned ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_hagmil.quadtree import Nodes

Choose = Callable[[int, Nodes, NDArray[np.float32], int], NDArray[np.intp]]
"""(depth, (n, 2) nodes, their attention, budget) → indices of the nodes to follow."""


def select_top(attention: ArrayLike, budget: int) -> NDArray[np.intp]:
    """Indices of the `budget` highest values, highest first.

    Ties go to the node that comes first in the bag; a budget beyond the bag takes it all.
    """
    order = np.argsort(-np.asarray(attention), kind="stable")
    return order[:budget]


def by_attention(
    depth: int, nodes: Nodes, attention: NDArray[np.float32], budget: int
) -> NDArray[np.intp]:
    """Follow the highest attention: the method itself."""
    return select_top(attention, budget)


def at_random(seed: int | tuple[int, ...]) -> Choose:
    """Follow any nodes, the same ones each time: what attention is compared with."""

    def choose(
        depth: int, nodes: Nodes, attention: NDArray[np.float32], budget: int
    ) -> NDArray[np.intp]:
        return np.random.default_rng((*np.atleast_1d(seed), depth)).permutation(len(nodes))[:budget]

    return choose


def by_value(value: Callable[[int, Nodes], NDArray[np.float64]]) -> Choose:
    """Follow the highest of a value that is known beforehand: an oracle, where it is the truth."""

    def choose(
        depth: int, nodes: Nodes, attention: NDArray[np.float32], budget: int
    ) -> NDArray[np.intp]:
        return select_top(value(depth, nodes), budget)

    return choose


def select_followed(
    attention: ArrayLike, budget: int, pinned: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """Indices of the nodes that attention and the reader's pins follow, highest first."""
    return with_pinned(attention, select_top(attention, budget), pinned)


def with_pinned(
    attention: ArrayLike, top: NDArray[np.intp], pinned: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """Indices of the nodes to follow, highest attention first.

    The reader's pinned nodes come on top of the budget, never at the cost of another branch:
    what the model would have followed is followed whatever was added.
    """
    chosen = pinned.copy()
    chosen[top] = True
    order = np.argsort(-np.asarray(attention), kind="stable")
    return order[chosen[order]]
