"""How the cost of an analysis grows with the slide, at a fixed budget.

    python docs/scripts/growth.py --out docs/results/growth.csv [--picture docs/images/growth.png]
        [--times 1 2 4 8 16 20] [--folder DIR] [--budget 64,64]

Analyses slides of 5,120 px times each number, all made of one phantom: their tissue grows as their
area does. Each analysis is a process of its own, without features from before. Beside each cost
stands what it cannot be less than: patches, all of the first depth and four for each branch that is
followed; bytes, those of the tiles that the patches lie on; seconds of the processor, those of the
encoder alone on as many patches; memory, what the smallest slide takes. A size that stands in OUT
already is not measured again.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import numpy as np
import pyarrow.parquet as pq
import tifffile
from matplotlib.figure import Figure
from repeated_slide import BASE, TILE, write_base, write_repeated

from napari_hagmil.encoders import load_encoder

COLUMNS = (
    "side", "patches", "patches_least", "bytes", "bytes_least", "seconds", "seconds_least",
    "read", "encode", "model", "memory",
)  # fmt: skip

Row = dict[str, float]

#: Runs a command of the package, then tells the peak of its memory. What the system tells of an
#: ended process counts what its parent held when it was started, too.
DRIVER = """
import sys
from pathlib import Path
from napari_hagmil.cli import main
code = main(sys.argv[1:])
lines = Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")))
sys.exit(code)
"""


def encoder_seconds() -> float:
    """Seconds of the processor that the encoder takes for a patch by itself."""
    encoder = load_encoder("efficientnet-lite0")
    patches = np.random.default_rng(0).integers(0, 256, (8, 224, 224, 3), dtype=np.uint8)
    encoder(patches)
    least = float("inf")
    for _ in range(8):
        started = process_time()
        encoder(patches)
        least = min(least, (process_time() - started) / len(patches))
    return least


def analysed(slide: Path, out: Path, budget: str) -> tuple[dict, float, int]:
    """Result, seconds of the processor and peak of memory (bytes) of an analysis."""
    words = ["-c", DRIVER, "analyze", str(slide), "--out", str(out)]
    words += ["--no-cache", "--overwrite", "--budget", budget]
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"analyze failed on {slide}")
    result = json.loads((out / "result.json").read_text("utf-8"))
    return result, usage.ru_utime + usage.ru_stime, int(said.split()[-1]) * 1024


def tile_bytes(slide: Path, nodes: Path, levels: Sequence[int]) -> int:
    """Encoded bytes of the tiles that the patches of a result lie on, each counted once.

    `levels`: of each depth, the level of the file that is read for it.
    """
    table = pq.read_table(nodes, columns=["depth", "y", "x", "height", "width"]).to_pydict()
    columns = {name: np.array(values) for name, values in table.items()}
    total = 0
    with tifffile.TiffFile(slide) as tiff:
        for depth, level in enumerate(levels):
            page, here = tiff.pages[level], columns["depth"] == depth
            across = -(-page.imagewidth // TILE)
            side = TILE * 2**level
            touched: set[int] = set()
            boxes = zip(
                *(columns[name][here] for name in ("y", "x", "height", "width")), strict=True
            )
            for y, x, height, width in boxes:
                rows = range(y // side, (y + height - 1) // side + 1)
                for row in rows:
                    first, last = x // side, (x + width - 1) // side
                    touched.update(range(row * across + first, row * across + last + 1))
            counts = page.databytecounts
            total += sum(counts[i] for i in touched)
    return total


def measure(times: int, folder: Path, budget: str, per_patch: float) -> Row:
    """A row of the table."""
    base = write_base(folder / "base.tiff")
    slide = base if times == 1 else folder / f"repeated-{times}.tiff"
    if not slide.exists():
        write_repeated(base, slide, times)
    with TemporaryDirectory() as place:
        result, seconds, memory = analysed(slide, Path(place), budget)
        # Of a scan at 0.25 µm/px the depths at 10×, 20× and 40× are levels 2, 1 and 0.
        least = tile_bytes(slide, Path(place) / "nodes.parquet", (2, 1, 0))
    cost = result["cost"]
    return {
        "side": BASE * times,
        "patches": cost["patches_encoded"],
        "patches_least": least_patches(result),
        "bytes": cost["bytes_read"],
        "bytes_least": least,
        "seconds": seconds,
        "seconds_least": per_patch * cost["patches_encoded"],
        **{name: cost["seconds"][name] for name in ("read", "encode", "model")},
        "memory": memory,
    }


def least_patches(result: dict) -> int:
    """All patches of the first depth, and four for each branch that the budget lets through."""
    first = result["stages"][0]["nodes"]
    return first + 4 * sum(result["settings"]["budget"])


def draw(rows: Sequence[Row], path: Path) -> None:
    """The four costs against the side of the slide, each with its limit."""
    figure = Figure(figsize=(10, 7.2), layout="constrained")
    side = np.array([row["side"] for row in rows]) / 1000
    panels = (
        ("patches", "patches encoded", 1.0, "all of the first depth, four per branch"),
        ("bytes", "MB read from the file", 1e-6, "the tiles that patches lie on, once"),
        ("seconds", "seconds of the processor", 1.0, "the encoder alone"),
        ("memory", "peak memory, MB", 1e-6, "the smallest slide"),
    )
    for axes, (name, label, unit, limit) in zip(figure.subplots(2, 2).flat, panels, strict=True):
        values = np.array([row[name] for row in rows]) * unit
        least = np.array([row.get(f"{name}_least", rows[0][name]) for row in rows]) * unit
        axes.plot(side, values, "o-", color="#0072B2", label="measured")
        axes.plot(side, least, "--", color="#D55E00", label=limit)
        axes.set(xlabel="side of the slide, 1,000 px", ylabel=label)
        axes.set_ylim(0, 1.15 * max(values.max(), least.max()))
        axes.set_xlim(0, 1.05 * side.max())
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="upper left")
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 2, 4, 8, 16, 20])
    parser.add_argument("--folder", type=Path, help="where slides are made, and kept")
    parser.add_argument("--budget", default="32,32")
    options = parser.parse_args()
    rows = _kept(options.out)
    with TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        per_patch = encoder_seconds()
        for times in options.times:
            if any(row["side"] == BASE * times for row in rows):
                continue
            rows.append(measure(times, folder, options.budget, per_patch))
            rows.sort(key=lambda row: row["side"])
            with options.out.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows(rows)
    if options.picture:
        draw(rows, options.picture)


def _kept(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


if __name__ == "__main__":
    main()
