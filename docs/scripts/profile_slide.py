"""Where the processor's time of ``analyze`` goes, for two versions of the package.

    python docs/scripts/profile_slide.py SLIDE --before SRC --after SRC
        --out docs/results/profile.csv --picture docs/images/profile.png

SRC is the folder `src` of a checkout. Each runs in a process of its own without features from
before, three times, and the run of least time counts. A timer of the processor's time of all
threads interrupts the run; the time since the last interruption is put down to what the main thread
is in.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from types import FrameType

#: Part of a run → what its frames have in their file's path or function's name, first match.
PARTS: dict[str, tuple[str, ...]] = {
    "imports": ("importlib",),
    "loading": (":load_model", ":load_encoder", ":load_bundle", ":load_network"),
    "files": (":write_files", ":write_analysis", "napari_hagmil/export/"),
    "tissue": ("napari_hagmil/tissue.py", ":open_slide"),
    "reading": (":read_nodes", "napari_hagmil/slide/"),
    "encoder": ("napari_hagmil/encoders/",),
    "transformer": ("napari_hagmil/models/",),
}
COLORS = ("#999999", "#56B4E9", "#CC79A7", "#009E73", "#E69F00", "#0072B2", "#D55E00", "#000000")


class Sampler:
    """Puts the processor's time down to parts of a run."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self._last = 0.0
        signal.signal(signal.SIGPROF, self._note)
        signal.setitimer(signal.ITIMER_PROF, 0.005, 0.005)

    def _note(self, _: int, frame: FrameType | None) -> None:
        now = process_time()
        self.spent[part_of(frame)] += now - self._last
        self._last = now

    def stop(self) -> dict[str, float]:
        """End, and return the seconds of each part."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        return dict(self.spent)


def part_of(frame: FrameType | None) -> str:
    """The part of a run that a frame and its callers belong to."""
    names = []
    while frame is not None:
        code = frame.f_code
        names.append(f"{code.co_filename}:{code.co_name}")
        frame = frame.f_back
    for part, signs in PARTS.items():
        if any(sign in name for sign in signs for name in names):
            return part
    return "the rest"


def drive(slide: str) -> None:
    """Run ``analyze`` in this process and print its parts as JSON."""
    sampler = Sampler()
    from napari_hagmil.cli import main as command

    with TemporaryDirectory() as out:
        options = ["analyze", slide, "--out", f"{out}/out"]
        command([*options, "--no-cache"] if os.environ.get("NO_CACHE") else options)
    sys.stdout.write("\n" + json.dumps(sampler.stop()) + "\n")


def profiled(source: Path, slide: Path, cache: Path, *, option: bool) -> dict[str, float]:
    """Parts of the cheapest of three runs of a version."""
    environment = {**os.environ, "PYTHONPATH": str(source), "HAGMIL_CACHE": str(cache)}
    if option:
        environment["NO_CACHE"] = "1"
    found = []
    for _ in range(3):
        command = [sys.executable, "-W", "ignore", __file__, str(slide), "--drive"]
        said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        found.append(json.loads(said.stdout.splitlines()[-1]))
    return min(found, key=lambda parts: sum(parts.values()))


def draw(rows: Sequence[dict[str, float]], names: Sequence[str], path: Path) -> None:
    """A bar per version, cut into its parts."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 2.9), layout="constrained")
    axes = figure.subplots()
    left = [0.0] * len(rows)
    for part, color in zip((*PARTS, "the rest"), COLORS, strict=True):
        values = [row.get(part, 0.0) for row in rows]
        axes.barh(names, values, left=left, color=color, label=part, height=0.55)
        left = [a + b for a, b in zip(left, values, strict=True)]
    for name, total in zip(names, left, strict=True):
        axes.text(total, name, f"  {total:.1f} s", va="center")
    axes.invert_yaxis()
    axes.set_xlabel("seconds of the processor")
    axes.set_xlim(0, 1.12 * max(left))
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=8, frameon=False)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--after", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--drive", action="store_true", help="run one of the runs, in this process")
    options = parser.parse_args()
    if options.drive:
        drive(str(options.slide))
        return
    rows = {}
    with TemporaryDirectory() as cache:
        for name in ("before", "after"):
            source, place = getattr(options, name), Path(cache) / name
            rows[name] = profiled(source, options.slide, place, option=name == "after")
    with options.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("part", *rows))
        for part in (*PARTS, "the rest"):
            writer.writerow((part, *(f"{row.get(part, 0.0):.2f}" for row in rows.values())))
    draw(list(rows.values()), list(rows), options.picture)


if __name__ == "__main__":
    main()
