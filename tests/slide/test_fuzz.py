"""A short run of the fuzz harness; the long one is `python tests/slide/fuzz.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

import fuzz

N_SEEDS = len(fuzz.SEEDS) + len(fuzz.BY_OPENSLIDE) + len(fuzz.REAL)


@pytest.mark.slow
def test_mutated_slides_are_refused_or_read_right(real_slides_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("openslide")
    pytest.importorskip("wsidicom")
    n_mutants = 5 * N_SEEDS
    report = fuzz.run(n_mutants, 1, real_slides_dir, tmp_path / "failed")
    assert report["failures"] == []
    assert report["mutants"] == sum(c["mutants"] for c in report["counts"].values()) == n_mutants
    assert all(c["mutants"] == 5 for c in report["counts"].values())
    assert len(report["counts"]) == N_SEEDS
