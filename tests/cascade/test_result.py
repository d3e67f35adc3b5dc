import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_hagmil.cascade import Stage, called_class, node_statuses

attentions = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=50)


def stage(attention):
    n = len(attention)
    return Stage(
        0,
        np.zeros((n, 2), np.int64),
        np.array(attention, np.float32),
        np.array([0.0, np.log(3)], np.float32),
        np.zeros(n, bool),
        np.zeros(n, bool),
    )


@given(attentions)
def test_scores_are_percentiles_that_keep_the_order(attention):
    s = stage(attention)
    assert ((s.scores > 0) & (s.scores <= 100)).all()
    assert s.scores.max() == 100
    order = np.argsort(s.attention, kind="stable")
    assert (np.diff(s.scores[order]) >= 0).all()
    equal = s.attention[:, None] == s.attention[None]
    assert (np.abs(s.scores[:, None] - s.scores[None])[equal] == 0).all()


@given(attentions)
def test_ranks_are_a_permutation_with_the_highest_first(attention):
    s = stage(attention)
    assert sorted(s.ranks) == list(range(1, len(attention) + 1))
    assert s.attention[s.ranks == 1] == s.attention.max()


def test_probabilities_are_the_softmax_of_the_logits():
    assert np.allclose(stage([1.0]).probabilities, [0.25, 0.75])


def test_every_node_of_the_last_stage_is_a_leaf():
    assert node_statuses(stage([0.1, 0.9]), last=True) == ["leaf", "leaf"]
    assert node_statuses(stage([0.1, 0.9]), last=False) == ["cut", "cut"]


@pytest.mark.parametrize(
    ("probabilities", "thresholds", "called"),
    [
        ([0.6, 0.4], {}, "normal"),
        ([0.6, 0.4], {"tumor": 0.3}, "tumor"),
        ([0.4, 0.6], {"tumor": 0.7}, "normal"),
        ([0.5, 0.5], {}, "normal"),
    ],
)
def test_a_class_with_a_threshold_is_called_when_it_reaches_it(probabilities, thresholds, called):
    assert called_class(np.array(probabilities), ("normal", "tumor"), thresholds) == called
