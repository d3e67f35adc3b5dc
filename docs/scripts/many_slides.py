"""Measure what a run of 10,000 slides costs beside the analysis: the queue, the report, the window.

    xvfb-run python docs/scripts/many_slides.py OUT [--sizes 100 1000 10000]

Every slide is the same tiny phantom under another name, and is opened; its analysis is a stub that
puts the files of one real result in place and hashes them.
What is measured is the rest: claims, drafts, checks, states, the summary, the report in a browser
(chromium), and the table in napari.
Seconds are the processor's, which other work on the machine lengthens less than the clock's. Writes
many_slides.csv and many_slides.png to OUT.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from napari_hagmil.batch.analysis import analyze_into
from napari_hagmil.batch.folder import BatchSettings, RunFolder, open_run, prepare_run
from napari_hagmil.batch.one import run_one, tidy
from napari_hagmil.batch.report import write_run_report
from napari_hagmil.batch.run import status_of
from napari_hagmil.batch.summary import summary_rows, write_summary
from napari_hagmil.bundles import find_bundle
from napari_hagmil.cohort import Cohort, SlideRecord
from napari_hagmil.ledger import SlideState, write_manifest
from napari_hagmil.models import load_bundle
from napari_hagmil.phantom import PhantomConfig, write_phantom
from napari_hagmil.slide import open_slide

#: Prints MiB that the table of a run adds to a window, and seconds until it is there and read.
_DOCK = """
import sys, time
from pathlib import Path
import napari, numpy as np, psutil
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer(show=True)
_, dock = viewer.window.add_plugin_dock_widget("napari-hagmil", "HAG-MIL cohort")
QApplication.processEvents()
rss = lambda: psutil.Process().memory_info().rss / 2**20
before, started = rss(), time.process_time()
dock.open(Path(sys.argv[1]))
while dock.table.rowCount() != int(sys.argv[2]) or dock.reader.busy:
    QApplication.processEvents()
    time.sleep(0.001)
seconds = time.process_time() - started
scroll = dock.view.verticalScrollBar()
for at in np.linspace(0, scroll.maximum(), 200).astype(int):
    scroll.setValue(at)
    for _ in range(5):
        QApplication.processEvents()
        time.sleep(0.002)
print("MEASURED", rss() - before, seconds)
dock.close()
viewer.close()
"""


@dataclass
class StubbedWork:
    """Puts the files of one real result in a slide's folder; counts its own seconds."""

    template: Path
    # dask's worker keeps a process for works that are equal.
    seconds: float = field(default=0.0, compare=False)

    def __call__(self, record: SlideRecord, settings: BatchSettings, folder: Path) -> SlideState:
        """As `analyze_into`."""
        started = time.process_time()
        with open_slide(record.path, mpp=settings.mpp) as slide:
            slide.require_mpp()
        shutil.copytree(
            self.template, folder, copy_function=os.link,
            ignore=shutil.ignore_patterns("manifest.json"),
        )  # fmt: skip
        write_manifest(folder)
        self.seconds += time.process_time() - started
        return "done"


def seconds_of(act: Callable[[], object]) -> float:
    """Processor's seconds of an action, its threads included."""
    started = time.process_time()
    act()
    return time.process_time() - started


def measure(
    out: Path, n: int, slide: Path, settings: BatchSettings, template: Path
) -> dict[str, float]:
    """Work through a run of `n` slides."""
    records = tuple(SlideRecord(slide, "", "", name=f"slide-{i:06}") for i in range(n))
    folder = prepare_run(out / f"run-{n}", Cohort(records, ()), settings)
    names, work = list(folder.records), StubbedWork(template)
    found: dict[str, float] = {"n": n}
    found["due_ms"] = 1000 * seconds_of(lambda: [folder.is_due(name) for name in names]) / n
    total = seconds_of(lambda: [run_one(folder, name, work) for name in names])
    found["machinery_ms"], found["stub_ms"] = (
        1000 * (total - work.seconds) / n,
        1000 * work.seconds / n,
    )
    found["checked_ms"] = 1000 * seconds_of(lambda: [folder.is_due(name) for name in names]) / n
    found["open_s"] = seconds_of(lambda: open_run(folder.root))
    found["tidy_s"] = seconds_of(lambda: tidy(folder))
    found["status_s"] = seconds_of(lambda: status_of(folder))
    return found | conclude(folder)


def conclude(folder: RunFolder) -> dict[str, float]:
    """Summary, report and table of a run that is through."""
    rows = summary_rows(folder)
    found = {"rows_s": seconds_of(lambda: summary_rows(folder))}
    found["summary_s"] = seconds_of(lambda: write_summary(folder, rows))
    found["report_s"] = seconds_of(lambda: write_run_report(folder, rows))
    page = folder.root / "report.html"
    found["report_mb"] = page.stat().st_size / 1e6
    found["browser_s"] = browser_seconds(page)
    ended = subprocess.run(
        [sys.executable, "-c", _DOCK, str(folder.root), str(len(rows))],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = ended.stdout.split("MEASURED")[1].split()
    found["dock_mib"], found["dock_s"] = float(said[0]), float(said[1])
    return found


def browser_seconds(page: Path) -> float:
    """Processor's seconds that a page takes a browser, beyond an empty one."""
    empty = page.with_name("empty.html")
    empty.write_text("<!doctype html><title>empty</title>")
    try:
        return max(0.0, _loaded(page) - _loaded(empty))
    finally:
        empty.unlink()


def _loaded(page: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", page.as_uri()]
    subprocess.run(words, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def plot(rows: list[dict[str, float]], path: Path) -> None:
    """Draw each cost against the number of slides."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.4), layout="constrained")
    n = [row["n"] for row in rows]
    panels = (
        (
            "Machinery per slide",
            "ms",
            {"run-one": "machinery_ms", "checking a done one": "checked_ms"},
        ),
        ("Report", "MB; s", {"size, MB": "report_mb", "in a browser, s": "browser_s"}),
        ("Table in the window", "MiB; s", {"memory, MiB": "dock_mib", "until read, s": "dock_s"}),
    )
    for axes, (title, unit, lines) in zip(figure.subplots(1, 3), panels, strict=True):
        for label, key in lines.items():
            axes.plot(n, [row[key] for row in rows], "o-", label=label)
        axes.set(title=title, ylabel=unit, xlabel="slides", xscale="log", ylim=(0, None))
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure, and write the table and the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 300, 1000, 3000, 10_000])
    options = parser.parse_args()
    out: Path = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    slide = out / "tiny.tiff"
    write_phantom(slide, PhantomConfig(seed=1, size=1024))
    settings = BatchSettings("demo", load_bundle(find_bundle("demo")).sha256, device="cpu")
    template = out / "template"
    if not template.exists():
        analyze_into(SlideRecord(slide, "", "", name="tiny"), settings, template)
        shutil.rmtree(template / "attention.ome.zarr")
        (template / "overview.png").unlink()
        (template / "report.html").write_text("<!doctype html><title>left out</title>")
    rows = []
    for n in options.sizes:
        shutil.rmtree(out / f"run-{n}", ignore_errors=True)
        rows.append(measure(out, n, slide, settings, template))
        print(", ".join(f"{key} {value:.3g}" for key, value in rows[-1].items()), flush=True)
        shutil.rmtree(out / f"run-{n}")
    with (out / "many_slides.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({key: f"{value:.4g}" for key, value in row.items()} for row in rows)
    plot(rows, out / "many_slides.png")
    print(f"peak memory of this process: {psutil.Process().memory_info().rss / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
