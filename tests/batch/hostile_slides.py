"""Run a batch with a slide that segfaults its reader, one that hangs, and one that eats memory.

    python tests/batch/hostile_slides.py OUT [--slides 8]

By the command, with the real analysis, once by plain processes and once by dask's LocalCluster:
three hostile slides stand among phantoms and a scan. They must be left alone with the reason after
two tries, all others must be done with the bytes of a run without the three, and a second run must
find nothing to do. Writes hostile.csv, and raises where anything differs.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
from kill_harness import FAULTS, make_slides

from napari_hagmil.batch.folder import RunFolder, open_run
from napari_hagmil.ledger import check_manifest

#: What becomes of each hostile slide, and a word of its reason.
EXPECTED = {
    "segfault-1": ("crashed", "SIGSEGV"),
    "hang-2": ("timeout", "longer than"),
    "greedy-3": ("oom", "GiB"),
}
SECONDS, GIGABYTES = 120, 2


def run(slides: Path, out: Path, *more: str) -> int:
    """One batch; its exit status."""
    path = os.pathsep.join([str(FAULTS), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"PYTHONPATH": path, "HAGMIL_FAULTS": "slides=1", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "napari_hagmil", "batch", str(slides), "--out", str(out)]
    words += ["--device", "cpu", "--workers", "2", "--timeout", str(SECONDS)]
    words += ["--memory", str(GIGABYTES), *more]
    return subprocess.run(words, env=env, check=False).returncode


def check(folder: RunFolder, undisturbed: RunFolder) -> None:
    """Raise unless the hostile slides are told, and the others are as without them."""
    for name in folder.records:
        outcome = folder.outcome(name)
        assert outcome is not None, name
        if name in EXPECTED:
            state, word = EXPECTED[name]
            assert (outcome.state, outcome.tries) == (state, 2), outcome
            assert word in outcome.reason, outcome
            assert not folder.place(name).exists(), name
            continue
        places = [each.place(name) for each in (folder, undisturbed)]
        assert not any(check_manifest(place) for place in places), name
        first, second = ((place / "manifest.json").read_bytes() for place in places)
        assert first == second, name
    assert not list(folder.root.glob("slides/.*")), "drafts are left"
    assert not list(folder.root.glob("claims/*.json")), "claims are left"
    assert not psutil.Process().children(recursive=True), "processes are left"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--slides", type=int, default=8, help="phantoms (default 8)")
    options = parser.parse_args()
    out: Path = options.out.absolute()
    data = os.environ.get("HAGMIL_DATA")
    real = Path(data) / "slides" if data else None
    good, slides = (make_slides(out / kind, options.slides, real) for kind in ("good", "slides"))
    assert run(good, out / "undisturbed", "--pool") == 0
    for name in EXPECTED:
        shutil.copy(good / "p1.tiff", slides / f"{name}.tiff")
    rows = []
    for runner, more in (("processes", ["--pool"]), ("LocalCluster", [])):
        folder = out / f"run-{runner}"
        assert run(slides, folder, *more) == 3
        check(open_run(folder), open_run(out / "undisturbed"))
        before = {path: path.stat().st_mtime_ns for path in folder.glob("states/*")}
        assert run(slides, folder, *more) == 3, "a second run tries nothing again"
        assert before == {path: path.stat().st_mtime_ns for path in folder.glob("states/*")}
        for name in EXPECTED:
            outcome = open_run(folder).outcome(name)
            rows.append([runner, name, outcome.state, outcome.tries, outcome.reason])
    with (out / "hostile.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["runner", "slide", "state", "tries", "reason"], *rows])
    print((out / "hostile.csv").read_text(), end="")


if __name__ == "__main__":
    main()
