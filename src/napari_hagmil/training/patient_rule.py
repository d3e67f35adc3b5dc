"""Choose, on validation slides, how patients with several slides are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.evaluation.classification import macro_auc
from napari_hagmil.evaluation.patients import RULES, PatientRule, pooled
from napari_hagmil.features import SlidePlane, columns_of, shifted
from napari_hagmil.models import CascadeModel
from napari_hagmil.training.predictions import Predictions, predict_slides
from napari_hagmil.training.training_slide import TrainingSlide

Calibration = Callable[[CascadeModel, Predictions], Predictions]


def chosen_patient_rule(
    model: CascadeModel,
    slides: Sequence[TrainingSlide],
    patients: Sequence[str],
    calibrate: Calibration,
) -> tuple[PatientRule | None, dict[str, float]]:
    """The rule with the highest AUC over validation patients, and the AUC of each rule.

    Parameters
    ----------
    model : CascadeModel
    slides : sequence of TrainingSlide
        Of validation.
    patients : sequence of str
        Of each slide.
    calibrate : callable
        The probabilities of slides → those that the model will state.

    Returns
    -------
    rule : PatientRule or None
        Of equal ones the first of `RULES`; None where no patient has several slides, or where the
        patients' AUC is not defined.
    scores : dict of str to float
    """
    groups = _groups(patients)
    if len(groups) == len(slides):
        return None, {}
    labels = np.array([max(slides[i].label for i in some) for some in groups.values()])
    single = calibrate(model, predict_slides(model, slides)).decisive
    bags = [beside_each_other([slides[i] for i in some]) for some in groups.values()]
    found: dict[PatientRule, NDArray[np.float64]] = {
        "bag": calibrate(model, predict_slides(model, bags)).decisive
    }
    for rule in ("mean", "max"):
        found[rule] = np.stack([pooled(single[some], rule) for some in groups.values()])
    return _best({rule: float(macro_auc(labels, found[rule])) for rule in RULES})


def beside_each_other(slides: Sequence[TrainingSlide]) -> TrainingSlide:
    """All slides of a patient as one, down to the depth that all have; its label is the last."""
    offsets = columns_of([slide.nodes for slide in slides])
    tissue = tuple(
        np.concatenate(
            [shifted(nodes, at, depth) for nodes, at in zip(level, offsets, strict=True)]
        )
        for depth, level in enumerate(zip(*(slide.tissue for slide in slides), strict=False))
    )
    features = SlidePlane(tuple(slide.features for slide in slides), offsets)
    label = max(slide.label for slide in slides)
    return TrainingSlide(slides[0].name, label, tissue, features)


def _groups(patients: Sequence[str]) -> dict[Any, list[int]]:
    """The places of each patient's slides; a slide without a patient is one of its own."""
    groups: dict[Any, list[int]] = {}
    for i, patient in enumerate(patients):
        groups.setdefault(patient or i, []).append(i)
    return groups


def _best(scores: Mapping[PatientRule, float]) -> tuple[PatientRule | None, dict[str, float]]:
    known = {rule: score for rule, score in scores.items() if not np.isnan(score)}
    if not known:
        return None, {}
    return max(known, key=known.__getitem__), {str(rule): score for rule, score in known.items()}
