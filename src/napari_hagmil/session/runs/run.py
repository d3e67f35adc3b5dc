"""One run of the cascade over the open slide: what it has found so far."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from napari_hagmil.cascade import NodeFacts, SlideResult, Stage, StageIndex
from napari_hagmil.pipeline import slide_result
from napari_hagmil.prepare import Options, PreparedSlide
from napari_hagmil.quadtree import Nodes, PatchGrid
from napari_hagmil.session.runs.preparation import Key


@dataclass
class CascadeRun:
    """A run, complete, cancelled or under way.

    Attributes
    ----------
    key : tuple
        What features and attention depend on: see `preparation_key`.
    options : Options
        Of this run.
    only_known : bool
        Whether it is to end, without a result, at the first patch that must be encoded.
    prepared : PreparedSlide or None
        What was looked at; None before the first stage.
    grids : tuple of PatchGrid
        Of the depths that the run is to reach, coarse to fine.
    tissue : tuple of (n, 2) int64
        The nodes with tissue of the same depths.
    stages : list of Stage
        What was found, coarse to fine.
    seconds : list of float
        Seconds for each of them.
    result : SlideResult or None
        Once it has ended.
    restored : bool
        Whether it was read back from a folder.
    """

    key: Key = ()
    options: Options = field(default_factory=Options)
    only_known: bool = False
    prepared: PreparedSlide | None = None
    grids: tuple[PatchGrid, ...] = ()
    tissue: tuple[Nodes, ...] = ()
    stages: list[Stage] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    result: SlideResult | None = None
    restored: bool = False
    _index: list[StageIndex] = field(default_factory=list)
    _started: float = field(default_factory=time.perf_counter)

    @property
    def complete(self) -> bool:
        """Whether it has reached its end: only then is there something to review."""
        ended = self.result is not None and self.result.state != "cancelled"
        return ended and bool(self.stages)

    def add(self, stage: Stage, prepared: PreparedSlide) -> None:
        """Keep what was found at one depth."""
        if self.prepared is None:
            depths = prepared.last_depth(self.options) + 1
            self.prepared, self.grids = prepared, prepared.quadtree.grids[:depths]
            self.tissue = prepared.quadtree.nodes[:depths]
        self.seconds.append(time.perf_counter() - self._started - sum(self.seconds))
        self._take(stage, prepared.slide.mpp or 1.0)

    @classmethod
    def of_result(cls, result: SlideResult) -> CascadeRun:
        """The run of a stored result; its seconds per depth are not known."""
        run = cls(grids=result.grids, result=result, restored=True)
        for stage in result.stages:
            run._take(stage, result.slide.mpp)
        return run

    @property
    def called(self) -> tuple[tuple[str, ...], Mapping[str, float]]:
        """Class names in the order of the probabilities, and thresholds: see `called_class`."""
        if self.prepared is not None:
            config = self.prepared.model.config
            return config.classes, config.thresholds
        cascade = self.result.cascade if self.result else None
        return (cascade.classes, cascade.thresholds) if cascade else ((), {})

    @property
    def unfit(self) -> str:
        """Why the model is not for the slide; empty where nothing says so."""
        if self.prepared is not None:
            return self.prepared.unfit
        return self.result.unfit if self.result else ""

    def _take(self, stage: Stage, mpp: float) -> None:
        self.stages.append(stage)
        last = stage.depth == len(self.grids) - 1
        self._index.append(StageIndex(stage, self.grids[stage.depth], mpp, last=last))

    def end(self, prepared: PreparedSlide, *, complete: bool) -> None:
        """Summarize what was found."""
        seconds = time.perf_counter() - self._started
        self.result = slide_result(prepared, self.options, self.stages, seconds, complete=complete)

    def node_facts(self, y: float, x: float) -> list[NodeFacts]:
        """What every stage found at a level-0 pixel, coarse to fine."""
        return [index.facts(y, x) for index in self._index]
