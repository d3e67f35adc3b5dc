"""A second look: what may hide in the branches that were cut; no torch.

Some of the branches that a stage cut are drawn at random, opened, and put into the bag of the
next depth beside those that were followed. A drawn branch *hides as much* when the highest
attention among its children reaches what is typical of the followed branches: the median of
theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.cascade.interval import share_interval
from napari_hagmil.cascade.result import Stage
from napari_hagmil.quadtree import Nodes, children, is_among, parents, z_order


@dataclass(frozen=True, eq=False)
class SecondLook:
    """What a sample of the cut branches says of all of them.

    Attributes
    ----------
    depth : int
        Of the stage that cut them.
    sampled : (m, 2) int64
        The branches that were opened.
    peaks : (m,) float64
        The highest attention among the children of each, in the extended bag.
    typical : float
        The median of the same over the followed branches.
    population : int
        Branches that the stage cut.
    share, low, high : float
        Share of the sample that hides as much, and the 95 % interval for all cut branches.
    before, after : (classes,) float64
        Probabilities of the next depth without and with the sample in its bag.
    """

    depth: int
    sampled: Nodes
    peaks: NDArray[np.float64]
    typical: float
    population: int
    share: float
    low: float
    high: float
    before: NDArray[np.float64]
    after: NDArray[np.float64]

    @property
    def hidden(self) -> Nodes:
        """The sampled branches that hide as much as the followed ones, highest first."""
        order = np.argsort(-self.peaks, kind="stable")
        return self.sampled[order][self.peaks[order] >= self.typical]


def sample_cut(stage: Stage, n: int, rng: np.random.Generator) -> Nodes:
    """Draw at most `n` of the nodes that a stage cut, without replacement."""
    cut = stage.nodes[~stage.followed]
    return cut[rng.choice(len(cut), size=min(n, len(cut)), replace=False)]


def extended_bag(below: Stage, sampled: Nodes) -> Nodes:
    """The nodes of the next depth with the children of a sample, in Z-order."""
    new = children(sampled)
    nodes = np.concatenate([below.nodes, new[~is_among(new, below.nodes)]])
    return nodes[z_order(nodes)]


def judge(stage: Stage, below: Stage, sampled: Nodes, seen: Stage) -> SecondLook:
    """Compare sampled branches with the followed ones.

    Parameters
    ----------
    stage : Stage
        That cut the sampled branches.
    below : Stage
        The next one, as the cascade found it.
    sampled : (m, 2) int64
        Branches, m ≥ 1.
    seen : Stage
        The next one with the sample in its bag.
    """
    peaks = _peaks(seen, sampled)
    followed = _peaks(seen, stage.nodes[stage.followed])
    typical = float(np.median(followed[np.isfinite(followed)])) if len(followed) else 0.0
    # A branch that cannot be read at all hides nothing that could be seen.
    peaks = np.nan_to_num(peaks, nan=0.0)
    hits, population = int((peaks >= typical).sum()), int((~stage.followed).sum())
    low, high = share_interval(hits, len(sampled), population)
    return SecondLook(
        depth=stage.depth,
        sampled=sampled,
        peaks=peaks,
        typical=typical,
        population=population,
        share=hits / len(sampled),
        low=low,
        high=high,
        before=below.probabilities,
        after=seen.probabilities,
    )


def _peaks(seen: Stage, branches: Nodes) -> NDArray[np.float64]:
    """The highest attention among the children of each branch; NaN without any, (m,)."""
    highest: dict[tuple[int, int], float] = {}
    for (row, column), attention in zip(parents(seen.nodes).tolist(), seen.attention, strict=True):
        highest[row, column] = max(highest.get((row, column), 0.0), float(attention))
    return np.array([highest.get((r, c), np.nan) for r, c in branches.tolist()], dtype=np.float64)
