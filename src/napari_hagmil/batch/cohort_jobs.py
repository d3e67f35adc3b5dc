"""Run a model over a cohort with several processes, for ``evaluate`` and ``predict``.

Their files are written when all slides are done, so the results travel back to the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_hagmil.batch.attendant import EndedError
from napari_hagmil.batch.pool import Pool
from napari_hagmil.cohort import SlideRecord
from napari_hagmil.evaluation.evaluate import (
    SlideEvaluation,
    SlideFailure,
    Source,
    live,
    stored,
    try_slide,
)
from napari_hagmil.evaluation.patients import patient_bags, slides_by_patient
from napari_hagmil.evaluation.predict import SlidePrediction, try_prediction
from napari_hagmil.ledger import STATE_RULES
from napari_hagmil.models import CascadeModel

Numbered = tuple[int, SlideRecord]
"""A slide, and its place in the cohort."""


@dataclass(frozen=True, slots=True)
class ModelOverSlides:
    """A model and the source of the slides that it runs over.

    Attributes
    ----------
    model : str
        A bundle's name or path.
    device : str
    store : Path or None
        Of their features; None: slides are read and encoded.
    mpp : float or None
        µm per level-0 pixel, where files have none.
    bags : tuple of SlideRecord
        Slides to be pooled into one bag per patient; empty for one bag per slide.
    endpoints : bool
        Whether a model of an endpoint will do.
    """

    model: str
    device: str
    store: Path | None = None
    mpp: float | None = None
    bags: tuple[SlideRecord, ...] = ()
    endpoints: bool = False

    def load(self) -> tuple[CascadeModel, Source]:
        """Load the model, and its encoder where slides are read."""
        from napari_hagmil.bundles import find_bundle
        from napari_hagmil.encoders import resolve_device
        from napari_hagmil.models import load_bundle
        from napari_hagmil.prepare import load_model

        if self.store is None:
            model, encoder = load_model(self.model, device=self.device, endpoints=self.endpoints)
            source = live(model, encoder, mpp=self.mpp)
        else:
            where = resolve_device(self.device)
            model = load_bundle(find_bundle(self.model), device=where, endpoints=self.endpoints)
            source = stored(self.store, model)
        return model, patient_bags(source, slides_by_patient(self.bags)) if self.bags else source


@dataclass(frozen=True, slots=True)
class EvaluateJob:
    """Evaluates slides.

    Attributes
    ----------
    over : ModelOverSlides
    factors : tuple of float
    chance : int or None
        As of `evaluate_cohort`.
    """

    over: ModelOverSlides
    factors: tuple[float, ...] = (1.0,)
    chance: int | None = None

    def __call__(self) -> Callable[[Numbered], Iterator[SlideEvaluation | SlideFailure]]:
        """Load the model."""
        model, source = self.over.load()

        def answer(request: Numbered) -> Iterator[SlideEvaluation | SlideFailure]:
            seed = None if self.chance is None else (self.chance, request[0])
            yield try_slide(request[1], model, source, factors=self.factors, seed=seed)

        return answer


@dataclass(frozen=True, slots=True)
class PredictJob:
    """Predicts slides."""

    over: ModelOverSlides

    def __call__(self) -> Callable[[Numbered], Iterator[SlidePrediction | SlideFailure]]:
        """Load the model."""
        model, source = self.over.load()

        def answer(request: Numbered) -> Iterator[SlidePrediction | SlideFailure]:
            yield try_prediction(request[1], model, source)

        return answer


def over_cohort(
    records: Sequence[SlideRecord], pool: Pool
) -> Iterator[SlideEvaluation | SlidePrediction | SlideFailure]:
    """Run one of these jobs over slides; one whose process ends is tried once more.

    Yields
    ------
    SlideEvaluation, SlidePrediction or SlideFailure
        In the order of `records`, whichever process is faster.
    """
    found: dict[int, SlideEvaluation | SlidePrediction | SlideFailure] = {}
    due, tries, said = list(enumerate(records)), 0, 0
    while due:
        tries += 1
        again: list[Numbered] = []
        for request, reply in pool.replies(due):
            if not isinstance(reply, EndedError):
                found[request[0]] = reply
            elif tries < STATE_RULES[reply.state].tries:
                again.append(request)
            else:
                found[request[0]] = SlideFailure(request[1], str(reply), reply.state)
            while said in found:
                yield found.pop(said)
                said += 1
        due = again
