import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from napari_hagmil.evaluation.metrics import accuracy, auc, bootstrap, youden_threshold

scores_and_labels = st.lists(
    st.tuples(st.integers(0, 1), st.integers(-3, 3).map(float)), min_size=2, max_size=40
).filter(lambda pairs: len({label for label, _ in pairs}) == 2)


@given(scores_and_labels)
def test_auc_equals_that_of_scikit_learn_with_ties(pairs):
    labels, scores = zip(*pairs, strict=True)
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))


def test_auc_of_one_class_is_not_a_number():
    assert np.isnan(auc([1, 1], [0.2, 0.3]))


@given(scores_and_labels)
def test_no_threshold_beats_that_of_youden(pairs):
    labels, scores = (np.array(column) for column in zip(*pairs, strict=True))

    def youden(threshold):
        called = scores >= threshold
        return called[labels == 1].mean() - called[labels == 0].mean()

    best = max(youden(t) for t in np.arange(-4, 4, 0.25))
    assert youden(youden_threshold(labels, scores)) == pytest.approx(best)


def test_threshold_lies_in_the_middle_of_the_gap():
    assert youden_threshold([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9]) == pytest.approx(0.4)


def test_a_score_at_the_threshold_counts_as_positive():
    assert accuracy([1, 0, 0], [0.5, 0.4, 0.6], 0.5) == pytest.approx(2 / 3)


def test_bootstrap_interval_holds_the_value_and_repeats_with_its_seed():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 50)
    scores = labels + rng.normal(0, 1, 50)
    first, again = (bootstrap(auc, labels, scores, seed=5, rounds=200) for _ in range(2))
    assert first == again
    assert first.low < first.value < first.high
    assert first.value == auc(labels, scores)


@pytest.mark.parametrize(
    ("labels", "scores"), [([], []), ([0, 1], [0.5]), ([0, 2], [0.1, 0.2]), ([[0]], [[0.1]])]
)
def test_metrics_refuse_what_they_cannot_pair(labels, scores):
    with pytest.raises(ValueError, match="one of each per slide"):
        auc(labels, scores)
