"""Predictions of a trained model on the slides of a cohort, and their cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.cascade import Choose, by_attention
from napari_hagmil.cascade.run import run_over
from napari_hagmil.evaluation.classification import f1_score, macro_auc, macro_f1
from napari_hagmil.evaluation.endpoints import intervals, macro_average_precision
from napari_hagmil.evaluation.metrics import accuracy, f1, youden_threshold
from napari_hagmil.models import CascadeModel, Endpoint
from napari_hagmil.quadtree import Nodes
from napari_hagmil.training.training_slide import CohortSlide, TrainingSlide


@dataclass(frozen=True)
class Predictions:
    """A model's predictions on some slides.

    Attributes
    ----------
    labels : (n,) int64
    logits : (n, depths, classes) float32
        Of every depth alone; NaN at depths that a slide does not have.
    probabilities : (n, depths, classes) float64
        Of the decision once that depth has been read; a slide that ends before keeps its last.
    patches : (n,) int64
        Looked at, over all depths.
    seconds : float
        Of the model alone, mean per slide; reading features is not counted.
    nodes : tuple of tuples of (n, 2) int64
        What was looked at, per slide and depth.
    """

    labels: NDArray[np.int64]
    logits: NDArray[np.float32]
    probabilities: NDArray[np.float64]
    patches: NDArray[np.int64]
    seconds: float
    nodes: tuple[tuple[Nodes, ...], ...]

    @property
    def decisive(self) -> NDArray[np.float64]:
        """Probabilities at the finest depth of each slide, (n, classes)."""
        return self.probabilities[:, -1]

    @property
    def outputs(self) -> NDArray[np.float64]:
        """Logits of the finest depth that each slide has, (n, classes): what an endpoint reads."""
        deepest = (~np.isnan(self.logits[..., 0])).sum(axis=1) - 1
        return np.asarray(self.logits[np.arange(len(deepest)), deepest], dtype=np.float64)


def predict_slides(
    model: CascadeModel,
    slides: Sequence[TrainingSlide],
    budget: tuple[int, ...] | None = None,
    choose: Callable[[TrainingSlide], Choose] = lambda slide: by_attention,
) -> Predictions:
    """Run the cascade over every slide.

    Parameters
    ----------
    model : CascadeModel
    slides : sequence of TrainingSlide
    budget : tuple of int, optional
        k at every depth but the last; by default the model's own.
    choose : callable
        How a slide's budget is spent; for controls.
    """
    started = time.perf_counter()
    found = [
        run_over(
            model,
            slide.quadtree(),
            slide.features,
            budget,
            last_depth=min(slide.n_depths, model.config.n_depths) - 1,
            choose=choose(slide),
        )
        for slide in slides
    ]
    seconds = (time.perf_counter() - started) / max(len(slides), 1)
    n = model.config.n_depths
    return Predictions(
        labels=np.array([slide.label for slide in slides], dtype=np.int64),
        logits=np.array([_filled([s.logits for s in stages], n, np.nan) for stages in found]),
        probabilities=np.array([_filled([s.probabilities for s in stages], n) for stages in found]),
        patches=np.array([sum(len(s.nodes) for s in stages) for stages in found], dtype=np.int64),
        seconds=seconds,
        nodes=tuple(tuple(stage.nodes for stage in stages) for stages in found),
    )


def _filled(rows: list[NDArray[Any]], n: int, value: float | None = None) -> list[NDArray[Any]]:
    """As many rows as the model has depths: the missing ones of a value, or as the last."""
    last = rows[-1] if value is None else np.full_like(rows[-1], value)
    return rows + [last] * (n - len(rows))


def figures(test: Predictions, validation: Predictions) -> dict[str, float]:
    """The paper's figures of some test slides.

    `auc`, `auprc`, `f1` and `accuracy` (most probable class) of the finest depth that a slide has,
    `auc_depth…` of every depth over the slides that have it, `patches` and `seconds` per slide;
    for two classes also `accuracy_youden` and `f1_youden`, at the threshold that the validation
    slides chose. `f1` is that of the positive class, the last, for two classes and `f1_macro`, the
    mean over the classes, for more.
    """
    found = _scores(test.labels, test.decisive)
    for depth in range(test.probabilities.shape[1]):
        some = ~np.isnan(test.logits[:, depth, 0])
        if some.any():
            scores = _scores(test.labels[some], test.probabilities[some, depth])
            found[f"auc_depth{depth}"] = scores["auc"]
    if test.decisive.shape[1] == 2:
        threshold = youden_threshold(validation.labels, validation.decisive[:, 1])
        found["threshold"] = threshold
        found["accuracy_youden"] = accuracy(test.labels, test.decisive[:, 1], threshold)
        found["f1_youden"] = f1(test.labels, test.decisive[:, 1], threshold)
    found["patches"] = float(test.patches.mean())
    found["seconds"] = test.seconds
    return found


def endpoint_figures(
    endpoint: Endpoint, test: Predictions, slides: Sequence[CohortSlide]
) -> dict[str, float]:
    """Figures of an endpoint on some test slides, with `…_low` and `…_high` of their intervals.

    See `evaluation.endpoints.intervals`; besides `patches` and `seconds` per slide.
    """
    patients = [slide.patient or slide.name for slide in slides]
    measured = [slide.measured for slide in slides]
    found = {}
    for name, interval in intervals(endpoint, test.outputs, measured, patients).items():
        found[name] = interval.value
        found[f"{name}_low"], found[f"{name}_high"] = interval.low, interval.high
    return {**found, "patches": float(test.patches.mean()), "seconds": test.seconds}


def _scores(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> dict[str, float]:
    called, n_classes = probabilities.argmax(1), probabilities.shape[1]
    return {
        "auc": macro_auc(labels, probabilities),
        "auprc": macro_average_precision(labels, probabilities),
        "f1": f1_score(labels, called, n_classes),
        "f1_macro": macro_f1(labels, called, n_classes),
        "accuracy": float((called == labels).mean()),
    }
