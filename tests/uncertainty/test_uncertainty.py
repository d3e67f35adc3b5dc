"""Temperature, sets of classes, and slides unlike those of the training."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from napari_hagmil.errors import BundleError
from napari_hagmil.evaluation.calibration import calibration
from napari_hagmil.models import (
    BundleConfig,
    CascadeModel,
    EncoderFacts,
    IATConfig,
    load_bundle,
    save_bundle,
)
from napari_hagmil.uncertainty import (
    Confidence,
    Familiarity,
    FamiliarityFit,
    fit_confidence,
    fit_temperature,
    tempered,
    with_limit,
)


def drawn(n, temperature, seed=0, classes=3):
    """Logits, and labels drawn of softmax(logits / temperature)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (n, classes))
    chances = softmax(logits / temperature, axis=1)
    return logits, (rng.random((n, 1)) > chances.cumsum(axis=1)).sum(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_the_labels_were_drawn_with_is_found(temperature):
    assert fit_temperature(*drawn(20_000, temperature)) == pytest.approx(temperature, rel=0.05)


def test_of_slides_that_are_all_told_apart_the_temperature_is_not_zero():
    labels = np.arange(40) % 2
    logits = np.where(np.eye(2)[labels] > 0, 3.0, -3.0)
    found = tempered(softmax(logits, axis=1), fit_temperature(logits, labels))
    # Platt's targets: of 20 slides of a class, as sure as (20 + 1) / (20 + 2).
    assert found.max(axis=1) == pytest.approx(np.full(40, 21 / 22), abs=1e-3)


def test_without_slides_nothing_is_changed():
    assert fit_temperature(np.zeros((0, 2)), []) == 1.0
    with pytest.raises(ValueError, match="one label per row"):
        fit_temperature(np.zeros((3, 2)), [0])


def test_a_temperature_divides_the_logits_and_its_inverse_brings_them_back():
    logits = np.array([[2.0, -1.0, 0.5], [-40.0, 40.0, 0.0]])
    warm = tempered(softmax(logits, axis=1), 2.5)
    assert warm == pytest.approx(softmax(logits / 2.5, axis=1), rel=1e-9)
    assert tempered(warm, 1 / 2.5) == pytest.approx(softmax(logits, axis=1), rel=1e-9)


def confidence_of(n, seed, temperature=2.0):
    logits, labels = drawn(n, temperature, seed)
    p = softmax(logits, axis=1)
    return fit_confidence(p[:, None], np.ones((n, 1), bool), labels)


def test_calibrated_probabilities_are_as_sure_as_the_model_is_right():
    known = confidence_of(2000, 1)
    logits, labels = drawn(4000, 2.0, 2)
    before = softmax(logits, axis=1)
    after = tempered(before, known.temperatures[0])
    assert calibration(labels, after).ece < 0.03 < calibration(labels, before).ece


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.3])
def test_new_slides_lie_in_their_sets_as_often_as_asked(rate):
    """Over many draws: 50 validation slides each time, so that chance evens out."""
    covered = []
    for seed in range(60):
        known = confidence_of(50, 2 * seed)
        logits, labels = drawn(200, 2.0, 2 * seed + 1)
        for row, label in zip(
            tempered(softmax(logits, axis=1), known.temperatures[0]), labels, strict=True
        ):
            called = "abc"[int(row.argmax())]
            covered.append("abc"[label] in known.class_set(row, "abc", called, rate))
    assert 1 - rate - 0.02 < np.mean(covered)


def test_a_set_holds_what_is_as_likely_as_the_right_class_was():
    known = Confidence((1.0,), tuple(np.linspace(0.05, 0.95, 19)))
    assert known.limit(0.1) == pytest.approx(0.9)
    assert known.class_set([0.7, 0.2, 0.1], "abc", "a", 0.1) == ("a", "b", "c")
    assert known.class_set([0.7, 0.21, 0.09], "abc", "a", 0.1) == ("a", "b")
    assert known.class_set([0.4, 0.35, 0.25], "abc", "a", 0.5) == ("a",)


def test_the_called_class_is_in_the_set_whatever_its_probability():
    assert Confidence((1.0,), (0.0,) * 30).class_set([0.6, 0.4], "ab", "b", 0.1) == ("b",)


def test_too_few_validation_slides_for_a_rate_leave_every_class_possible():
    known = Confidence((1.0,), (0.0,) * 8)
    assert math.isinf(known.limit(0.1))
    assert known.class_set([1.0, 0.0], "ab", "a", 0.1) == ("a", "b")
    assert Confidence((1.0,), (0.0,) * 9).class_set([1.0, 0.0], "ab", "a", 0.1) == ("a",)


def test_a_depth_has_the_temperature_of_the_slides_that_reach_it():
    logits, labels = drawn(3000, 1.0)
    p = np.stack([softmax(logits, axis=1), softmax(3 * logits, axis=1)], axis=1)
    reached = np.ones((3000, 2), bool)
    reached[:1000, 1] = False
    p[:1000, 1] = 1 / 3  # of no account
    known = fit_confidence(p, reached, labels)
    assert known.temperatures == pytest.approx((1.0, 3.0), rel=0.1)


KIND = np.random.default_rng(3).normal(size=12)


def slide(seed, n=40, shift=0.0):
    """A slide's patches: its own mean around that of its kind, and its patches around that."""
    rng = np.random.default_rng(seed)
    return KIND + shift + rng.normal(0, 0.5, 12) + rng.normal(0, 2, (n, 12))


def summary():
    fit = FamiliarityFit()
    for seed in range(200):
        fit.add(slide(seed, n=10 + seed % 60))
    found = fit.summary()
    assert found is not None
    return found


def test_slides_of_the_training_s_kind_lie_at_a_distance_of_about_one():
    found = summary()
    distances = [found.distance(slide(1000 + i, n)) for i in range(50) for n in (3, 40, 4000)]
    # Four of the twelve directions do not count.
    assert np.mean(distances) == pytest.approx(np.sqrt(8 / 12), abs=0.08)
    assert max(distances) < found.limit
    assert np.sqrt(np.mean(found.between)) == pytest.approx(0.5, rel=0.1)
    assert np.sqrt(np.mean(found.within)) == pytest.approx(2, rel=0.05)


def test_slides_of_another_kind_lie_beyond_the_limit_and_validation_slides_do_not():
    found = with_limit(summary(), [summary().distance(slide(2000 + i)) for i in range(20)])
    assert found.distance(slide(5000)) < found.limit < found.distance(slide(5001, shift=3))


def test_what_training_slides_differ_in_does_not_make_a_slide_unfamiliar():
    along = np.zeros(12)
    along[2] = 5.0
    fit = FamiliarityFit()
    for seed in range(60):
        fit.add(slide(seed, shift=np.random.default_rng(seed).normal() * along))
    found = fit.summary()
    assert found is not None
    assert found.distance(slide(900, shift=4 * along)) < found.limit
    assert found.distance(slide(901, shift=4 * along[::-1])) > found.limit


def test_patches_that_could_not_be_read_do_not_count():
    rows = slide(7)
    damaged = np.vstack([rows, np.full((3, 12), np.nan)])
    assert summary().distance(damaged) == summary().distance(rows)
    assert math.isnan(summary().distance(damaged[-3:]))


def test_of_too_few_slides_there_is_no_summary():
    fit = FamiliarityFit()
    for seed in range(4):
        fit.add(slide(seed))
    assert fit.summary() is None


def test_a_feature_that_never_varied_does_not_decide_alone():
    fit = FamiliarityFit()
    for seed in range(50):
        rows = slide(seed)
        rows[:, 0] = 0
        fit.add(rows)
    found = fit.summary()
    other = slide(600)
    other[:, 0] = 1e-3
    assert found is not None
    assert found.distance(other) < 2


STAGE = IATConfig(n_features=4, widths=(8,), n_classes=2, heads=2, instance_dim=4, gate_dim=4)
CONFIG = BundleConfig(
    name="small",
    encoder=EncoderFacts("an-encoder", None, 4),
    patch_size=64,
    mpp=(1.0, 0.5),
    classes=("normal", "tumor"),
    stages=(STAGE, STAGE),
    budget=(4,),
    confidence=Confidence((1.5, 0.75), (0.01, 0.2)),
    familiarity=Familiarity((0, 1, 2, 3), (1,) * 4, (2,) * 4, ((0, 0, 1, 0),), 7, 2.5),
)


def test_what_a_bundle_says_of_its_answers_is_read_back(tmp_path):
    save_bundle(CascadeModel(CONFIG), tmp_path / "a.hagmil")
    found = load_bundle(tmp_path / "a.hagmil").config
    assert (found.confidence, found.familiarity) == (CONFIG.confidence, CONFIG.familiarity)
    # A list of thousands of numbers is one line of the file, not thousands.
    assert '"mean": [0.0, 1.0, 2.0, 3.0],' in (tmp_path / "a.hagmil" / "config.json").read_text()


def test_a_bundle_of_an_earlier_version_says_nothing_of_its_answers(tmp_path):
    save_bundle(CascadeModel(CONFIG), tmp_path / "a.hagmil")
    path = tmp_path / "a.hagmil" / "config.json"
    content = json.loads(path.read_text())
    del content["confidence"], content["familiarity"]
    path.write_text(json.dumps(content))
    found = load_bundle(tmp_path / "a.hagmil")
    assert (found.config.confidence, found.config.familiarity) == (None, None)
    assert found.temperatures == ()


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"confidence": Confidence((1.0,), ())}, "needs 2 temperatures above 0"),
        ({"confidence": Confidence((1.0, 0.0), ())}, "needs 2 temperatures above 0"),
        ({"confidence": Confidence((1.0, 1.0), (0.3, 0.2))}, "ascending"),
        ({"confidence": Confidence((1.0, 1.0), (1.2,))}, "between 0 and 1"),
        ({"familiarity": replace(CONFIG.familiarity, mean=(0, 1))}, "of its 4 training features"),
        (
            {"familiarity": replace(CONFIG.familiarity, directions=((1, 0),))},
            "of its 4 training features",
        ),
        ({"familiarity": replace(CONFIG.familiarity, limit=0)}, "not negative"),
        ({"familiarity": replace(CONFIG.familiarity, within=(1, 1, -1, 1))}, "not negative"),
    ],
)
def test_what_does_not_fit_the_model_is_refused_by_name(changes, rule):
    with pytest.raises(BundleError, match=rule):
        replace(CONFIG, **changes)


@pytest.mark.parametrize("entry", [{"confidence": 3}, {"confidence": {"temperatures": [1, 1]}}])
def test_an_entry_of_another_kind_is_refused_in_one_sentence(tmp_path, entry):
    save_bundle(CascadeModel(CONFIG), tmp_path / "a.hagmil")
    path = tmp_path / "a.hagmil" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entry))
    with pytest.raises(BundleError, match="confidence"):
        load_bundle(tmp_path / "a.hagmil")
