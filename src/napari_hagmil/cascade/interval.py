"""What a random sample without replacement says of the whole; no torch."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, lgamma


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
        0 ≤ hits ≤ sampled ≤ population, and something was sampled.
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
    tail = (1 - confidence) / 2
    least, most = hits, population - (sampled - hits)

    def so_many(members: int) -> bool:
        return _at_most(sampled - hits, sampled, population - members, population) > tail

    def so_few(members: int) -> bool:
        return _at_most(hits, sampled, members, population) > tail

    low = _first(so_many, least, most)
    high = population - _first(
        lambda others: so_few(population - others), population - most, population - least
    )
    return low / population, high / population


def _first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The least number for which it holds, given that it goes on to hold; `high` does."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _at_most(hits: int, sampled: int, members: int, population: int) -> float:
    """Probability of at most so many hits among `sampled` drawn without replacement."""
    least = max(0, sampled - (population - members))
    every = _log_choose(population, sampled)
    return sum(
        exp(_log_choose(members, k) + _log_choose(population - members, sampled - k) - every)
        for k in range(least, min(hits, members) + 1)
    )


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
