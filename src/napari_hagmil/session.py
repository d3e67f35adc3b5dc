"""What is open, chosen, running and found in one sitting; no Qt.

The widgets show it and send wishes. Signals are emitted by the thread that calls, which
for all but `run` must be the main one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from psygnal import Signal

from napari_hagmil.attention import DEFAULT_QUANTILE, AttentionRegion, attention_map, find_regions
from napari_hagmil.bags import EncodingProgress
from napari_hagmil.cascade import SlideResult, Stage, node_statuses
from napari_hagmil.errors import CancelledError, HagmilError
from napari_hagmil.models import CascadeModel
from napari_hagmil.pipeline import (
    Options,
    Reading,
    load_model,
    prepare,
    read_stages,
    summarize,
)
from napari_hagmil.quadtree import PatchGrid
from napari_hagmil.slide import Slide

State = Literal["empty", "opening", "ready", "running", "done", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What one depth has to say of one place.

    Attributes
    ----------
    depth : int
        0 = coarsest.
    mpp : float
        µm per pixel at that depth.
    status : str
        "followed", "pinned", "cut", "leaf", "unread", "vetoed" or "not visited".
    attention, score : float
        Raw attention and its percentile; NaN where not looked at.
    rank, n_nodes : int
        Rank among the nodes of the stage, 1 = highest; 0 where not looked at.
    """

    depth: int
    mpp: float
    status: str
    attention: float = float("nan")
    score: float = float("nan")
    rank: int = 0
    n_nodes: int = 0


class Session:
    """One sitting at one slide.

    Attributes
    ----------
    slide : Slide or None
        What is open.
    state : str
        Where the sitting stands.
    model_name, device : str
        What the next run uses.
    budget : tuple of int or None
        Nodes followed per depth; None is the bundle's own.
    stages : list of Stage
        What the last run found so far.
    result : SlideResult or None
        The last run on record, once it has ended or was cancelled.
    """

    slide_changed = Signal(object)
    state_changed = Signal(str)
    progressed = Signal(object)
    started = Signal()
    stage_found = Signal(object)
    finished = Signal(object)
    failed = Signal(str)

    def __init__(self) -> None:
        self.slide: Slide | None = None
        self.state: State = "empty"
        self.model_name = "demo"
        self.device = "auto"
        self.budget: tuple[int, ...] | None = None
        self.stages: list[Stage] = []
        self.result: SlideResult | None = None
        self.reading: Reading | None = None
        self._reading_key: tuple[object, ...] = ()
        self._cancel = threading.Event()
        self._options = Options()
        self._started = 0.0

    def set_state(self, state: State) -> None:
        """Move on, and say so."""
        self.state = state
        self.state_changed.emit(state)

    def adopt(self, slide: Slide) -> None:
        """Make an open slide the one that is read; the one before is closed."""
        before, self.slide = self.slide, slide
        self.stages, self.result, self.reading = [], None, None
        if before is not None and before is not slide:
            before.close()
        self.slide_changed.emit(slide)
        self.set_state("ready")

    def close(self) -> None:
        """Stop what runs and let go of the slide."""
        self.cancel()
        if self.slide is not None:
            self.slide.close()
            self.slide = None

    def fail(self, error: BaseException) -> None:
        """Say what went wrong; what was found until then stays."""
        self.set_state("failed")
        self.failed.emit(sentence(error))

    def cancel(self) -> None:
        """Ask the run to stop after the batch in hand."""
        self._cancel.set()

    def begin(self) -> None:
        """Forget the last run's findings and get ready for the next."""
        self._cancel.clear()
        self._options = Options(budget=self.budget, device=self.device)
        self.stages, self.result = [], None
        self._started = time.perf_counter()
        self.started.emit()
        self.set_state("running")

    def run(self, on_progress: Callable[[EncodingProgress], None]) -> Iterator[Stage]:
        """Run the cascade; made for a worker's thread, it touches no signal.

        Features of the last run with the same slide, model and device are used again.

        Raises
        ------
        CancelledError
            When `cancel` was called.
        """
        if self.slide is None:
            raise HagmilError("the cascade needs an open slide, and none is open; open one")
        reading = self._prepared(self.slide)

        def tick(progress: EncodingProgress) -> None:
            if self._cancel.is_set():
                raise CancelledError("the run was cancelled; what was found until then stays")
            on_progress(progress)

        reading.features.on_progress = tick
        yield from read_stages(reading, self._options)

    def _prepared(self, slide: Slide) -> Reading:
        key = (slide.fingerprint, slide.mpp, self.model_name, self.device)
        if self.reading is None or key != self._reading_key:
            model, encoder = load_model(self.model_name, device=self.device)
            self.reading = prepare(slide, model, encoder)
            self._reading_key = key
        return self.reading

    def add_stage(self, stage: Stage) -> None:
        """Take in what a run has found at one depth."""
        self.stages.append(stage)
        self.stage_found.emit(stage)

    def finish(self, *, complete: bool) -> None:
        """End a run: put it on record and say so."""
        if self.reading is not None:
            seconds = time.perf_counter() - self._started
            self.result = summarize(
                self.reading, self._options, self.stages, seconds, complete=complete
            )
        self.set_state("done" if complete else "cancelled")
        self.finished.emit(self.result)

    @property
    def model(self) -> CascadeModel | None:
        """The model of the last run."""
        return self.reading.model if self.reading else None

    @property
    def grids(self) -> tuple[PatchGrid, ...]:
        """The patch grids of the depths in use, coarse to fine."""
        return self.reading.quadtree.grids if self.reading else ()

    def node_facts(self, y: float, x: float) -> list[NodeFacts]:
        """What every stage says of a level-0 pixel, coarse to fine."""
        mpp = self.slide.mpp if self.slide and self.slide.mpp else 1.0
        return [_facts_at(self.grids[s.depth], s, (y, x), mpp, self.grids) for s in self.stages]

    def regions(self, *, quantile: float = DEFAULT_QUANTILE) -> list[AttentionRegion]:
        """Connected areas of high attention at the deepest stage, best first."""
        if not self.stages or self.slide is None or self.slide.mpp is None:
            return []
        stage = self.stages[-1]
        amap = attention_map(self.grids[stage.depth], stage.nodes, stage.attention)
        return find_regions(amap, mpp=self.slide.mpp, quantile=quantile)


def _facts_at(
    grid: PatchGrid,
    stage: Stage,
    point: tuple[float, float],
    mpp: float,
    grids: tuple[PatchGrid, ...],
) -> NodeFacts:
    node = np.floor((np.asarray(point) + 0.5) / grid.stride)
    depth_mpp = grid.downsample * mpp
    at = np.flatnonzero((stage.nodes == node).all(1))
    if not len(at):
        for status, nodes in (("unread", stage.unread), ("vetoed", stage.vetoed)):
            if (nodes == node).all(1).any():
                return NodeFacts(stage.depth, depth_mpp, status)
        return NodeFacts(stage.depth, depth_mpp, "not visited")
    i = int(at[0])
    status = node_statuses(stage, last=stage.depth == len(grids) - 1)[i]
    return NodeFacts(
        stage.depth,
        depth_mpp,
        status,
        float(stage.attention[i]),
        float(stage.scores[i]),
        int(stage.ranks[i]),
        len(stage.nodes),
    )


def sentence(error: BaseException) -> str:
    """An error as one sentence for people."""
    if isinstance(error, HagmilError):
        text = str(error)
    else:
        text = f"unexpected {type(error).__name__}: {error}"
    # A file's name keeps its case.
    return text if "." in text.split(maxsplit=1)[0] else text[:1].upper() + text[1:]
