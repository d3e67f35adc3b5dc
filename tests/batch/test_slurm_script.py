"""The script for SLURM of the documentation, by a stub of sbatch and a stub of the analysis."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_hagmil.batch.folder import open_run

HERE = Path(__file__).parent
SCRIPT = HERE.parents[1] / "docs" / "examples" / "slurm-array.sh"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a script for bash")
def test_the_array_does_every_slide_once_and_its_last_task_tells_what_failed(tmp_path):
    slides = tmp_path / "slides of today"
    slides.mkdir()
    for name in ("slow-1", "slow-2", "slow 3", "bug-4"):
        (slides / f"{name}.tiff").touch()
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, stub in (("sbatch", "stub_sbatch.py"), ("napari-hagmil", "stub_program.py")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE / stub}" "$@"\n')
        (programs / name).chmod(0o755)
    own = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "STUB_LOG": str(tmp_path / "calls"),
        "TASKS": "2",
    }
    ended = subprocess.run(
        ["bash", str(SCRIPT), str(slides), str(tmp_path / "run")],
        env=os.environ | own, capture_output=True, text=True, check=False, timeout=250,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    calls = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    assert [call["options"] for call in calls] == [
        {"--parsable": "", "--array": "1-2"}, {"--dependency": "afterany:100"},
    ]  # fmt: skip
    assert [call["ended"] for call in calls] == [[0, 0], [3]]
    folder = open_run(tmp_path / "run")
    outcomes = {name: folder.outcome(name) for name in folder.records}
    assert {name: (one.state, one.tries) for name, one in outcomes.items()} == {
        "slow-1": ("done", 1), "slow-2": ("done", 1), "slow 3": ("done", 1), "bug-4": ("failed", 2),
    }  # fmt: skip
    assert (tmp_path / "run" / "report.html").is_file()
