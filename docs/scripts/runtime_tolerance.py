"""Measure how far one analysis differs between runtimes, numbers of threads and devices.

    python docs/scripts/runtime_tolerance.py SLIDE [--model demo] [--device cuda]

The slide is analyzed with torch and one thread, and again in other ways, each in a process of its
own. Printed are the largest differences of a class's probability and of a patch's attention, and
how many of the places that were looked at are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

WAYS = {
    "torch, 1 thread": ("torch", "1"),
    "torch, 1 thread, again": ("torch", "1"),
    "torch, 2 threads": ("torch", "2"),
    "onnxruntime, 1 thread": ("onnxruntime", "1"),
    "onnxruntime, 1 thread, again": ("onnxruntime", "1"),
    "onnxruntime, 2 threads": ("onnxruntime", "2"),
}


def analyze(slide: Path, model: str, device: str, way: tuple[str, str], out: Path) -> None:
    """Run ``analyze`` with a runtime and a number of threads."""
    runtime, threads = way
    own = {"HAGMIL_RUNTIME": runtime, "OMP_NUM_THREADS": threads, "HAGMIL_FEATURES_GB": "0"}
    words = ["analyze", str(slide), "--out", str(out), "--model", model, "--device", device]
    subprocess.run(
        [sys.executable, "-m", "napari_hagmil", *words],
        check=True,
        env=os.environ | own,
        stdout=subprocess.DEVNULL,
    )


def found(out: Path) -> tuple[np.ndarray, dict[tuple[int, int, int], float]]:
    """Probabilities of all depths, and the attention of each place."""
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    rows = pq.read_table(out / "nodes.parquet").to_pydict()
    places = zip(rows["depth"], rows["row"], rows["column"], strict=True)
    probabilities = np.array([stage["probabilities"] for stage in result["stages"]])
    return probabilities, dict(zip(places, rows["attention"], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slide", type=Path)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--device", default="", help="one more device, to compare with the CPU")
    args = parser.parse_args()
    ways = {name: ("cpu", way) for name, way in WAYS.items()}
    if args.device:
        ways[f"torch, {args.device}"] = (args.device, ("torch", "1"))
    first = None
    print("| | probability | attention | places alike |\n|---|---|---|---|")
    for name, (device, way) in ways.items():
        with tempfile.TemporaryDirectory() as folder:
            analyze(args.slide, args.model, device, way, Path(folder) / "out")
            probabilities, attention = found(Path(folder) / "out")
        if first is None:
            first = probabilities, attention
            continue
        both = first[1].keys() & attention.keys()
        apart = max(abs(first[1][place] - attention[place]) for place in both)
        alike = len(both) / len(first[1].keys() | attention.keys())
        largest = np.abs(first[0] - probabilities).max()
        print(f"| {name} | {largest:.1e} | {apart:.1e} | {alike:.2%} |", flush=True)


if __name__ == "__main__":
    main()
