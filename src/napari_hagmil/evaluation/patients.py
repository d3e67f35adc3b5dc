"""Predictions per patient, from one or several slides.

Three rules. "bag": all slides of a patient are one slide to the cascade, with one budget. "mean":
the mean of the slides' probabilities. "max": those of the slide that is least like the first class,
the negative one: a single slide with a tumour makes the patient's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.cascade import SlideSummary, called_class
from napari_hagmil.cohort import SlideRecord
from napari_hagmil.evaluation.classification import macro_auc
from napari_hagmil.evaluation.evaluate import (
    BudgetRun,
    EvaluableSlide,
    SlideEvaluation,
    SlideFailure,
    Source,
)
from napari_hagmil.evaluation.summary import labels_of
from napari_hagmil.features import SlidePlane, columns_of, shifted
from napari_hagmil.quadtree import PatchGrid, Quadtree

PatientRule = Literal["mean", "max", "bag"]

RULES: tuple[PatientRule, ...] = get_args(PatientRule)

Groups = Mapping[str, Sequence[SlideRecord]]
"""The slides of each patient."""


def slides_by_patient(records: Sequence[SlideRecord]) -> dict[str, list[SlideRecord]]:
    """The slides of each patient, in the order of the table."""
    groups: dict[str, list[SlideRecord]] = {}
    for record in records:
        groups.setdefault(record.patient, []).append(record)
    return groups


def patient_record(slides: Sequence[SlideRecord], classes: Sequence[str]) -> SlideRecord:
    """A patient as one slide of a cohort, named after them.

    Its label is the last in the order of `classes` among its slides': one slide with a tumour makes
    a patient with a tumour.
    """
    labels = [slide.label for slide in slides if slide.label in classes]
    label = max(labels, key=list(classes).index, default="")
    first = slides[0]
    return SlideRecord(first.path, label, first.patient, first.split, name=first.patient)


def patient_bags(source: Source, groups: Groups) -> Source:
    """Patients as slides: all slides of one side by side, down to the depth that all have."""

    @contextmanager
    def read(record: SlideRecord) -> Iterator[EvaluableSlide]:
        with ExitStack() as opened:
            slides = [opened.enter_context(source(one)) for one in groups[record.patient]]
            yield slides[0] if len(slides) == 1 else _joined(record, slides)

    return read


def _joined(record: SlideRecord, slides: Sequence[EvaluableSlide]) -> EvaluableSlide:
    offsets = columns_of([slide.quadtree.nodes[0] for slide in slides])
    last = min(slide.last_depth for slide in slides)
    nodes = tuple(
        np.concatenate(
            [
                shifted(s.quadtree.nodes[depth], at, depth)
                for s, at in zip(slides, offsets, strict=True)
            ]
        )
        for depth in range(last + 1)
    )
    height, width = (int(side) + 1 for side in nodes[0].max(axis=0))
    coarsest = slides[0].quadtree.grids[0]
    # Where the nodes lie on their slides plays no part.
    grids = tuple(
        PatchGrid(coarsest.patch_size, coarsest.downsample / 2**d, (height << d, width << d))
        for d in range(last + 1)
    )
    about = slides[0].about
    fingerprints = " ".join(slide.about.fingerprint[:16] for slide in slides)
    return EvaluableSlide(
        quadtree=Quadtree(grids, nodes),
        features=SlidePlane(tuple(slide.features for slide in slides), offsets),
        last_depth=last,
        about=SlideSummary(record.name, fingerprints, about.mpp, about.mpp_source, 0, 0),
        is_placed=False,
        precision=slides[0].precision,
        origin=slides[0].origin,
    )


def pooled(probabilities: NDArray[np.float64], rule: PatientRule) -> NDArray[np.float64]:
    """One row for all slides of a patient: (n, classes) → (classes,)."""
    if rule == "max":
        return np.asarray(probabilities[probabilities[:, 0].argmin()])
    return np.asarray(probabilities.mean(axis=0))


def pooled_evaluations(
    slides: Sequence[SlideEvaluation],
    failures: Sequence[SlideFailure],
    rule: PatientRule,
    call: Callable[[NDArray[np.float64]], str],
    classes: Sequence[str],
) -> tuple[list[SlideEvaluation], list[SlideFailure]]:
    """Evaluations of slides as those of patients; a patient with a slide that failed fails.

    Parameters
    ----------
    slides, failures
        Of every slide.
    rule : "mean" or "max"
    call : callable
        Probabilities → class.
    classes : sequence of str
        In the order of the logits.
    """
    lost = {failure.record.patient: failure for failure in failures}
    groups: dict[str, list[SlideEvaluation]] = {}
    for slide in slides:
        if slide.record.patient not in lost:
            groups.setdefault(slide.record.patient, []).append(slide)
    failed = [
        replace(failure, why=f"slide {failure.record.name}: {failure.why}")
        for failure in lost.values()
    ]
    return [_patient(some, rule, call, classes) for some in groups.values()], failed


def _patient(
    slides: Sequence[SlideEvaluation],
    rule: PatientRule,
    call: Callable[[NDArray[np.float64]], str],
    classes: Sequence[str],
) -> SlideEvaluation:
    runs = tuple(
        _run([slide.runs[i] for slide in slides], rule) for i in range(len(slides[0].runs))
    )
    chances = [slide.chance for slide in slides if slide.chance is not None]
    found = SlideEvaluation(
        record=patient_record([slide.record for slide in slides], classes),
        called="",
        runs=runs,
        tissue=_summed([slide.tissue for slide in slides]),
        seconds=sum(slide.seconds for slide in slides),
        chance=_run(chances, rule) if len(chances) == len(slides) else None,
        fingerprint=" ".join(slide.fingerprint[:16] for slide in slides),
    )
    return replace(found, called=call(found.probabilities))


def _run(runs: Sequence[BudgetRun], rule: PatientRule) -> BudgetRun:
    """The runs of a patient's slides as one; a slide that ends before keeps its last depth."""
    n_depths = max(len(run.probabilities) for run in runs)
    at = [
        [run.probabilities[min(d, len(run.probabilities) - 1)] for run in runs]
        for d in range(n_depths)
    ]
    return BudgetRun(
        runs[0].factor,
        tuple(pooled(np.stack(rows), rule) for rows in at),
        _summed([run.encoded for run in runs]),
    )


def _summed(counts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Sums by depth of counts that may end at different depths."""
    longest = max(map(len, counts))
    return tuple(sum(c[d] for c in counts if d < len(c)) for d in range(longest))


def best_rule(
    found: Mapping[PatientRule, Sequence[SlideEvaluation]], classes: Sequence[str]
) -> tuple[PatientRule, dict[str, float]]:
    """The rule with the highest AUC over validation patients, and the AUC of each.

    Of equal ones the first of `RULES`; an AUC that is not defined is below any other.
    """
    scores = {
        rule: float(macro_auc(labels_of(some, classes), np.stack([s.probabilities for s in some])))
        for rule, some in found.items()
    }
    best = max(scores, key=lambda rule: np.nan_to_num(scores[rule], nan=-1.0))
    return best, {str(rule): score for rule, score in scores.items()}


def caller(
    classes: Sequence[str], thresholds: Mapping[str, float]
) -> Callable[[NDArray[np.float64]], str]:
    """What a model calls probabilities."""
    return lambda probabilities: called_class(probabilities, classes, thresholds)
