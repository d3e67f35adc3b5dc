"""How far a model's answers could be relied on: measured on slides that nothing was chosen on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_hagmil.evaluation.calibration import Calibration, calibration
from napari_hagmil.evaluation.classification import bootstrap_groups
from napari_hagmil.evaluation.evaluate import SlideEvaluation
from napari_hagmil.evaluation.metrics import Interval
from napari_hagmil.evaluation.summary import labels_of
from napari_hagmil.models import BundleConfig
from napari_hagmil.uncertainty import DEFAULT_ERROR_RATE, tempered


@dataclass(frozen=True, slots=True)
class Reliance:
    """What a bundle says of its answers, held against labels.

    Attributes
    ----------
    error_rate : float
        Of the sets of classes: the share of slides whose class may lie outside.
    coverage : Interval
        Share of slides whose class lies in their set.
    set_size : float
        Classes in a set, mean.
    single : float
        Share of sets of one class.
    uncalibrated : Calibration
        Of the probabilities without the bundle's temperatures.
    unfamiliar : tuple of str
        Slides unlike those of the training.
    """

    error_rate: float
    coverage: Interval
    set_size: float
    single: float
    uncalibrated: Calibration
    unfamiliar: tuple[str, ...]


def reliance(
    slides: Sequence[SlideEvaluation], config: BundleConfig, error_rate: float | None = None
) -> Reliance | None:
    """Measure what a bundle says of its answers; None where it says nothing.

    Parameters
    ----------
    slides : sequence of SlideEvaluation
        Called one by one, not by patient.
    config : BundleConfig
    error_rate : float, optional
        By default 0.1.
    """
    known = config.confidence
    if known is None:
        return None
    rate = DEFAULT_ERROR_RATE if error_rate is None else error_rate
    sets = [class_set(slide, config, rate) for slide in slides]
    covered = np.array([s.record.label in one for s, one in zip(slides, sets, strict=True)])
    sizes = np.array([len(one) for one in sets])
    before = [
        tempered(slide.probabilities, 1 / known.temperatures[len(slide.own.probabilities) - 1])
        for slide in slides
    ]
    return Reliance(
        error_rate=rate,
        coverage=bootstrap_groups(
            lambda i: float(covered[i].mean()), [slide.record.patient for slide in slides]
        ),
        set_size=float(sizes.mean()),
        single=float((sizes == 1).mean()),
        uncalibrated=calibration(labels_of(slides, config.classes), np.stack(before)),
        unfamiliar=tuple(slide.record.name for slide in slides if is_unfamiliar(slide, config)),
    )


def class_set(
    slide: SlideEvaluation, config: BundleConfig, error_rate: float = DEFAULT_ERROR_RATE
) -> tuple[str, ...]:
    """List the classes that a slide may be of; empty where the bundle says nothing of it."""
    known = config.confidence
    if known is None:
        return ()
    return known.class_set(slide.probabilities, config.classes, slide.called, error_rate)


def is_unfamiliar(slide: SlideEvaluation, config: BundleConfig) -> bool:
    """Say whether a slide is unlike those of the model's training."""
    seen = config.familiarity
    return seen is not None and slide.distance is not None and slide.distance > seen.limit
