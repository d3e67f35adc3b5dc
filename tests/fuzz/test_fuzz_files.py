"""A short run of the fuzz of every kind of file; the long one is `fuzz_files.py`."""

from __future__ import annotations

import time

import fuzz_files
import fuzz_targets
import pytest

N_CASES = 25


@pytest.mark.parametrize("name", fuzz_targets.TARGETS)
def test_damaged_files_are_read_or_refused_in_one_sentence(name, tmp_path):
    if name == "h5":
        pytest.importorskip("h5py")
    counts, failures = fuzz_files.run(name, range(N_CASES), tmp_path)
    assert failures == {}
    assert counts["read"] + counts["refused"] == N_CASES


def hang(path):
    time.sleep(60)


def fail(error):
    def read(path):
        raise error

    return read


class TwoLines(fuzz_files.HagmilError):
    def __str__(self):
        return "two\nlines"


@pytest.mark.parametrize(
    "read", [hang, fail(ValueError("x")), fail(MemoryError()), fail(TwoLines("two lines"))]
)
def test_the_harness_finds_what_it_looks_for(tmp_path, monkeypatch, read):
    """Another exception than ours, a hang, an error of more than one line."""
    monkeypatch.setattr(fuzz_files, "MAX_SECONDS", 1)
    target = fuzz_targets.Target(fuzz_targets.make_pt, read)
    monkeypatch.setitem(fuzz_targets.TARGETS, "pt", target)
    assert fuzz_files.Cases("pt", tmp_path).run(0) not in ("read", "refused")
