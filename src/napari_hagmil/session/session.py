"""The state of one window: which slide is open, what runs, and what was found.

Widgets show it and call its methods. Signals are emitted by the calling thread, which for all
but `run`, `make_ready`, `prepare_slide` and the answers of `questions` must be the main one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from psygnal import Signal

from napari_hagmil.attention import DEFAULT_QUANTILE, AttentionRegion
from napari_hagmil.cascade import (
    DepthChange,
    NodeFacts,
    SlideResult,
    Stage,
    Steering,
    compare_runs,
    found_regions,
)
from napari_hagmil.errors import CancelledError, HagmilError, ResultError
from napari_hagmil.features import EncodingProgress, GivenFeatures, LazyFeatures
from napari_hagmil.models import CascadeModel
from napari_hagmil.pipeline import read_stages
from napari_hagmil.prepare import Options, PreparedSlide
from napari_hagmil.quadtree import PatchGrid
from napari_hagmil.review import ReviewState, Sitting, open_sitting
from napari_hagmil.session.ahead import OpenedAhead
from napari_hagmil.session.background.task import Task
from napari_hagmil.session.questions import Questions
from napari_hagmil.session.runs.back import fits, is_of, stop_of
from napari_hagmil.session.runs.cost import RunCost, run_cost, time_a_trial
from napari_hagmil.session.runs.preparation import Key, Preparation, Wanted, preparation_key
from napari_hagmil.session.runs.run import CascadeRun
from napari_hagmil.session.sentences import error_sentence
from napari_hagmil.slide import Slide

State = Literal["empty", "opening", "ready", "running", "done", "cancelled", "failed"]


def _now(do: Callable[[], object]) -> object:
    return do()


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
    model_chosen : bool
        Whether the user has chosen that model in this window: then no slide brings another.
    features : tuple of Path
        Stored features that the next run uses instead of an encoder; empty: it encodes pixels.
    budget : tuple of int or None
        Nodes followed per depth; None is the bundle's own.
    last_depth : int or None
        Where the next run ends; None: as deep as model and slide go.
    shown : CascadeRun
        The last complete run; before there is one, what the first has found so far.
    before : tuple of Stage
        What the last complete run before that found, with the same model.
    sitting : Sitting or None
        The review of the slide, its undo stack and its journal; None while none is open.
    reader : str
        Whose review is opened with a slide; empty: the one that everybody shares.
    open_review : callable
        How a review is opened: path and fingerprint of the slide, reader → its `Sitting`.
    ahead : OpenedAhead
        Opens slides, one of them before it is asked for.
    task : Task
        The run that is under way.

    Signals
    -------
    cleared
        What was shown is dropped: it was of another slide, model or device.
    stage_found : Stage
        A stage of `shown` is new.
    finished : SlideResult
        `shown` has its result: complete, or that of a first run that was cancelled.
    kept
        A run was cancelled, and the complete one before it is still shown.
    colors_changed : str
        The slide is shown in these colours now, "file" or "srgb".
    """

    slide_changed = Signal(object)
    state_changed = Signal(str)
    preparation_ended = Signal(str)
    started = Signal()
    cleared = Signal()
    stage_found = Signal(object)
    finished = Signal(object)
    kept = Signal()
    failed = Signal(str)
    review_changed = Signal(object, str)
    colors_changed = Signal(str)

    def __init__(self) -> None:
        self.slide: Slide | None = None
        self.sitting: Sitting | None = None
        self.state: State = "empty"
        self.reader = ""
        self.open_review: Callable[[Path, str, str], Sitting] = _open_review
        self.ahead, self.task = OpenedAhead(), Task()
        self.model_name, self.model_chosen = "demo", False
        self.device = "auto"
        self.features: tuple[Path, ...] = ()
        self.budget: tuple[int, ...] | None = None
        self.last_depth: int | None = None
        self.shown = CascadeRun()
        self.before: tuple[Stage, ...] = ()
        self._ready = Preparation()
        self._known: list[Stage] = []
        self._known_key: Key = ()
        self._draft: CascadeRun | None = None
        self._cancel = threading.Event()

    def set_state(self, state: State) -> None:
        """Change the state and emit it."""
        self.state = state
        if state == "running":
            self.task.begin(f"Running on {self.slide.name if self.slide else ''}", self.cancel)
        else:
            self.task.end()
        self.state_changed.emit(state)

    def adopt(self, slide: Slide) -> None:
        """Take over an open slide; the one before is closed."""
        before, self.slide = self.slide, slide
        self._ready.forget()
        self._forget()
        self._leave()
        self.sitting = self.open_review(slide.path, slide.fingerprint, self.reader)
        self.sitting.changed.connect(self._pass_on)
        if before is not None and before is not slide:
            before.close()
        self.slide_changed.emit(slide)
        self.set_state("ready")

    def close(self, when_free: Callable[[Callable[[], object]], object] = _now) -> None:
        """End with the window: cancel the run, close slide and review, and free all memory.

        Qt and napari keep parts of a window that is gone, and with them this object: networks,
        features and results must not stay with it. `when_free` calls what it is given once nobody
        reads the slide any more.
        """
        self._close(when_free)
        self._ready = Preparation()
        self._forget()

    def _close(self, when_free: Callable[[Callable[[], object]], object] = _now) -> None:
        self.cancel()
        self.ahead.drop()
        self._leave()
        slide, self.slide = self.slide, None
        if slide is not None:
            when_free(slide.close)

    def close_slide(self) -> None:
        """Close the slide and its review, and say so; no run may be under way."""
        if self.slide is not None:
            self._ready.forget()
            self._forget()
            self._close()
            self.slide_changed.emit(None)
            self.set_state("empty")

    def _pass_on(self, state: ReviewState, action: str) -> None:
        self.review_changed.emit(state, action)

    def _leave(self) -> None:
        """Close the review; every decision is on disk already."""
        if self.sitting is not None:
            self.sitting.close()
            self.sitting = None

    def fail(self, error: BaseException) -> None:
        """Report an error; what was found until then stays."""
        self._draft = None
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
            features=self.features,
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

    @property
    def trying(self) -> bool:
        """Whether a run over known patches is under way, which ends by itself."""
        return self._draft is not None and self._draft.only_known

    def begin(self, *, only_known: bool = False) -> None:
        """Start a run; features and stages of earlier runs that still fit are kept.

        With `only_known` it ends as if it was cancelled where a patch would have to be encoded.
        """
        self._cancel.clear()
        key = self._key()
        if self._known_key != key:
            self._known, self._known_key = [], key
        self._draft = CascadeRun(key, self.options(), only_known)
        self.started.emit()
        if not self.shown.complete:
            self._show(self._draft)
        if not only_known:
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
        prepared, draft = self.prepare_slide(self.slide), self._draft or CascadeRun()

        def tick(progress: EncodingProgress) -> None:
            unknown = draft.only_known and progress.done < progress.total
            if unknown or self._cancel.is_set():
                raise CancelledError("the run", "was cancelled; what was found until then stays")
            on_progress(progress)

        prepared.features.on_progress = tick
        try:
            with _all_cores_but_one():
                yield from read_stages(prepared, draft.options, known=tuple(self._known))
        finally:
            prepared.features.on_progress = None

    def add_stage(self, stage: Stage) -> None:
        """Keep what a run found at one depth; it is shown once nothing complete would go."""
        draft, prepared = self._draft, self.prepared
        if draft is None or prepared is None:
            return
        draft.add(stage, prepared)
        self._known[stage.depth : stage.depth + 1] = [stage]
        if draft is self.shown:
            self.stage_found.emit(stage)

    def give_up(self) -> None:
        """End a run, or the opening of a slide, that nobody follows any more."""
        if self._draft is not None:
            self.finish(complete=False)
        elif self.state == "opening":
            self.set_state("ready" if self.slide else "empty")

    def finish(self, *, complete: bool) -> None:
        """End a run: a complete one takes the place of the one before."""
        draft, self._draft = self._draft, None
        if draft is None:
            return
        if self.prepared is not None:
            draft.end(self.prepared, complete=complete)
        if draft is not self.shown and complete:
            self._show(draft)
        if not draft.only_known or complete:
            self.set_state("done" if complete else "cancelled")
        if draft is self.shown:
            self.finished.emit(self.result)
        elif not draft.only_known:
            self.kept.emit()

    def _show(self, run: CascadeRun) -> None:
        """Show a run instead of the one before."""
        before, self.shown = self.shown, run
        same = before.key == run.key
        self.before = tuple(before.stages) if same and before.complete else ()
        if not same:
            self.cleared.emit()
        for stage in run.stages:
            self.stage_found.emit(stage)

    def restore(self, result: SlideResult, model: str = "", *, changed: bool = False) -> None:
        """Show a result that was read back, with the plan that it was found with.

        Parameters
        ----------
        result : SlideResult
            Of this slide.
        model : str
            The bundle that found it, which becomes that of the next run: runs are compared. Empty:
            it is not here, or another one is wanted.
        changed : bool
            Whether the file may hold something else now.

        Raises
        ------
        ResultError
            When it is of another slide, of a file that has changed since, or of another pixel size.
        """
        slide = self.slide
        if slide is None or not (fits(result, slide) if changed else is_of(result, slide)):
            raise ResultError(
                f"the analysis of {result.slide.name}",
                "is of another slide, or of what this one was before",
                remedy=f"open {result.slide.name} as it was then",
            )
        self.budget = result.settings.budget or None
        run = CascadeRun.of_result(result)
        if model:
            self.model_name, self.last_depth = model, stop_of(result, model)
            run.key = self._key()
        self._show(run)
        self.set_state("done")
        self.finished.emit(result)

    @property
    def stages(self) -> list[Stage]:
        """Of the run that is shown."""
        return self.shown.stages

    @property
    def seconds(self) -> list[float]:
        """What each of `stages` took."""
        return self.shown.seconds

    @property
    def result(self) -> SlideResult | None:
        """Of the run that is shown, once it has ended."""
        return self.shown.result

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
        """The model of the run that is shown; before the first, the one made ready."""
        prepared = self.shown.prepared or self.prepared
        return prepared.model if prepared else None

    @property
    def features_of_shown(self) -> LazyFeatures | GivenFeatures | None:
        """The features that the run that is shown was made from; None where they are not at hand.

        Of a run that was read back they are once the same model is ready.
        """
        prepared = self.shown.prepared
        if prepared is None and self.shown.key and self.shown.key == self._ready.key:
            prepared = self.prepared
        return prepared.features if prepared is not None else None

    def questions(self) -> Questions | None:
        """The run that is shown, to be questioned; None before the first stage."""
        prepared = self.shown.prepared
        if prepared is None or not self.stages:
            return None
        tissue = prepared.model.tissue_of(prepared.quadtree.nodes)
        return Questions(prepared.model, prepared.source, tuple(self.stages), tissue)

    @property
    def grids(self) -> tuple[PatchGrid, ...]:
        """The patch grids of the depths in use, coarse to fine."""
        if self.shown.grids:
            return self.shown.grids
        if self.prepared is None:
            return ()
        return self.prepared.quadtree.grids[: self.prepared.last_depth(self.options()) + 1]

    def node_facts(self, y: float, x: float) -> list[NodeFacts]:
        """What every stage found at a level-0 pixel, coarse to fine."""
        return self.shown.node_facts(y, x)

    def regions(self, *, quantile: float = DEFAULT_QUANTILE) -> list[AttentionRegion]:
        """Places of high attention at the deepest stage of the run that is shown, best first."""
        return found_regions(self.result, quantile=quantile) if self.result else []

    def _key(self) -> Key:
        """What features and attention depend on."""
        return preparation_key(self.slide, self._wanted())

    def _wanted(self) -> Wanted:
        return Wanted(self.model_name, self.device, self.features)

    def _forget(self) -> None:
        self.shown, self._draft, self.before, self._known = CascadeRun(), None, (), []
        self._known_key = ()

    def prepare_slide(self, slide: Slide) -> PreparedSlide:
        """Load the model and find the tissue, unless that is done; for a worker's thread."""
        rings = self.sitting.state.tissue if self.sitting else None
        return self._ready.make(slide, self._wanted(), rings)


def _open_review(slide: Path, fingerprint: str, reader: str) -> Sitting:
    return open_sitting(slide, fingerprint, reader=reader)


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
