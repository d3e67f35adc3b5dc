"""The figures of an evaluation: discrimination, calibration, localisation, cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.cascade import called_class
from napari_hagmil.errors import CohortError
from napari_hagmil.evaluation.calibration import Calibration, calibration
from napari_hagmil.evaluation.classification import (
    bootstrap_groups,
    class_auc,
    class_f1,
    confusion_matrix,
    f1_score,
    macro_auc,
    macro_f1,
)
from napari_hagmil.evaluation.evaluate import BudgetRun, SlideEvaluation
from napari_hagmil.evaluation.metrics import Interval, youden_threshold


@dataclass(frozen=True, slots=True)
class Called:
    """Metrics of the called classes.

    Attributes
    ----------
    rule : str
        How a class is called: "most probable", or what the thresholds are called.
    accuracy, f1, macro_f1 : Interval
        `f1` is that of the positive class, the last, for two classes, and macro F1 for more.
    class_f1 : (classes,)
    confusion : (classes, classes)
        Slides by class and by what they were called.
    """

    rule: str
    accuracy: Interval
    f1: Interval
    macro_f1: Interval
    class_f1: NDArray[np.float64]
    confusion: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BudgetPoint:
    """Means over slides at one multiple of the model's budget.

    Attributes
    ----------
    factor : float
    encoded : float
        Patches per slide, all depths.
    encoded_finest : float
        Patches per slide at its deciding depth.
    auc : float
    lesion_recall : float
        Share of all lesions that a patch of the deciding depth met; NaN without outlines.
    """

    factor: float
    encoded: float
    encoded_finest: float
    auc: float
    lesion_recall: float


@dataclass(frozen=True, slots=True)
class Summary:
    """All figures of an evaluation.

    Attributes
    ----------
    classes : tuple of str
    slides, patients : int
    auc : Interval
        Mean over classes, one against rest.
    class_auc : (classes,)
    depth_auc : tuple of float
        If each depth had to decide, coarse to fine; over the slides that reach it.
    called : tuple of Called
        By the most probable class first, then by thresholds where there are any.
    calibration : Calibration
    budgets : tuple of BudgetPoint
        In ascending order of the factor.
    tissue : float
        Patches with tissue per slide, all depths: the cost of reading everything.
    seconds : float
        Per slide, mean.
    lesions, slides_with_outlines : int
    lesion_recall : tuple of float
        By depth; empty without outlines.
    attention_auc : tuple of float
        Inside against outside the lesions, by depth, mean over slides; empty without outlines.
    chance : BudgetPoint or None
        With the model's own budget spent at random, where that was asked for.
    """

    classes: tuple[str, ...]
    slides: int
    patients: int
    auc: Interval
    class_auc: NDArray[np.float64]
    depth_auc: tuple[float, ...]
    called: tuple[Called, ...]
    calibration: Calibration
    budgets: tuple[BudgetPoint, ...]
    tissue: float
    seconds: float
    lesions: int
    slides_with_outlines: int
    lesion_recall: tuple[float, ...]
    attention_auc: tuple[float, ...]
    chance: BudgetPoint | None = None


def summarise(
    slides: Sequence[SlideEvaluation],
    classes: Sequence[str],
    *,
    thresholds: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
    seed: int = 0,
    rounds: int = 2000,
) -> Summary:
    """Figures of an evaluation, with intervals over patients.

    Parameters
    ----------
    slides : sequence of SlideEvaluation
    classes : sequence of str
    thresholds : mapping
        Further rules to call classes by, besides the most probable: name of the rule → its
        thresholds, see `called_class`. They must not come from these slides.
    seed, rounds : int
        Of the bootstrap.
    """
    y = labels_of(slides, classes)
    p = np.stack([slide.probabilities for slide in slides])
    patients = [slide.record.patient for slide in slides]

    def interval(metric: Callable[[NDArray[np.intp]], float]) -> Interval:
        return bootstrap_groups(metric, patients, seed=seed, rounds=rounds)

    rules = [_called("most probable", y, p.argmax(axis=1), len(classes), interval)]
    for rule, limits in thresholds.items():
        by_rule = np.array([list(classes).index(called_class(row, classes, limits)) for row in p])
        rules.append(_called(rule, y, by_rule, len(classes), interval))
    outlined = [slide for slide in slides if slide.own.lesions]
    return Summary(
        classes=tuple(classes),
        slides=len(slides),
        patients=len(set(patients)),
        auc=interval(lambda i: macro_auc(y[i], p[i])),
        class_auc=class_auc(y, p),
        depth_auc=_depth_auc(slides, y),
        called=tuple(rules),
        calibration=calibration(y, p),
        budgets=_budgets(slides, y, outlined),
        tissue=float(np.mean([sum(slide.tissue) for slide in slides])),
        seconds=float(np.mean([slide.seconds for slide in slides])),
        lesions=sum(len(slide.own.lesions[0]) for slide in outlined),
        slides_with_outlines=len(outlined),
        lesion_recall=_by_depth(outlined, lambda s, d: list(s.own.lesions[d])),
        attention_auc=_by_depth(outlined, lambda s, d: [s.attention_auc[d]]),
        chance=_chance(slides, y, outlined),
    )


def youden_on(validation: Sequence[SlideEvaluation], classes: Sequence[str]) -> dict[str, float]:
    """The threshold of the last of two classes that validation slides choose.

    Raises
    ------
    CohortError
        Unless there are two classes, and slides of both.
    """
    y = labels_of(validation, classes)
    if len(classes) != 2 or len(set(y.tolist())) != 2:
        raise CohortError(
            "no threshold can be chosen",
            [f"two classes with validation slides of both are needed, of {', '.join(classes)}"],
        )
    scores = np.array([slide.probabilities[1] for slide in validation])
    return {classes[1]: youden_threshold(y, scores)}


def labels_of(slides: Sequence[SlideEvaluation], classes: Sequence[str]) -> NDArray[np.int64]:
    """Class of each slide as its place in `classes`, (n,)."""
    return np.array([list(classes).index(slide.record.label) for slide in slides], dtype=np.int64)


def _called(
    rule: str,
    y: NDArray[np.int64],
    called: NDArray[np.int64],
    n_classes: int,
    interval: Callable[[Callable[[NDArray[np.intp]], float]], Interval],
) -> Called:
    confusion = confusion_matrix(y, called, n_classes)
    return Called(
        rule,
        interval(lambda i: float((y[i] == called[i]).mean())),
        interval(lambda i: f1_score(y[i], called[i], n_classes)),
        interval(lambda i: macro_f1(y[i], called[i], n_classes)),
        class_f1(confusion),
        confusion,
    )


def _depth_auc(slides: Sequence[SlideEvaluation], y: NDArray[np.int64]) -> tuple[float, ...]:
    found = []
    for depth in range(max(len(slide.own.probabilities) for slide in slides)):
        there = [i for i, slide in enumerate(slides) if len(slide.own.probabilities) > depth]
        p = np.stack([slides[i].own.probabilities[depth] for i in there])
        found.append(macro_auc(y[there], p))
    return tuple(found)


def _budgets(
    slides: Sequence[SlideEvaluation],
    y: NDArray[np.int64],
    outlined: Sequence[SlideEvaluation],
) -> tuple[BudgetPoint, ...]:
    return tuple(
        _point([slide.runs[i] for slide in slides], y, [slide.runs[i] for slide in outlined])
        for i in range(len(slides[0].runs))
    )


def _chance(
    slides: Sequence[SlideEvaluation],
    y: NDArray[np.int64],
    outlined: Sequence[SlideEvaluation],
) -> BudgetPoint | None:
    runs = [slide.chance for slide in slides if slide.chance is not None]
    if len(runs) < len(slides):
        return None
    return _point(runs, y, [slide.chance for slide in outlined if slide.chance is not None])


def _point(
    runs: Sequence[BudgetRun], y: NDArray[np.int64], outlined: Sequence[BudgetRun]
) -> BudgetPoint:
    met = [hit for run in outlined for hit in run.lesions[-1]]
    return BudgetPoint(
        runs[0].factor,
        float(np.mean([sum(run.encoded) for run in runs])),
        float(np.mean([run.encoded[-1] for run in runs])),
        macro_auc(y, np.stack([run.probabilities[-1] for run in runs])),
        float(np.mean(met)) if met else float("nan"),
    )


def _by_depth(
    slides: Sequence[SlideEvaluation], values: Callable[[SlideEvaluation, int], Sequence[float]]
) -> tuple[float, ...]:
    """Mean of some values over the slides that reach a depth, for each depth."""
    found = []
    for depth in range(max((len(slide.own.lesions) for slide in slides), default=0)):
        there = [v for s in slides if len(s.own.lesions) > depth for v in values(s, depth)]
        defined = [v for v in there if not np.isnan(v)]
        found.append(float(np.mean(defined)) if defined else float("nan"))
    return tuple(found)
