"""What a model says of slides without labels: a result each, from stored features."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from napari_hagmil.cascade import (
    CascadeResult,
    Cost,
    Given,
    Settings,
    SlideResult,
    Stage,
    most_unread,
)
from napari_hagmil.cascade.run import run_over
from napari_hagmil.cohort import SlideRecord
from napari_hagmil.errors import CancelledError, DeviceError, HagmilError
from napari_hagmil.evaluation.evaluate import EvaluableSlide, SlideFailure, Source
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
        try:
            yield predict_slide(record, model, source)
        except (CancelledError, DeviceError):
            raise
        except (HagmilError, OSError, ValueError) as error:
            yield SlideFailure(record, " ".join(str(error).split()), state_after(error))


def predict_slide(record: SlideRecord, model: CascadeModel, source: Source) -> SlidePrediction:
    """Run a cascade over one slide with the model's own settings."""
    started = time.perf_counter()
    with source(record) as readable:
        stages = run_over(
            model, readable.quadtree, readable.features, last_depth=readable.last_depth
        )
        seconds = time.perf_counter() - started
    return SlidePrediction(record, _result(model, readable, stages, seconds), readable.is_placed)


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
            str(next(model.parameters()).device),
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
