"""Measure what two workers of a batch do against two plain processes that divide the list by hand.

    python docs/scripts/throughput.py OUT [--slides 300] [--data DIR]

Slides are real and small: phantoms with pyramids, the small CMU-1 and mosaics of H&E patches where
DIR has them; each distinct one stands under several names. The plain processes analyze every other
slide each, with the same code and threads, and nothing else: no claims, checks, states or report.
All variants take turns on pieces of the list, so that other work on the machine slows all alike.

Counted are the processor's seconds of everything that a variant starts, and the clock's; a piece of
no slides tells what starting costs. The memory of the larger worker is looked at at a tenth of the
slides of a piece and at its end. Writes throughput.csv.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_hagmil.phantom import PhantomConfig, write_phantom

#: Distinct phantoms and mosaics.
PHANTOMS, MOSAICS = 24, 6

#: One of the plain processes: analyzes the slides named on its command line, one after the other.
_PLAIN = """
import json, sys
from pathlib import Path
import psutil
from napari_hagmil.process import prepare_process
prepare_process()
import torch
from napari_hagmil.batch.analysis import analyze_into
from napari_hagmil.batch.folder import open_run
torch.set_num_threads(1)
run, names = open_run(Path(sys.argv[1])), json.loads(sys.argv[2])
for name in names:
    analyze_into(run.records[name], run.settings, run.root / "plain" / name)
"""

#: Runs a batch as the command does, and prints its workers' memory as it goes, MiB.
_BATCH = """
import sys
import psutil
from napari_hagmil.cli import main, batch
shown, found = batch._Shown.show, []
def show(self, outcome):
    shown(self, outcome)
    below = psutil.Process().children(recursive=True)
    works = [p.memory_info().rss / 2**20 for p in below if "spawn_main" in " ".join(p.cmdline())]
    print("MEMORY", max(works, default=0), file=sys.stderr)
batch._Shown.show = show
sys.exit(main(sys.argv[1:]))
"""


def make_slides(folder: Path, n: int, data: Path | None) -> Path:
    """`n` names for the distinct slides."""
    made = folder.with_name("distinct")
    made.mkdir(parents=True, exist_ok=True)
    for seed in range(PHANTOMS):
        path = made / f"phantom-{seed}.tiff"
        if not path.exists():
            write_phantom(path, PhantomConfig(seed=seed, size=1024 if seed % 2 else 2048))
            path.with_suffix(".geojson").unlink()
    if data is not None:
        shutil.copy(data / "slides" / "CMU-1-Small-Region.svs", made)
        write_mosaics(made, data / "idc_patches.npz")
    distinct = sorted(made.iterdir())
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for i in range(n):
        source = distinct[i % len(distinct)]
        os.link(source, folder / f"{i:04}-{source.name}")
    return folder


def write_mosaics(folder: Path, patches: Path) -> None:
    """Small slides laid from H&E patches, as mosaic_cohort.py lays its slides."""
    from mosaic_cohort import lay, palettes, tumour_cells, write_pyramid

    palette = palettes(patches, 0)["train"]
    for seed in range(MOSAICS):
        rng = np.random.default_rng(seed)
        write_pyramid(folder / f"mosaic-{seed}.tiff", lay(palette[:4], tumour_cells(rng), rng))


def prepared(slides: Path, out: Path) -> list[str]:
    """Prepare a run over some slides; return their names."""
    words = ["batch", str(slides), "--out", str(out), "--device", "cpu", "--prepare", "--json"]
    ended = subprocess.run(
        [sys.executable, "-m", "napari_hagmil", *words], capture_output=True, check=True
    )
    names: list[str] = json.loads(ended.stdout)["slides"]
    return names


def measured(words: Sequence[Sequence[str]]) -> tuple[float, float, str]:
    """Seconds of the processor and of the clock of processes side by side, and what they said."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    running = [subprocess.Popen(each, stderr=subprocess.PIPE, text=True) for each in words]
    said = "".join(process.communicate()[1] for process in running)
    assert not any(process.returncode for process in running), said
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, time.monotonic() - started, said


def plain(run: Path, names: Sequence[str]) -> tuple[float, float, str]:
    """Two processes with half of the list each."""
    halves = names[::2], names[1::2]
    return measured([[sys.executable, "-c", _PLAIN, str(run), json.dumps(half)] for half in halves])


def batch(slides: Path, run: Path, names: Sequence[str], *more: str) -> tuple[float, float, str]:
    """Two workers of a batch."""
    only = [word for name in names for word in ("--only", name)]
    words = ["batch", str(slides), "--out", str(run), "--device", "cpu", "--workers", "2", *more]
    return measured([[sys.executable, "-c", _BATCH, *words, *only]])


def main() -> None:
    """Measure all variants in turns, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--slides", type=int, default=300)
    parser.add_argument("--pieces", type=int, default=3, help="turns (default 3)")
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    out: Path = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    slides = make_slides(out / "slides", options.slides, options.data)
    runs = {name: out / f"run-{name}" for name in ("plain", "pool", "dask")}
    for run in runs.values():
        shutil.rmtree(run, ignore_errors=True)
        names = prepared(slides, run)
    rows = []
    for piece in range(options.pieces):
        some = names[piece :: options.pieces]
        for variant, run in runs.items():
            if variant == "plain":
                used, clock, said = plain(run, some)
            else:
                pool = ["--pool"] if variant == "pool" else []
                used, clock, said = batch(slides, run, some, *pool)
            memory = [float(line.split()[1]) for line in said.splitlines() if "MEMORY" in line]
            rows.append(
                {
                    "variant": variant,
                    "piece": piece,
                    "slides": len(some),
                    "cpu_s": f"{used:.2f}",
                    "clock_s": f"{clock:.2f}",
                    "mib_at_tenth": f"{memory[len(memory) // 10]:.0f}" if memory else "",
                    "mib_at_end": f"{memory[-1]:.0f}" if memory else "",
                }
            )
            print(rows[-1], flush=True)
    with (out / "throughput.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
