"""The step from one depth to the next: which nodes are followed, and what the next depth looks at.

`descend` is that step. The run, its forecast, and both schedules of training share it. No torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_hagmil.cascade.steering import Steering
from napari_hagmil.quadtree import Nodes, children, is_among, z_order

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


@dataclass(frozen=True)
class CascadeConfig:
    """How a cascade is run.

    Attributes
    ----------
    budget : tuple of int
        Nodes handed on at each depth but the last: the paper's k.
    last_depth : int
        Where the cascade ends; less than the model's last where the slide has no finer
        pixels. By default as deep as the budget goes.
    order : str
        "quadtree": children are listed along the Z-order curve, so that neighbours in the bag
        are neighbours on the glass and Nyström landmarks average neighbouring tissue.
        "attention": in descending attention of their parents, as the official code lists them.
        "columns": down one column of the slide after the other, as CLAM and TRIDENT list patches.
    steering : Steering
        Branches to follow and places to leave out.
    choose : callable
        How the budget is spent: on the highest attention; controls and training differ.
    tissue : tuple of (n, 2) int64, optional
        The nodes with tissue, by depth: of the children of a node only these are looked at. By
        default all four children are, bare glass too, as in the paper.
    """

    budget: tuple[int, ...]
    last_depth: int = -1
    order: Literal["quadtree", "attention", "columns"] = "quadtree"
    steering: Steering = field(default_factory=Steering)
    choose: Choose = by_attention
    tissue: tuple[Nodes, ...] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.last_depth < 0:
            object.__setattr__(self, "last_depth", len(self.budget))
        if len(self.budget) < self.last_depth or any(k < 1 for k in self.budget):
            raise ValueError(
                f"a budget is a positive number of nodes for each of {self.last_depth} depths, "
                f"got {self.budget}; give for instance {(16,) * self.last_depth}"
            )

    def in_order(self, nodes: Nodes) -> Nodes:
        """A bag's nodes in the order in which the model reads them."""
        if self.order != "columns":
            return nodes
        return nodes[np.lexsort((nodes[:, 0], nodes[:, 1]))]


@dataclass(frozen=True, slots=True)
class Descent:
    """The step that leads from one stage to the next.

    Attributes
    ----------
    followed : (n,) bool
        Which of its nodes; none at the last depth.
    nodes : (up to 4k, 2) int64
        Their children, in the order of the next bag.
    """

    followed: NDArray[np.bool_]
    nodes: Nodes


def descend(
    depth: int,
    nodes: Nodes,
    attention: NDArray[np.float32],
    config: CascadeConfig,
    pinned: NDArray[np.bool_] | None = None,
) -> Descent:
    """Take the step from a stage to the next depth (HAG-MIL, Xiong et al., 2023, section 3).

    Parameters
    ----------
    depth : int
        Of the stage.
    nodes : (n, 2) int64
        Its bag.
    attention : (n,)
        Of those nodes.
    config : CascadeConfig
    pinned : (n,) bool, optional
        Nodes to follow whatever their attention; by default none.
    """
    chosen = np.empty(0, dtype=np.intp)
    if depth < config.last_depth:
        top = config.choose(depth, nodes, attention, config.budget[depth])
        none = np.zeros(len(nodes), dtype=bool)
        chosen = with_pinned(attention, top, none if pinned is None else pinned)
    followed = np.zeros(len(nodes), dtype=bool)
    followed[chosen] = True
    if config.order == "quadtree":
        chosen = chosen[z_order(nodes[chosen])]
    opened = children(nodes[chosen])
    if config.tissue is not None and len(opened):
        kept = is_among(opened, config.tissue[depth + 1])
        if pinned is not None:
            # The reader has asked to see what lies below a pinned node, tissue or not.
            kept |= np.repeat(pinned[chosen], 4)
        opened = opened[kept]
    return Descent(followed, config.in_order(opened))
