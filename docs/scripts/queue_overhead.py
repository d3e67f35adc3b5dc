"""Measure what the queue and its runners cost a slide beyond a process that stays up.

    python docs/scripts/queue_overhead.py OUT [--slides 600]

Two workers of a pool, and of dask's LocalCluster, go through a run whose analysis is a stub (that
of many_slides.py); a loop in a process of its own calls the stub alone, which is what the analysis
would cost there. All are measured with few slides and with many: the difference is free of what
starting costs. Seconds are the processor's, of all processes together. Writes overhead.csv.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from many_slides import StubbedWork

from napari_hagmil.batch.analysis import analyze_into
from napari_hagmil.batch.attendant import Limits
from napari_hagmil.batch.folder import BatchSettings, RunFolder, prepare_run
from napari_hagmil.batch.run import work_through
from napari_hagmil.batch.runners import DaskRunner, LocalRunner
from napari_hagmil.bundles import find_bundle
from napari_hagmil.cohort import Cohort, SlideRecord
from napari_hagmil.models import load_bundle
from napari_hagmil.phantom import PhantomConfig, write_phantom

#: Slides of the short run, whose seconds are those of starting.
FEW = 20


def used() -> float:
    """The processor's seconds of this process and of all that it started and saw end."""
    kinds = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, kinds))


def by_runner(kind: type[LocalRunner | DaskRunner]) -> Callable[[RunFolder, StubbedWork], None]:
    """Two workers of a runner."""

    def go_through(folder: RunFolder, work: StubbedWork) -> None:
        runner = kind(folder, 2, Limits(), work=work)
        try:
            outcomes = list(work_through(folder, runner, list(folder.records)))
        finally:
            runner.close()
        assert all(one.state == "done" for one in outcomes)

    return go_through


def plain(folder: RunFolder, work: StubbedWork) -> None:
    """A process that stays up, and does nothing but the work."""
    process = multiprocessing.get_context("spawn").Process(target=loop, args=(folder, work))
    process.start()
    process.join()
    assert process.exitcode == 0


def loop(folder: RunFolder, work: StubbedWork) -> None:
    """What `plain` does in its process."""
    for record in folder.records.values():
        work(record, folder.settings, folder.root / "plain" / record.name)


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--slides", type=int, default=600)
    options = parser.parse_args()
    out: Path = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    slide, template = out / "slide.tiff", out / "result"
    write_phantom(slide, PhantomConfig(seed=1, size=1024))
    settings = BatchSettings("demo", load_bundle(find_bundle("demo")).sha256, device="cpu")
    shutil.rmtree(template, ignore_errors=True)
    analyze_into(SlideRecord(slide, "", "", name="result"), settings, template)
    work, rows = StubbedWork(template), []
    ways = {"plain": plain, "pool": by_runner(LocalRunner), "dask": by_runner(DaskRunner)}
    for name, way in ways.items():
        seconds = []
        for n in (FEW, FEW + options.slides):
            records = tuple(SlideRecord(slide, "", "", name=f"s{i:05}") for i in range(n))
            root = out / f"{name}-{n}"
            shutil.rmtree(root, ignore_errors=True)
            folder = prepare_run(root, Cohort(records, ()), settings)
            before, clock = used(), time.monotonic()
            way(folder, work)
            seconds.append((used() - before, time.monotonic() - clock))
        cpu, clock = (1000 * (b - a) / options.slides for a, b in zip(*seconds, strict=True))
        rows.append([name, options.slides, f"{cpu:.1f}", f"{clock:.1f}"])
        print(rows[-1], flush=True)
    with (out / "overhead.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["way", "slides", "cpu_ms", "clock_ms"], *rows])


if __name__ == "__main__":
    main()
