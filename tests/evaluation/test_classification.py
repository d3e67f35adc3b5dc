"""Metrics of two classes or more, against scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hagmil.evaluation.calibration import calibration
from napari_hagmil.evaluation.classification import (
    bootstrap_groups,
    class_auc,
    class_f1,
    confusion_matrix,
    f1_name,
    f1_score,
    macro_auc,
    macro_f1,
    roc_curve,
)


@st.composite
def predictions(draw, every_class=True):
    """Labels of 2 to 4 classes and probabilities, coarse so that ties occur."""
    n_classes = draw(st.integers(2, 4))
    n = draw(st.integers(2 * n_classes, 40))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    labels = rng.integers(n_classes, size=n)
    if every_class:
        labels[:n_classes] = np.arange(n_classes)
    odds = rng.integers(1, 6, (n, n_classes)) + 2 * np.eye(n_classes)[labels]
    return labels, odds / odds.sum(axis=1, keepdims=True)


@settings(max_examples=60)
@given(predictions())
def test_auc_of_every_class_against_the_rest_is_scikit_learns(case):
    labels, p = case
    wanted = [reference.roc_auc_score(labels == c, p[:, c]) for c in range(p.shape[1])]
    assert class_auc(labels, p) == pytest.approx(wanted)
    if p.shape[1] > 2:
        macro = reference.roc_auc_score(labels, p, multi_class="ovr", average="macro")
        assert macro_auc(labels, p) == pytest.approx(macro)


@settings(max_examples=60)
@given(predictions(every_class=False))
def test_confusion_and_f1_are_scikit_learns(case):
    labels, p = case
    called, n = p.argmax(axis=1), p.shape[1]
    matrix = confusion_matrix(labels, called, n)
    assert (matrix == reference.confusion_matrix(labels, called, labels=range(n))).all()
    assert macro_f1(labels, called, n) == pytest.approx(
        reference.f1_score(labels, called, average="macro")
    )
    present = np.union1d(labels, called)
    per_class = reference.f1_score(labels, called, average=None, labels=present)
    assert class_f1(matrix)[present] == pytest.approx(per_class)


@settings(max_examples=60)
@given(predictions())
def test_the_roc_curve_is_scikit_learns_and_its_area_the_auc(case):
    labels, p = case
    curve = roc_curve(labels == 1, p[:, 1])
    fpr, tpr, thresholds = reference.roc_curve(labels == 1, p[:, 1], drop_intermediate=False)
    assert curve.false_positive_rate == pytest.approx(fpr)
    assert curve.true_positive_rate == pytest.approx(tpr)
    assert curve.thresholds[1:] == pytest.approx(thresholds[1:])
    area = np.trapezoid(curve.true_positive_rate, curve.false_positive_rate)
    assert area == pytest.approx(class_auc(labels, p)[1])


@settings(max_examples=60)
@given(predictions())
def test_calibration_is_that_of_the_binned_confidences(case):
    labels, p = case
    table = calibration(labels, p)
    confidence, right = p.max(1), p.argmax(1) == labels
    ece = 0.0
    for low, high in zip(table.edges[:-1], table.edges[1:], strict=True):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            ece += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    assert table.ece == pytest.approx(ece)
    assert table.counts.sum() == len(labels)
    if p.shape[1] == 2:
        brier = reference.brier_score_loss(labels, p[:, 1])
        assert table.brier == pytest.approx(2 * brier)


def test_a_sure_and_always_right_model_is_calibrated_and_an_overconfident_one_is_not():
    labels = np.array([0, 1, 1, 0])
    sure = np.eye(2)[labels]
    assert calibration(labels, sure).ece == 0
    assert calibration(labels[::-1], np.eye(2)[[0, 1, 0, 0]]).ece == pytest.approx(0.25)


def test_a_class_without_slides_leaves_the_mean_undefined():
    p = np.full((4, 3), 1 / 3)
    assert np.isnan(class_auc([0, 1, 1, 0], p)).tolist() == [False, False, True]
    assert np.isnan(macro_auc([0, 1, 1, 0], p))


@pytest.mark.parametrize(
    ("labels", "p", "says"),
    [
        ([0, 2], np.ones((2, 2)), "labels must be 0 to 1, got 0 to 2"),
        ([0], np.ones((2, 2)), "one row per slide"),
        ([], np.ones((0, 2)), "one row per slide"),
    ],
)
def test_what_does_not_fit_is_refused(labels, p, says):
    with pytest.raises(ValueError, match=says):
        macro_auc(labels, p)


def test_a_roc_curve_of_one_class_is_refused():
    with pytest.raises(ValueError, match="both classes, got 3 positive of 3"):
        roc_curve([1, 1, 1], [0.1, 0.2, 0.3])


def test_slides_of_one_patient_widen_the_interval():
    """Ten slides a patient, all alike, are worth one."""
    rng = np.random.default_rng(0)
    right = rng.random(30) < 0.7
    slides = np.repeat(right, 10)
    patients = [f"p{i}" for i in np.repeat(np.arange(30), 10)]

    def accuracy(i):
        return float(slides[i].mean())

    by_patient = bootstrap_groups(accuracy, patients, rounds=500)
    by_slide = bootstrap_groups(accuracy, [str(i) for i in range(300)], rounds=500)
    assert by_patient.value == by_slide.value == right.mean()
    assert by_patient.high - by_patient.low > 2.5 * (by_slide.high - by_slide.low)
    standard_error = np.sqrt(right.mean() * (1 - right.mean()) / 30)
    assert by_patient.high - by_patient.low == pytest.approx(2 * 1.96 * standard_error, rel=0.2)


def test_an_interval_that_is_never_defined_is_nan():
    found = bootstrap_groups(lambda i: float("nan"), ["a", "b"], rounds=10)
    assert np.isnan([found.value, found.low, found.high]).all()


#: 3 cancers of 5 slides; called: one cancer right, one slide called cancer wrongly.
TRUTH, CALLED = [1, 1, 1, 0, 0], [1, 0, 0, 1, 0]


def test_f1_of_two_classes_is_the_positive_ones_and_of_more_their_mean():
    # cancer: 2 * 1 / (3 + 2); normal: 2 * 1 / (2 + 3)
    assert f1_score(TRUTH, CALLED, 2) == pytest.approx(0.4)
    # With nothing called cancer: 0 for it, though normal has 2 * 2 / (2 + 5).
    assert f1_score(TRUTH, [0] * 5, 2) == 0
    assert macro_f1(TRUTH, [0] * 5, 2) == pytest.approx((4 / 7) / 2)
    # Three classes: 0: 2*1/(2+1), 1: 2*1/(1+2), 2: 2*1/(1+1) → mean 7/9
    assert f1_score([0, 0, 1, 2], [0, 1, 1, 2], 3) == pytest.approx(7 / 9)


def test_a_table_says_what_its_f1_is_of():
    assert f1_name(("normal", "cancer")) == "F1 of cancer"
    assert f1_name(("a", "b", "c")) == "F1, mean over classes"
