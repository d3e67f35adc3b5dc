"""The exact interval for a share, against scipy's hypergeometric distribution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from napari_hagmil.cascade.cut_branches import share_interval


@st.composite
def samples(draw):
    population = draw(st.integers(1, 60))
    sampled = draw(st.integers(1, population))
    return draw(st.integers(0, sampled)), sampled, population


@given(samples())
def test_the_interval_is_all_shares_that_the_sample_does_not_contradict(sample):
    hits, sampled, population = sample
    members = np.arange(population + 1)
    few = hypergeom.cdf(hits, population, members, sampled)
    many = hypergeom.sf(hits - 1, population, members, sampled)
    possible = members[(few >= 0.025 - 1e-12) & (many >= 0.025 - 1e-12)]
    low, high = share_interval(hits, sampled, population)
    assert (low, high) == (possible[0] / population, possible[-1] / population)
    assert low <= hits / sampled <= high


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.data())
def test_it_covers_the_truth_as_often_as_it_says(population, data):
    sampled = data.draw(st.integers(1, population))
    members = data.draw(st.integers(0, population))
    covered = 0.0
    for hits in range(sampled + 1):
        if max(0, sampled - population + members) <= hits <= min(sampled, members):
            low, high = share_interval(hits, sampled, population)
            inside = low <= members / population <= high
            covered += inside * hypergeom.pmf(hits, population, members, sampled)
    assert covered >= 0.95 - 1e-9


def test_a_probability_of_exactly_the_tail_is_possible():
    assert share_interval(0, 1, 40) == (0.0, 39 / 40)
    assert share_interval(1, 1, 40) == (1 / 40, 1.0)


def test_everything_sampled_leaves_no_doubt():
    assert share_interval(3, 12, 12) == (0.25, 0.25)


def test_nothing_found_in_a_small_sample_of_many_leaves_much_room():
    low, high = share_interval(0, 20, 10_000)
    assert low == 0
    assert high == pytest.approx(1 - 0.025 ** (1 / 20), abs=0.002)


@pytest.mark.parametrize("counts", [(1, 0, 5), (3, 2, 5), (1, 6, 5), (-1, 2, 5)])
def test_counts_that_cannot_be_are_refused(counts):
    with pytest.raises(ValueError, match="an interval needs"):
        share_interval(*counts)
