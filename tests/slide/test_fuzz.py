"""A short run of the fuzz harness; the long one is `python tests/slide/fuzz.py`."""

from __future__ import annotations

from pathlib import Path

import fuzz
import pytest


@pytest.mark.slow
def test_mutated_slides_are_refused_or_read_right(slides_dir: Path, tmp_path: Path) -> None:
    report = fuzz.run(66, 1, slides_dir, tmp_path / "failed")
    assert report["failures"] == []
    assert report["mutants"] == sum(c["mutants"] for c in report["counts"].values()) == 66
    assert all(c["mutants"] == 6 for c in report["counts"].values())
