"""Weights of depths: fitted on slides that no depth was trained on, kept in the bundle."""

import numpy as np
import pytest
from puzzle_slides import FACTS, World, puzzles

from napari_hagmil.models import LossConfig, load_bundle, save_bundle
from napari_hagmil.training import TrainConfig
from napari_hagmil.training.depth_weights import fit_depth_weights
from napari_hagmil.training.predictions import predict_slides
from napari_hagmil.training.protocol.fitting import FitSettings, build, fit
from napari_hagmil.training.protocol.methods import Method


def said(strengths, n=200, seed=0):
    """Logits of depths that know the label more or less well."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n)
    scores = np.outer(2 * labels - 1, strengths) + rng.normal(size=(n, len(strengths)))
    return np.stack([-scores / 2, scores / 2], axis=-1), labels


def test_a_depth_that_knows_more_counts_more_and_one_that_knows_nothing_hardly():
    weights = fit_depth_weights(*said([1.5, 0.7, 0.0]))
    assert weights[0] > weights[1] > weights[2] >= 0
    assert weights[2] < 0.3


def test_a_depth_that_is_wrong_on_average_gets_no_weight_rather_than_a_negative_one():
    assert fit_depth_weights(*said([1.0, -1.0]))[1] == pytest.approx(0, abs=1e-3)


def test_weights_stay_finite_where_the_slides_are_told_apart_without_a_fault():
    weights = fit_depth_weights(*said([30.0, 30.0], n=10))
    assert max(weights) < 5


def test_weights_of_no_slide_are_refused():
    with pytest.raises(ValueError, match="give some slides"):
        fit_depth_weights(np.zeros((0, 3, 2)), [])


def trained(decision):
    """A small guided cascade, and the validation slides as it sees them."""
    method = Method(
        "evidence",
        model="evidence_pooling",
        options={"hidden": 8, "top": 4},
        depths=(0, 1, 2),
        schedule="guided",
        teacher_context="none",
        decision=decision,
        budget=(4, 4),
        training=TrainConfig(
            epochs=2,
            learning_rate=3e-3,
            guidance=1.0,
            background=0,
            loss=LossConfig(instance_loss="none"),
        ),
    )
    slides = [puzzle.slide for puzzle in puzzles(12, 1, World.draw(0))]
    model = build(method, FACTS, 0)
    list(fit(method, model, slides[:8], slides[8:], FitSettings(0)))
    return model, [slide.at((0, 1, 2)) for slide in slides[8:]]


def test_a_method_may_let_all_depths_decide_and_its_bundle_still_does(tmp_path):
    model, slides = trained("all depths")
    plain, _ = trained("finest")
    assert plain.config.depth_weights == ()
    predictions, alone = predict_slides(model, slides), predict_slides(plain, slides)
    np.testing.assert_array_equal(predictions.logits, alone.logits)  # no depth is another one
    weights = np.array(model.config.depth_weights)
    decided = np.einsum("d,sdc->sc", weights, predictions.logits.astype(float))
    expected = np.exp(decided) / np.exp(decided).sum(1, keepdims=True)
    np.testing.assert_allclose(predictions.decisive, expected, rtol=1e-4)
    assert not np.allclose(predictions.decisive, alone.decisive, atol=1e-3)
    save_bundle(model, tmp_path / "m.hagmil")
    again = predict_slides(load_bundle(tmp_path / "m.hagmil"), slides)
    np.testing.assert_allclose(again.decisive, predictions.decisive, rtol=1e-5)
