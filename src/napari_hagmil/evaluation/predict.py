"""Predict slides without labels from their stored features."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hagmil.cascade import (
    CascadeResult,
    Cost,
    Given,
    Settings,
    SlideResult,
    Stage,
    called_class,
    most_unread,
    uncertainty_of,
    why_unfamiliar,
)
from napari_hagmil.cascade.run import run_over
from napari_hagmil.cohort import SlideRecord
from napari_hagmil.errors import CancelledError, DeviceError, HagmilError
from napari_hagmil.evaluation.evaluate import (
    EvaluableSlide,
    SlideFailure,
    Source,
    distance_of,
)
from napari_hagmil.evaluation.patients import (
    PatientRule,
    patient_bags,
    patient_record,
    pooled,
    slides_by_patient,
)
from napari_hagmil.ledger import state_after
from napari_hagmil.models import CascadeModel
from napari_hagmil.prepare import model_facts


@dataclass(frozen=True, slots=True)
class SlidePrediction:
    """A model's result on one slide of a cohort.

    Attributes
    ----------
    record : SlideRecord
    result : SlideResult
        Its state is "incomplete", and no class is called, when too much could not be read.
    is_placed : bool
        Whether the nodes of the result have places on the slide.
    """

    record: SlideRecord
    result: SlideResult
    is_placed: bool


def predict_cohort(
    records: Sequence[SlideRecord], model: CascadeModel, source: Source
) -> Iterator[SlidePrediction | SlideFailure]:
    """Run a cascade over slides; a slide that fails becomes a `SlideFailure`, and the rest goes on.

    Parameters
    ----------
    records : sequence of SlideRecord
    model : CascadeModel
    source : Source
        `evaluate.stored` or `evaluate.live`.
    """
    for record in records:
        yield try_prediction(record, model, source)


def try_prediction(
    record: SlideRecord, model: CascadeModel, source: Source
) -> SlidePrediction | SlideFailure:
    """As `predict_slide`, but return the failure of a slide instead of raising it."""
    try:
        return predict_slide(record, model, source)
    except (CancelledError, DeviceError):
        raise
    except (HagmilError, OSError, ValueError) as error:
        return SlideFailure(record, " ".join(str(error).split()), state_after(error))


def predict_slide(record: SlideRecord, model: CascadeModel, source: Source) -> SlidePrediction:
    """Run a cascade over one slide with the model's own settings."""
    started = time.perf_counter()
    with source(record) as readable:
        stages = run_over(
            model, readable.quadtree, readable.features, last_depth=readable.last_depth
        )
        seconds = time.perf_counter() - started
        result = _with_doubts(_result(model, readable, stages, seconds), model, readable)
    return SlidePrediction(record, result, readable.is_placed)


@dataclass(frozen=True, slots=True)
class PatientCall:
    """The prediction for one patient.

    Attributes
    ----------
    patient : str
    slides : int
    state : str
        "done", or that of the first slide that was not called.
    called : str
        The class; "" where there is none.
    probabilities : (classes,) or None
    why : str
        Why there is no class.
    """

    patient: str
    slides: int
    state: str
    called: str = ""
    probabilities: NDArray[np.float64] | None = None
    why: str = ""


def call_patients(
    events: Sequence[SlidePrediction | SlideFailure],
    rule: PatientRule,
    model: CascadeModel,
    source: Source,
) -> list[PatientCall]:
    """Call each patient once; one with a slide that could not be called is not.

    Parameters
    ----------
    events : sequence of SlidePrediction or SlideFailure
        Of all slides.
    rule : PatientRule
        With "bag" the cascade is run again, over all slides of each patient at once.
    model : CascadeModel
    source : Source
        As of the events.
    """
    groups = slides_by_patient([event.record for event in events])
    by_name = {event.record.name: event for event in events}
    bags = patient_bags(source, groups)
    calls = []
    for patient, records in groups.items():
        own = [by_name[record.name] for record in records]
        lost = next((event for event in own if _probabilities(event) is None), None)
        if lost is None and rule == "bag" and len(own) > 1:
            bag = patient_record(records, model.config.classes)
            own = list(predict_cohort([bag], model, bags))
            lost = next((event for event in own if _probabilities(event) is None), None)
        if lost is not None:
            state, why = _why(lost)
            calls.append(PatientCall(patient, len(records), state, why=why))
            continue
        rows = np.stack([p for event in own if (p := _probabilities(event)) is not None])
        found = pooled(rows, rule)
        called = called_class(found, model.config.classes, model.config.thresholds)
        calls.append(PatientCall(patient, len(records), "done", called, found))
    return calls


def _probabilities(event: SlidePrediction | SlideFailure) -> NDArray[np.float64] | None:
    if isinstance(event, SlideFailure) or event.result.prediction is None:
        return None
    return event.result.prediction.probabilities


def _why(event: SlidePrediction | SlideFailure) -> tuple[str, str]:
    if isinstance(event, SlideFailure):
        return event.state, f"{event.record.name}: {event.why}"
    return event.result.state, f"{event.record.name}: {event.result.unread}"


def _with_doubts(result: SlideResult, model: CascadeModel, readable: EvaluableSlide) -> SlideResult:
    """The result with what the model's bundle says of how far it can be relied on."""
    distance = distance_of(model, readable, result.stages)
    return replace(
        result,
        unfit=why_unfamiliar(model.config, distance),
        uncertainty=uncertainty_of(model.config, result.prediction, distance=distance),
    )


def _result(
    model: CascadeModel, readable: EvaluableSlide, stages: Sequence[Stage], seconds: float
) -> SlideResult:
    tissue, config = readable.quadtree.nodes, model.config
    unread = most_unread(stages, tissue)
    return SlideResult(
        state="incomplete" if unread is not None and unread.too_many else "done",
        slide=readable.about,
        model=model_facts(model),
        settings=Settings(
            config.budget,
            str(next((p.device for p in model.parameters()), "cpu")),
            precision=readable.precision,
            threads=torch.get_num_threads(),
            tissue=Given("store"),
            features=readable.origin,
        ),
        grids=readable.quadtree.grids[: len(stages)],
        cascade=CascadeResult(tuple(stages), config.classes, config.thresholds),
        cost=Cost(
            patches_encoded=sum(len(stage.nodes) for stage in stages),
            patches_exhaustive=sum(len(nodes) for nodes in tissue[: len(stages)]),
            finest_encoded=len(stages[-1].nodes),
            finest_tissue=len(tissue[stages[-1].depth]),
            bytes_read=0,
            seconds={"read": 0.0, "encode": 0.0, "model": seconds, "total": seconds},
        ),
        notes=("Read from stored features.",),
        unread=unread,
    )
