"""What a trained model's bundle says of how far its answers can be relied on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.evaluation.calibration import calibration
from napari_hagmil.models import CascadeModel
from napari_hagmil.training.predictions import Predictions
from napari_hagmil.training.training_slide import TrainingSlide
from napari_hagmil.uncertainty import (
    Familiarity,
    FamiliarityFit,
    fit_confidence,
    tempered,
    with_limit,
)


def assure(
    model: CascadeModel,
    validation: Predictions,
    training_slides: Sequence[TrainingSlide],
    validation_slides: Sequence[TrainingSlide],
) -> None:
    """Put temperatures, scores and the summary of training features into a model's configuration.

    Parameters
    ----------
    model : CascadeModel
        Trained; its configuration has no `Confidence` yet.
    validation : Predictions
        Its predictions on the validation slides.
    training_slides, validation_slides : sequence of TrainingSlide
        At the model's depths.
    """
    confidence = None
    if len(validation.labels):
        confidence = fit_confidence(
            validation.probabilities, _reached(validation), validation.labels
        )
    familiarity = summarise_features(training_slides, validation_slides)
    model.config = replace(model.config, confidence=confidence, familiarity=familiarity)


def summarise_features(
    training: Sequence[TrainingSlide], validation: Sequence[TrainingSlide]
) -> Familiarity | None:
    """Summarise the training slides' features; None of too few slides."""
    fit = FamiliarityFit()
    for slide in training:
        fit.add(slide.features(0, slide.nodes).numpy())
    summary = fit.summary()
    if summary is None:
        return None
    distances = [summary.distance(slide.features(0, slide.nodes).numpy()) for slide in validation]
    return with_limit(summary, distances)


def calibrated(model: CascadeModel, predictions: Predictions) -> Predictions:
    """Calibrate predictions by the model's temperatures."""
    confidence = model.config.confidence
    if confidence is None:
        return predictions
    deepest = _reached(predictions).sum(axis=1) - 1
    found = np.empty_like(predictions.probabilities)
    for i, rows in enumerate(predictions.probabilities):
        for depth, row in enumerate(rows):
            # A slide that ends before keeps its last decision, and so its temperature.
            at = min(depth, int(deepest[i]))
            found[i, depth] = tempered(row, confidence.temperatures[at])
    return replace(predictions, probabilities=found)


def calibration_figures(before: Predictions, after: Predictions) -> dict[str, float]:
    """Measure calibration error and Brier score of test slides, before and after."""
    if not len(before.labels):
        return {}
    then, now = (calibration(one.labels, one.decisive) for one in (before, after))
    return {
        "ece": now.ece,
        "brier": now.brier,
        "ece_uncalibrated": then.ece,
        "brier_uncalibrated": then.brier,
    }


def _reached(predictions: Predictions) -> NDArray[np.bool_]:
    """Which depths each slide has, (slides, depths)."""
    return np.asarray(~np.isnan(predictions.logits[..., 0]))
