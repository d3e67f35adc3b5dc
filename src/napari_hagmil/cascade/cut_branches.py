"""The second look: estimate from a sample what the branches that were cut may hide; no torch.

Some of the branches that a stage cut are drawn at random, opened, and put into the bag of the
next depth beside those that were followed. A drawn branch *hides as much* when the highest
attention among its children reaches what is typical of the followed branches: the median of
theirs.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.cascade.result import Stage
from napari_hagmil.quadtree import Nodes, children, is_among, parents, z_order


@dataclass(frozen=True)
class SecondLookPlan:
    """Which of the cut branches are opened.

    Attributes
    ----------
    depth : int
        Of the stage that cut them.
    n : int
        How many are drawn.
    seed : int
        Of the draw.
    """

    depth: int
    n: int
    seed: int = 0


@dataclass(frozen=True, eq=False)
class SecondLook:
    """What a sample of the cut branches says about all of them.

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


def sample_cut(stage: Stage, plan: SecondLookPlan) -> Nodes:
    """Draw at most `plan.n` of the nodes that a stage cut, without replacement."""
    cut = stage.nodes[~stage.followed]
    rng = np.random.default_rng(plan.seed)
    return cut[rng.choice(len(cut), size=min(plan.n, len(cut)), replace=False)]


def extended_bag(below: Stage, sampled: Nodes) -> Nodes:
    """The nodes of the next depth with the children of a sample, in Z-order."""
    new = children(sampled)
    nodes = np.concatenate([below.nodes, new[~is_among(new, below.nodes)]])
    return nodes[z_order(nodes)]


def second_look_at(stage: Stage, below: Stage, sampled: Nodes, seen: Stage) -> SecondLook:
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


def share_interval(
    hits: int, sampled: int, population: int, *, confidence: float = 0.95
) -> tuple[float, float]:
    """Exact interval for the share of a finite population that has a property.

    The counterpart of Clopper and Pearson's interval for drawing without replacement: all
    numbers of members with the property under which neither so few nor so many hits would
    have a probability below (1 − confidence) / 2. It covers the truth at least as often as
    `confidence` says, and is a point when everything was sampled.

    Parameters
    ----------
    hits, sampled, population : int
        0 ≤ hits ≤ sampled ≤ population, and at least one was sampled.
    confidence : float
        Between 0 and 1.

    Returns
    -------
    (low, high)
        Shares, 0 to 1.
    """
    if not (0 <= hits <= sampled <= population and sampled > 0):
        raise ValueError(
            "an interval needs 0 ≤ hits ≤ sampled ≤ population and at least one sample, got "
            f"{hits}, {sampled}, {population}; give counts of one sample"
        )
    from scipy.stats import hypergeom  # here: importing scipy.stats takes half a second

    # A probability of exactly the tail counts as possible, however scipy rounds it.
    tail = (1 - confidence) / 2 - 1e-12
    members = range(hits, population - (sampled - hits) + 1)
    # Bisection, since scipy computes these tails one by one: a stage can cut 100,000 branches.
    low = bisect_left(
        members, True, key=lambda m: bool(hypergeom.sf(hits - 1, population, m, sampled) >= tail)
    )
    high = bisect_left(
        members, True, key=lambda m: bool(hypergeom.cdf(hits, population, m, sampled) < tail)
    )
    return members[low] / population, members[high - 1] / population
