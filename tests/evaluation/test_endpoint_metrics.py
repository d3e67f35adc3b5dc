"""Metrics of endpoints, against values worked out by hand."""

import numpy as np
import pytest

from napari_hagmil.evaluation.endpoints import (
    average_precision,
    concordance,
    intervals,
    macro_average_precision,
    merit,
    pearson,
    r_squared,
)
from napari_hagmil.models import Endpoint


def test_of_two_slides_the_earlier_event_should_have_the_higher_risk():
    time, event = [1.0, 2.0, 3.0], [1, 0, 1]
    # Comparable: the first with both others. The second is censored, and nothing comes after 3.
    assert concordance(time, event, [3.0, 2.0, 1.0]) == 1.0
    assert concordance(time, event, [1.0, 2.0, 0.0]) == 0.5
    assert concordance(time, event, [1.0, 1.0, 0.0]) == 0.75  # a tie counts half
    assert np.isnan(concordance(time, [0, 0, 0], [3.0, 2.0, 1.0]))


def test_a_censored_slide_outlives_an_event_at_the_same_time():
    assert concordance([2.0, 2.0], [1, 0], [1.0, 0.0]) == 1.0
    assert np.isnan(concordance([2.0, 2.0], [1, 1], [1.0, 0.0]))


def test_average_precision_is_a_sum_of_steps_over_distinct_scores():
    assert average_precision([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1]) == pytest.approx(
        0.5 * 1 + 0.5 * 2 / 3
    )
    assert average_precision([1, 0], [0.5, 0.5]) == 0.5
    assert np.isnan(average_precision([0, 0], [0.1, 0.2]))
    probabilities = [[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.9, 0.1]]
    assert macro_average_precision([1, 0, 1, 0], probabilities) == pytest.approx(5 / 6)


def test_a_prediction_that_is_off_by_a_constant_correlates_and_explains_nothing():
    assert pearson([1.0, 2.0, 3.0], [11.0, 12.0, 13.0]) == pytest.approx(1)
    assert r_squared([1.0, 2.0, 3.0], [2.0, 3.0, 4.0]) == pytest.approx(1 - 3 / 2)
    assert np.isnan(r_squared([1.0, 1.0], [1.0, 2.0]))


def test_the_interval_of_a_c_index_counts_a_slide_drawn_twice_as_two():
    endpoint = Endpoint("cox")
    rng = np.random.default_rng(0)
    risk = rng.normal(size=40)
    measured = np.stack([rng.exponential(np.exp(-risk)), rng.random(40) < 0.7], axis=1)
    found = intervals(endpoint, risk[:, None], measured, [f"p{i}" for i in range(40)], rounds=200)
    assert found["c_index"].value == concordance(measured[:, 0], measured[:, 1], risk)
    places = np.concatenate([np.arange(40), [0, 0, 7]])
    by_hand = concordance(measured[places, 0], measured[places, 1], risk[places])
    again = intervals(
        endpoint, risk[places, None], measured[places], [f"p{i}" for i in range(43)], rounds=1
    )
    assert again["c_index"].value == pytest.approx(by_hand)
    assert found["c_index"].low < found["c_index"].value < found["c_index"].high


def test_of_several_targets_each_has_its_own_metrics_and_the_plain_name_is_their_mean():
    endpoint = Endpoint("regression", ("a", "b"), (0.0, 0.0), (1.0, 1.0))
    measured = np.array([[1.0, 5.0], [2.0, 4.0], [4.0, 9.0]])
    outputs = measured + np.array([0.0, 1.0])
    found = intervals(endpoint, outputs, measured, ["p", "q", "r"], rounds=20)
    assert found["mae_a"].value == 0
    assert found["mae_b"].value == 1
    assert found["mae"].value == 0.5
    assert merit(endpoint, outputs, measured) == 1.0
    assert merit(Endpoint("labels", ("er",)), [[2.0], [-1.0]], [[1.0], [0.0]]) == 1.0
