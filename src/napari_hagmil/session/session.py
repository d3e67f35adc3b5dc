"""The state of one window: which slide is open, what runs, and what was found.

Widgets show it and call its methods. Signals are emitted by the calling thread, which for all
but `run`, `make_ready`, `prepare_slide` and the answers of `questions` must be the main one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from psygnal import Signal

from napari_hagmil.attention import DEFAULT_QUANTILE, AttentionRegion, attention_map, find_regions
from napari_hagmil.cascade import (
    DepthChange,
    NodeFacts,
    SlideResult,
    Stage,
    StageIndex,
    Steering,
    compare_runs,
)
from napari_hagmil.errors import CancelledError, HagmilError
from napari_hagmil.features import EncodingProgress
from napari_hagmil.models import CascadeModel
from napari_hagmil.pipeline import read_stages, slide_result
from napari_hagmil.prepare import Options, PreparedSlide
from napari_hagmil.quadtree import PatchGrid
from napari_hagmil.review import ReviewState, Sitting, open_sitting
from napari_hagmil.session.cost import RunCost, run_cost, time_a_trial
from napari_hagmil.session.preparation import Preparation, preparation_key
from napari_hagmil.session.questions import Questions
from napari_hagmil.session.sentences import error_sentence
from napari_hagmil.slide import Slide

State = Literal["empty", "opening", "ready", "running", "done", "cancelled", "failed"]


class Session:
    """One slide at a time, its runs and its review.

    Attributes
    ----------
    slide : Slide or None
        The open slide.
    state : str
        "empty", "opening", "ready", "running", "done", "cancelled" or "failed".
    model_name, device : str
        What the next run uses.
    budget : tuple of int or None
        Nodes followed per depth; None is the bundle's own.
    last_depth : int or None
        Where the next run ends; None: as deep as model and slide go.
    stages : list of Stage
        What the last run found so far.
    seconds : list of float
        What each of them took.
    before : tuple of Stage
        What the last complete run before that found, with the same model.
    sitting : Sitting or None
        The review of the slide, its undo stack and its journal; None while none is open.
    result : SlideResult or None
        Of the last run, once it has ended or was cancelled.
    open_review : callable
        How a review is opened: path and fingerprint of the slide → its `Sitting`.
    """

    slide_changed = Signal(object)
    state_changed = Signal(str)
    preparation_ended = Signal(str)
    progressed = Signal(object)
    started = Signal(bool)
    stage_found = Signal(object)
    finished = Signal(object)
    failed = Signal(str)
    review_changed = Signal(object, str)

    def __init__(self) -> None:
        self.slide: Slide | None = None
        self.sitting: Sitting | None = None
        self.state: State = "empty"
        self.open_review: Callable[[Path, str], Sitting] = open_sitting
        self.model_name = "demo"
        self.device = "auto"
        self.budget: tuple[int, ...] | None = None
        self.last_depth: int | None = None
        self.stages: list[Stage] = []
        self.seconds: list[float] = []
        self.before: tuple[Stage, ...] = ()
        self.result: SlideResult | None = None
        self._ready = Preparation()
        self._known: list[Stage] = []
        self._index: list[StageIndex] = []
        self._known_key: tuple[object, ...] = ()
        self._cancel = threading.Event()
        self._options = Options()
        self._started = 0.0

    def set_state(self, state: State) -> None:
        """Change the state and emit it."""
        self.state = state
        self.state_changed.emit(state)

    def adopt(self, slide: Slide) -> None:
        """Take over an open slide; the one before is closed."""
        before, self.slide = self.slide, slide
        self.result = None
        self._ready.forget()
        self._forget()
        self._leave()
        self.sitting = self.open_review(slide.path, slide.fingerprint)
        self.sitting.changed.connect(self._pass_on)
        if before is not None and before is not slide:
            before.close()
        self.slide_changed.emit(slide)
        self.set_state("ready")

    def close(self) -> None:
        """Cancel the run and close the slide and its review."""
        self.cancel()
        self._leave()
        if self.slide is not None:
            self.slide.close()
            self.slide = None

    def _pass_on(self, state: ReviewState, action: str) -> None:
        self.review_changed.emit(state, action)

    def _leave(self) -> None:
        """Close the review; every decision is on disk already."""
        if self.sitting is not None:
            self.sitting.close()
            self.sitting = None

    def fail(self, error: BaseException) -> None:
        """Report an error; what was found until then stays."""
        self.set_state("failed")
        self.failed.emit(error_sentence(error))

    def cancel(self) -> None:
        """Ask the run to stop after the current batch."""
        self._cancel.set()

    def options(self) -> Options:
        """The options of the next run."""
        return Options(
            budget=self.budget,
            device=self.device,
            steering=self.steering,
            last_depth=self.last_depth,
        )

    @property
    def steering(self) -> Steering:
        """Branches to follow and places to leave out, as the review holds them."""
        if self.sitting is None:
            return Steering()
        state = self.sitting.state
        return Steering(state.pins, state.vetoes)

    @property
    def changes(self) -> tuple[DepthChange, ...]:
        """How the last run differs from the complete run before it."""
        return compare_runs(self.before, self.stages)

    def cost(self) -> RunCost | None:
        """What the next run would cost; None before `make_ready` has found the tissue."""
        if self.prepared is None or self._ready.key != self._key():
            return None
        known = self._known if self._known_key == self._ready.key else []
        return run_cost(self.prepared, self.options(), known)

    def make_ready(self) -> str:
        """Load the model, find the tissue and time a few patches; made for a worker's thread.

        Returns
        -------
        str
            Why that cannot be done, as a sentence; empty when it was.
        """
        try:
            if self.slide is not None:
                time_a_trial(self.prepare_slide(self.slide))
        except HagmilError as error:
            return error_sentence(error)
        return ""

    def begin(self) -> None:
        """Start a run; features and stages of earlier runs that still fit are kept."""
        self._cancel.clear()
        self._options = self.options()
        afresh = self._known_key != self._key()
        if afresh:
            self._forget()
        elif self.result is not None and self.result.state == "done":
            self.before = tuple(self.stages)
        self._known_key = self._key()
        self.stages, self.seconds, self.result, self._index = [], [], None, []
        self._started = time.perf_counter()
        self.started.emit(afresh)
        self.set_state("running")

    def run(self, on_progress: Callable[[EncodingProgress], None]) -> Iterator[Stage]:
        """Run the cascade; made for a worker's thread, it touches no signal.

        Features and stages of earlier runs with the same slide, model and device are used
        again.

        Raises
        ------
        CancelledError
            When `cancel` was called.
        """
        if self.slide is None:
            raise HagmilError("the cascade", "needs an open slide", remedy="open one")
        prepared = self.prepare_slide(self.slide)

        def tick(progress: EncodingProgress) -> None:
            if self._cancel.is_set():
                raise CancelledError("the run", "was cancelled; what was found until then stays")
            on_progress(progress)

        prepared.features.on_progress = tick
        try:
            with _all_cores_but_one():
                yield from read_stages(prepared, self._options, known=tuple(self._known))
        finally:
            prepared.features.on_progress = None

    def add_stage(self, stage: Stage) -> None:
        """Keep what a run found at one depth, and emit it."""
        self.seconds.append(time.perf_counter() - self._started - sum(self.seconds))
        self.stages.append(stage)
        self._index.append(self._indexed(stage))
        self._known[stage.depth : stage.depth + 1] = [stage]
        self.stage_found.emit(stage)

    def finish(self, *, complete: bool) -> None:
        """End a run: summarize it and emit the result."""
        if self.prepared is not None:
            seconds = time.perf_counter() - self._started
            self.result = slide_result(
                self.prepared, self._options, self.stages, seconds, complete=complete
            )
        self.set_state("done" if complete else "cancelled")
        self.finished.emit(self.result)

    @property
    def prepared(self) -> PreparedSlide | None:
        """The slide made ready for the model; None before `make_ready` or a run."""
        return self._ready.prepared

    @property
    def mpp(self) -> float:
        """µm per level-0 pixel; 1 where the slide has none."""
        return self.slide.mpp if self.slide is not None and self.slide.mpp else 1.0

    @property
    def model(self) -> CascadeModel | None:
        """The model of the last run."""
        return self.prepared.model if self.prepared else None

    def questions(self) -> Questions | None:
        """The last run, to be questioned; None before the first stage."""
        prepared = self.prepared
        if prepared is None or not self.stages:
            return None
        tissue = prepared.model.tissue_of(prepared.quadtree.nodes)
        return Questions(prepared.model, prepared.source, tuple(self.stages), tissue)

    @property
    def grids(self) -> tuple[PatchGrid, ...]:
        """The patch grids of the depths in use, coarse to fine."""
        if self.prepared is None:
            return ()
        return self.prepared.quadtree.grids[: self.prepared.last_depth(self._options) + 1]

    def node_facts(self, y: float, x: float) -> list[NodeFacts]:
        """What every stage found at a level-0 pixel, coarse to fine."""
        return [index.facts(y, x) for index in self._index]

    def regions(self, *, quantile: float = DEFAULT_QUANTILE) -> list[AttentionRegion]:
        """Connected areas of high attention at the deepest stage, best first."""
        if not self.stages or self.slide is None or self.slide.mpp is None:
            return []
        stage = self.stages[-1]
        amap = attention_map(self.grids[stage.depth], stage.nodes, stage.attention)
        return find_regions(
            amap, mpp=self.slide.mpp, slide_shape=self.slide.shape, quantile=quantile
        )

    def _key(self) -> tuple[object, ...]:
        """What features and attention depend on."""
        return preparation_key(self.slide, self.model_name, self.device)

    def _forget(self) -> None:
        self.stages, self.seconds, self.before, self._known = [], [], (), []
        self._index = []

    def _indexed(self, stage: Stage) -> StageIndex:
        grids = self.grids
        last = stage.depth == len(grids) - 1
        return StageIndex(stage, grids[stage.depth], self.mpp, last=last)

    def prepare_slide(self, slide: Slide) -> PreparedSlide:
        """Load the model and find the tissue, unless that is done; for a worker's thread."""
        rings = self.sitting.state.tissue if self.sitting else None
        return self._ready.make(slide, self.model_name, self.device, rings)


@contextmanager
def _all_cores_but_one() -> Iterator[None]:
    """Leave one core of the CPU to the window, which must repaint while torch works.

    OpenMP keeps this number per thread: call it on the thread that does the work.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before - 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)
