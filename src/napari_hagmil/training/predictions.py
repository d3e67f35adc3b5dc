"""Predictions of a trained model on the slides of a cohort, and their cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.cascade import Choose, by_attention
from napari_hagmil.cascade.run import run_over
from napari_hagmil.evaluation.classification import f1_score, macro_auc, macro_f1
from napari_hagmil.evaluation.metrics import accuracy, f1, youden_threshold
from napari_hagmil.models import CascadeModel
from napari_hagmil.quadtree import Nodes
from napari_hagmil.training.training_slide import TrainingSlide


@dataclass(frozen=True)
class Predictions:
    """A model's predictions on some slides.

    Attributes
    ----------
    labels : (n,) int64
    logits : (n, depths, classes) float32
        Of every depth alone.
    probabilities : (n, depths, classes) float64
        Of the decision once that depth has been read.
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
        """Probabilities at the finest depth, (n, classes)."""
        return self.probabilities[:, -1]


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
        run_over(model, slide.quadtree(), slide.features, budget, choose=choose(slide))
        for slide in slides
    ]
    seconds = (time.perf_counter() - started) / max(len(slides), 1)
    return Predictions(
        labels=np.array([slide.label for slide in slides], dtype=np.int64),
        logits=np.array([[stage.logits for stage in stages] for stages in found]),
        probabilities=np.array([[stage.probabilities for stage in stages] for stages in found]),
        patches=np.array([sum(len(s.nodes) for s in stages) for stages in found], dtype=np.int64),
        seconds=seconds,
        nodes=tuple(tuple(stage.nodes for stage in stages) for stages in found),
    )


def figures(test: Predictions, validation: Predictions) -> dict[str, float]:
    """The paper's figures of some test slides.

    `auc`, `f1` and `accuracy` (most probable class) of the finest depth, `auc_depth…` of every
    depth, `patches` and `seconds` per slide; for two classes also `accuracy_youden` and
    `f1_youden`, at the threshold that the validation slides chose. `f1` is that of the positive
    class, the last, for two classes and `f1_macro`, the mean over the classes, for more.
    """
    found = _scores(test.labels, test.decisive)
    for depth in range(test.probabilities.shape[1]):
        found[f"auc_depth{depth}"] = _scores(test.labels, test.probabilities[:, depth])["auc"]
    if test.decisive.shape[1] == 2:
        threshold = youden_threshold(validation.labels, validation.decisive[:, 1])
        scores = test.decisive[:, 1]
        found["threshold"] = threshold
        found["accuracy_youden"] = accuracy(test.labels, scores, threshold)
        found["f1_youden"] = f1(test.labels, scores, threshold)
    found["patches"] = float(test.patches.mean())
    found["seconds"] = test.seconds
    return found


def _scores(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> dict[str, float]:
    called, n_classes = probabilities.argmax(1), probabilities.shape[1]
    return {
        "auc": macro_auc(labels, probabilities),
        "f1": f1_score(labels, called, n_classes),
        "f1_macro": macro_f1(labels, called, n_classes),
        "accuracy": float((called == labels).mean()),
    }
