"""What is fuzzed of results, runs and paths of the viewport: intact ones, and all readers."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.batch.folder import BatchSettings, SlideOutcome, open_run, prepare_run
from napari_hagmil.batch.summary import summary_rows, write_summary
from napari_hagmil.cascade.result import (
    CascadeResult,
    Cost,
    ModelFacts,
    Settings,
    SlideResult,
    SlideSummary,
    Stage,
    UnreadPlaces,
)
from napari_hagmil.cohort import Cohort, SlideRecord
from napari_hagmil.export import write_analysis
from napari_hagmil.export.analysis import require_replaceable
from napari_hagmil.export.result_reader import keep_result, read_result, read_slide_summary
from napari_hagmil.files import move
from napari_hagmil.ledger import write_manifest
from napari_hagmil.plugin.own_files import result_layers
from napari_hagmil.quadtree import PatchGrid, children
from napari_hagmil.session.cohort.decisions import write_decisions
from napari_hagmil.session.cohort.folder import open_cohort
from napari_hagmil.session.run_report import cost_of_run, notes_of_run
from napari_hagmil.uncertainty import Uncertainty
from napari_hagmil.verify import verify_folder
from napari_hagmil.viewing import View, ViewRecorder, compare_seen, find_fixations
from napari_hagmil.viewing.replay import replayed
from napari_hagmil.viewing.table import check_table

FINGERPRINT = "f" * 32

NODES = children(np.zeros((1, 2), dtype=np.int64))


def make_result(folder: Path) -> Path:
    """A result as `analyze` writes it; who makes one to harm leaves its manifest out."""
    grids = PatchGrid(16, 2.0, (4, 4)), PatchGrid(16, 1.0, (8, 8))
    coarse = children(children(np.zeros((1, 2), dtype=np.int64)))
    followed = np.arange(len(coarse)) < 2
    none = np.zeros(8, bool)
    fine = children(coarse[followed])
    stages = (
        Stage(0, coarse, _softmax(16), np.float32([0.0, 1.0]), followed, followed),
        Stage(1, fine[1:], _softmax(7), np.float32([0.0, 2.0]), none[1:], none[1:], fine[:1]),
    )
    classes = "normal", "tumor"
    result = SlideResult(
        state="done",
        slide=SlideSummary("a.tiff", FINGERPRINT, 0.5, "tiff", 128, 128),
        model=ModelFacts("demo", "ab" * 32, "efficientnet-lite0", classes),
        settings=Settings((2,), "cpu"),
        grids=grids,
        cascade=CascadeResult(stages, classes, {"tumor": 0.5}),
        cost=Cost(23, 80, 7, 64, 1000, {"read": 1.0, "total": 2.0}),
        notes=("A note.",),
        unread=UnreadPlaces(1, 1, 8),
        uncertainty=Uncertainty(1.5, 0.1, ("tumor",), 40, 0.7, 2.2),
        quality={"fold": 0.1},
    )
    keep_result(result, folder / "kept")
    (folder / "kept" / "manifest.json").unlink()
    return folder / "kept"


def _softmax(n: int) -> NDArray[np.float32]:
    weights = np.exp(-np.arange(n, dtype=np.float32))
    return np.asarray(weights / weights.sum())


def result(path: Path) -> None:
    read_slide_summary(path)
    read = read_result(path)
    cost_of_run(read.cost), notes_of_run(read)
    result_layers(path)
    write_analysis(read, path.with_name("out"))
    require_replaceable(path, read)


def verify(path: Path) -> None:
    verify_folder(path)
    # Who can change a result can change its manifest, too.
    with suppress(ValueError):
        write_manifest(path / "slides" / "a")
        verify_folder(path)


def make_run(folder: Path) -> Path:
    """A run of three slides: done, failed, not begun; and the summary of it."""
    records = [SlideRecord(folder / f"{n}.tiff", "tumor", f"p-{n}", name=n) for n in "abc"]
    settings = BatchSettings("demo", "ab" * 32, (2, 2), features=("x",))
    run = prepare_run(folder / "run", Cohort(tuple(records), ("normal", "tumor")), settings)
    run.place("a").parent.mkdir()
    move(make_result(folder), run.place("a"))
    write_manifest(run.place("a"))
    run.note(SlideOutcome("a", "done"))
    run.note(SlideOutcome("b", "failed", "The slide is gone", 2, 1.5))
    write_summary(run, summary_rows(run))
    return folder / "run"


def run(path: Path) -> None:
    opened = open_run(path)
    for name in opened.records:
        opened.is_due(name), opened.outcome(name)
    write_summary(opened, summary_rows(opened))
    for entries in open_cohort(path).read():
        write_decisions(path / "decisions.csv", entries, "C")


def make_viewing(folder: Path) -> Path:
    views = [View(1e9 + i, 50.0, 40.0 + i, 30.0, 40.0, 20.0, "move") for i in range(3)]
    path = folder / f"{FINGERPRINT}.viewing.csv"
    recorder = ViewRecorder(path)
    recorder.start()
    for view in views:
        recorder.take(view)
    recorder.close()
    return path


def viewing(path: Path) -> None:
    check_table(path)
    recorder = ViewRecorder(path)
    recorder.start()
    try:
        views = recorder.views()
        find_fixations(views), list(replayed(views))
        compare_seen(views, PatchGrid(16, 1.0, (8, 8)), 0.5, NODES, NODES[:2])
    finally:
        recorder.close()
