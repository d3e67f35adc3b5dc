"""The short form of the harness: real analysis, real processes, `kill -9` at random moments."""

from __future__ import annotations

import os
import sys

import pytest
import torch
from kill_harness import RETRY, Harness, make_slides

from napari_hagmil.batch.analysis import analyze_into
from napari_hagmil.batch.folder import open_run
from napari_hagmil.batch.one import run_one
from napari_hagmil.batch.pool import limits_of
from napari_hagmil.cli import main

linux = pytest.mark.skipif(sys.platform != "linux", reason="kills and looks as on Linux")


class Short(Harness):
    """Two clients, and the runs by hand in this process, which has loaded torch already."""

    def by_hand(self, folder):
        assert main([*self.batch(folder), *RETRY, "--prepare", "--json"]) == 0
        run = open_run(folder)
        states = [run_one(run, name, analyze_into).state for name in run.records]
        assert set(states) == {"done"}, states


@pytest.fixture
def threads():
    """As many threads here as each of the clients' two processes has: a result records them."""
    before = torch.get_num_threads()
    torch.set_num_threads(limits_of(2, None, None).threads)
    yield
    torch.set_num_threads(before)


@linux
@pytest.mark.slow
def test_what_was_killed_at_random_is_in_the_end_what_was_left_alone(tmp_path, threads):
    seed = int(os.environ.get("HAGMIL_KILL_SEED", "3"))
    slides = make_slides(tmp_path / "slides", 2)
    harness = Short(tmp_path / "out", slides, seed, rename=0.02, dask=False, pause=(0.5, 3))
    harness.run(int(os.environ.get("HAGMIL_KILLS", "3")))
    assert len(harness.kills) >= 3
