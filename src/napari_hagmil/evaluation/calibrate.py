"""Tells a bundle how far its answers can be relied on, its weights as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.cascade.run import run_over
from napari_hagmil.cohort import SlideRecord
from napari_hagmil.errors import BundleError
from napari_hagmil.evaluation.evaluate import Source
from napari_hagmil.models import BundleConfig, CascadeModel
from napari_hagmil.uncertainty import (
    Confidence,
    Familiarity,
    FamiliarityFit,
    fit_confidence,
    tempered,
    with_limit,
)


def calibrate(
    model: CascadeModel,
    source: Source,
    training: Sequence[SlideRecord],
    validation: Sequence[SlideRecord],
    *,
    on_slide: Callable[[SlideRecord], object] = lambda record: None,
) -> None:
    """Put temperatures, scores and the summary of training features into a model's configuration.

    Thresholds keep calling what they called: they are carried over to the new temperature.

    Parameters
    ----------
    model : CascadeModel
        Its weights stay; what it said before of its answers is replaced.
    source : Source
        Where the slides are read from.
    training : sequence of SlideRecord
        What it was trained on: of these the coarsest depth is read.
    validation : sequence of SlideRecord
        With labels, and not trained on.
    on_slide : callable
        Called after each slide.

    Raises
    ------
    BundleError
        When it has thresholds of more than two classes, which no temperature carries over.
    """
    config = model.config
    require_thresholds_of_two(config)
    before = config.confidence
    model.config = replace(config, confidence=None, familiarity=None)
    fit = FamiliarityFit()
    for record in training:
        with source(record) as slide:
            fit.add(slide.features(0, slide.quadtree.nodes[0]).numpy())
        on_slide(record)
    summary = fit.summary()
    answers = _Answers(model, summary)
    for record in validation:
        answers.add(record, source)
        on_slide(record)
    known = fit_confidence(answers.probabilities, answers.reached, answers.labels)
    model.config = replace(
        config,
        confidence=known,
        familiarity=with_limit(summary, answers.distances) if summary else None,
        thresholds=_carried_over(config, before, known),
    )


def require_thresholds_of_two(config: BundleConfig) -> None:
    """Raise unless a bundle's thresholds, if it has any, can be carried over."""
    if config.thresholds and len(config.classes) > 2:
        raise BundleError(
            f"the model bundle {config.name!r}",
            "has thresholds of more than two classes, which another temperature would change",
            remedy="take the thresholds out of its config.json first",
        )


class _Answers:
    """What a model without temperatures says of validation slides."""

    def __init__(self, model: CascadeModel, summary: Familiarity | None) -> None:
        self.model, self.summary = model, summary
        self.distances: list[float] = []
        self._rows: list[list[NDArray[np.float64]]] = []
        self._labels: list[int] = []

    def add(self, record: SlideRecord, source: Source) -> None:
        with source(record) as slide:
            stages = run_over(
                self.model, slide.quadtree, slide.features, last_depth=slide.last_depth
            )
            if self.summary is not None:
                features = slide.features(0, slide.quadtree.nodes[0]).numpy()
                self.distances.append(self.summary.distance(features))
        self._rows.append([stage.probabilities for stage in stages])
        self._labels.append(self.model.config.classes.index(record.label))

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.array(self._labels, dtype=np.int64)

    @property
    def reached(self) -> NDArray[np.bool_]:
        depths = np.arange(self.model.config.n_depths)
        return np.array([depths < len(row) for row in self._rows])

    @property
    def probabilities(self) -> NDArray[np.float64]:
        n = self.model.config.n_depths
        return np.array([row + [row[-1]] * (n - len(row)) for row in self._rows])


def _carried_over(
    config: BundleConfig, before: Confidence | None, now: Confidence
) -> dict[str, float]:
    """Thresholds of the finest depth's probabilities, at another temperature."""
    ratio = now.temperatures[-1] / (before.temperatures[-1] if before else 1.0)
    return {
        name: round(float(tempered([limit, 1 - limit], ratio)[0]), 6)
        for name, limit in config.thresholds.items()
    }
