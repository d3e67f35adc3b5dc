import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from napari_hagmil.evaluation.classification import bootstrap_groups
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


def mean_score(labels, scores):
    return float(scores.mean())


class TestBootstrap:
    """The mean of 400 values of deviation 1: a standard error of 1/20."""

    scores = np.random.default_rng(3).normal(size=400)
    labels = np.zeros(400, dtype=int)

    def interval(self, by_patient, **options):
        if not by_patient:
            return bootstrap(mean_score, self.labels, self.scores, **options)
        names = [f"p{i}" for i in range(400)]
        return bootstrap_groups(lambda places: float(self.scores[places].mean()), names, **options)

    @pytest.mark.parametrize("by_patient", [False, True])
    def test_covers_as_much_as_it_says(self, by_patient):
        spread = self.scores.std() / 20
        for confidence, z in ((0.95, 1.96), (0.5, 0.674)):
            found = self.interval(by_patient, confidence=confidence)
            assert found.high - found.low == pytest.approx(2 * z * spread, rel=0.08)
            assert found.low < found.value < found.high

    @pytest.mark.parametrize("by_patient", [False, True])
    def test_depends_on_its_seed_alone(self, by_patient):
        again = [self.interval(by_patient, seed=seed, rounds=200) for seed in (1, 1, 2)]
        assert again[0] == again[1]
        assert again[0] != again[2]
