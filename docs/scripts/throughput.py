"""Measure what two workers of a batch do against two plain processes that divide the list by hand.

    python docs/scripts/throughput.py OUT [--slides 300] [--data DIR] [--only plain pool]

Slides are real and small: phantoms with pyramids, the small CMU-1 and mosaics of H&E patches where
DIR has them; each distinct one stands under several names. The plain processes analyze every other
slide each, with the same code and threads, and nothing else: no claims, checks, states or report.

Each variant goes through the whole list once, with processes that stay up. All take turns of a few
seconds in which the others are halted (SIGSTOP), so that whatever else the machine does slows all
alike. Counted are the processor's seconds of everything that a variant starts, its own start
included, and the clock's of its turns; the memory is that of its larger worker, the mean of a turn.

Writes turns.csv as it goes, a row per turn, and at the end throughput.csv.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import psutil

from napari_hagmil.phantom import PhantomConfig, write_phantom

#: Distinct phantoms and mosaics.
PHANTOMS, MOSAICS = 24, 6
#: Seconds of a turn, and between two looks at memory.
TURN, LOOK = 15.0, 1.0

#: A plain process: analyzes the slides named on its command line, one after the other.
_PLAIN = """
import json, sys
from pathlib import Path
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

#: The two plain processes, as a shell with two background jobs would run them.
_BOTH = """
import json, subprocess, sys
code, run, names = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
halves = names[::2], names[1::2]
both = [subprocess.Popen([sys.executable, "-c", code, run, json.dumps(half)]) for half in halves]
sys.exit(max(process.wait() for process in both))
"""


@dataclass
class Variant:
    """One way through the list: its processes, and what they have taken so far.

    Attributes
    ----------
    name : str
    words : sequence of str
        The command.
    places : Path
        Where the slides' folders appear.
    """

    name: str
    words: Sequence[str]
    places: Path
    clock: float = 0.0
    cpu: float = 0.0
    process: subprocess.Popen[bytes] | None = None
    ended: bool = False
    turns: list[tuple[int, float]] = field(default_factory=list)

    def turn(self, log: IO[bytes]) -> float:
        """Let the processes run for a few seconds; return the mean memory, MiB."""
        started, memory = time.monotonic(), list[float]()
        if self.process is None:
            self.process = subprocess.Popen(
                self.words, stdout=log, stderr=log, start_new_session=True
            )
        else:
            os.killpg(self.process.pid, signal.SIGCONT)
        while not self.ended and time.monotonic() - started < TURN:
            time.sleep(LOOK)
            memory.append(self.memory())
            self.look()
        if not self.ended:
            os.killpg(self.process.pid, signal.SIGSTOP)
        self.clock += time.monotonic() - started
        self.turns.append((self.slides(), statistics.mean(memory)))
        return self.turns[-1][1]

    def look(self) -> None:
        """Take note of the end, with the seconds of all processes that belonged to it."""
        assert self.process is not None
        pid, status, used = os.wait4(self.process.pid, os.WNOHANG)
        if pid:
            assert os.waitstatus_to_exitcode(status) == 0, f"{self.name} failed: see its log"
            self.ended, self.cpu = True, used.ru_utime + used.ru_stime
        else:
            self.cpu = sum(seconds(each) for each in self.family())

    def family(self) -> list[psutil.Process]:
        """The process and all below it."""
        assert self.process is not None
        with suppress(psutil.Error):
            first = psutil.Process(self.process.pid)
            return [first, *first.children(recursive=True)]
        return []

    def memory(self) -> float:
        """Resident memory of the larger worker, MiB; 0 when there is none."""
        sizes = [0]
        for process in self.family()[1:]:
            with suppress(psutil.Error):
                sizes.append(process.memory_info().rss)
        return max(sizes) / 2**20

    def slides(self) -> int:
        """Slides that are in place."""
        return sum(path.name[0] != "." for path in self.places.glob("*"))

    def memory_at(self, share: float, total: int) -> float:
        """Mean memory of the turns around a share of the list, MiB."""
        near = sorted(self.turns, key=lambda turn: abs(turn[0] - share * total))[:3]
        return statistics.mean(memory for _, memory in near)


def seconds(process: psutil.Process) -> float:
    """The processor's seconds of a process, 0 when it is gone."""
    with suppress(psutil.Error):
        used = process.cpu_times()
        return float(used.user + used.system)
    return 0.0


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
        path = folder / f"mosaic-{seed}.tiff"
        if not path.exists():
            write_pyramid(path, lay(palette[:4], tumour_cells(rng), rng))


def variants(slides: Path, out: Path, wanted: Sequence[str]) -> list[Variant]:
    """Prepare a run for each variant."""
    found = []
    for name in wanted:
        run = out / f"run-{name}"
        shutil.rmtree(run, ignore_errors=True)
        batch = [sys.executable, "-m", "napari_hagmil", "batch", str(slides), "--out", str(run)]
        batch += ["--device", "cpu", "--workers", "2"]
        prepared = subprocess.run(
            [*batch, "--prepare", "--json"], capture_output=True, check=True
        ).stdout
        names = json.dumps(json.loads(prepared)["slides"])
        if name == "plain":
            words = [sys.executable, "-c", _BOTH, _PLAIN, str(run), names]
            found.append(Variant(name, words, run / "plain"))
        else:
            pool = ["--pool"] if name == "pool" else []
            found.append(Variant(name, [*batch, *pool], run / "slides"))
    return found


@contextmanager
def ended_in_any_case(them: Sequence[Variant]) -> Iterator[None]:
    """Leave no process behind, halted or not."""
    try:
        yield
    finally:
        for variant in them:
            if variant.process is not None and not variant.ended:
                os.killpg(variant.process.pid, signal.SIGKILL)


def take_turns(them: Sequence[Variant], out: Path) -> None:
    """Run all to their ends, a row for each turn."""
    with (out / "turns.csv").open("w", newline="") as file, ended_in_any_case(them):
        rows = csv.writer(file)
        rows.writerow(["variant", "slides", "cpu_s", "clock_s", "mib"])
        while left := [variant for variant in them if not variant.ended]:
            for variant in left:
                with (out / f"{variant.name}.log").open("ab") as log:
                    mib = variant.turn(log)
                numbers = f"{variant.cpu:.2f}", f"{variant.clock:.2f}", f"{mib:.0f}"
                rows.writerow([variant.name, variant.slides(), *numbers])
                file.flush()


def main() -> None:
    """Measure all variants in turns, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--slides", type=int, default=300)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", nargs="+", default=["plain", "pool", "dask"])
    options = parser.parse_args()
    for one in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, lambda *_: sys.exit(1))
    os.environ["OMP_NUM_THREADS"] = "1"
    out: Path = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    them = variants(make_slides(out / "slides", options.slides, options.data), out, options.only)
    take_turns(them, out)
    with (out / "throughput.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["variant", "slides", "cpu_s", "clock_s", "mib_at_tenth", "mib_at_end"])
        for one in them:
            took = f"{one.cpu:.2f}", f"{one.clock:.2f}"
            memory = (f"{one.memory_at(share, options.slides):.0f}" for share in (0.1, 1.0))
            rows.writerow([one.name, one.slides(), *took, *memory])
    print((out / "throughput.csv").read_text(), end="")


if __name__ == "__main__":
    main()
