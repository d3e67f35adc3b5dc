"""A run that is stopped at any moment goes on, and ends as if it had not been."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from puzzle_slides import FACTS, World, puzzles

from napari_hagmil.models import LossConfig, load_bundle
from napari_hagmil.training import Checkpoint, CheckpointFolder, TrainConfig
from napari_hagmil.training.protocol.fitting import FitSettings, build, fit
from napari_hagmil.training.protocol.methods import Method
from napari_hagmil.training.stagewise import CascadeTraining

QUICK = TrainConfig(
    epochs=3,
    patience=3,
    learning_rate=3e-3,
    feature_dropout=0.2,
    loss=LossConfig(instance_loss="none"),
)

GATED = Method(
    "gated",
    model="gated_ab_mil",
    options={"widths": [8], "hidden": 8, "dropout": 0.2},
    depths=(0, 1, 2),
    budget=(2, 2),
    training=QUICK,
    standardise=True,
)

WAYS = [
    replace(GATED, schedule="joint"),
    replace(GATED, schedule="stagewise", random=(1, 1)),
    replace(
        GATED,
        schedule="guided",
        context="ancestors",
        training=replace(QUICK, guidance=1.0, background=0),
    ),
]


@pytest.fixture(scope="module")
def sides():
    slides = [puzzle.slide for puzzle in puzzles(12, 1, World.draw(1))]
    return slides[:8], slides[8:]


@pytest.fixture(autouse=True)
def every_epoch_is_written(monkeypatch):
    monkeypatch.setattr(CascadeTraining, "checkpoint", _eager(CascadeTraining.checkpoint))


def _eager(checkpoint):
    def eager(self, depth):
        made = checkpoint(self, depth)
        return made and replace(made, every=0.0)

    return eager


def weights(model):
    return torch.cat([p.flatten() for p in model.state_dict().values()])


@pytest.mark.parametrize("method", WAYS, ids=lambda method: method.schedule)
def test_training_stopped_after_every_epoch_gives_the_same_weights_and_tells_the_same(
    method, sides, tmp_path
):
    whole = build(method, FACTS, 0)
    told = [(p.depth, p.epoch[:5]) for p in fit(method, whole, *sides, FitSettings(0))]
    for stop in range(1, len(told)):
        steps = fit(
            method,
            build(method, FACTS, 0),
            *sides,
            FitSettings(0, CheckpointFolder(tmp_path, "key")),
        )
        for _ in range(stop):
            next(steps)
        steps.close()
    resumed = build(method, FACTS, 0)
    again = [
        (p.depth, p.epoch[:5])
        for p in fit(method, resumed, *sides, FitSettings(0, CheckpointFolder(tmp_path, "key")))
    ]
    assert again == told
    assert torch.equal(weights(resumed), weights(whole))


def test_a_checkpoint_of_another_run_is_not_taken_up(tmp_path):
    Checkpoint(tmp_path / "a.pt", "one").save(lambda: {"x": 1}, now=True)
    assert Checkpoint(tmp_path / "a.pt", "one").load() == {"x": 1}
    assert Checkpoint(tmp_path / "a.pt", "two").load() is None


def test_a_damaged_checkpoint_is_as_none(tmp_path):
    checkpoint = Checkpoint(tmp_path / "a.pt", "one")
    checkpoint.save(lambda: {"x": torch.ones(1000)}, now=True)
    (tmp_path / "a.pt").write_bytes((tmp_path / "a.pt").read_bytes()[:900])
    assert checkpoint.load() is None


SHORT = """
[protocol]
repeats = 1
[[method]]
name = "guided cascade"
model = "gated_ab_mil"
options = { widths = [32], hidden = 16 }
depths = [0, 1, 2]
schedule = "guided"
context = "ancestors"
budget = [4, 4]
epochs = 12
learning_rate = 1e-3
guidance = 1.0
standardise = true
"""


@pytest.mark.slow
def test_a_protocol_killed_twice_ends_with_the_same_weights(tmp_path):
    script = Path(__file__).parents[2] / "docs" / "scripts" / "puzzle.py"
    (tmp_path / "short.toml").write_text(SHORT)
    words = ["--sizes", "12", "4", "4", "--protocol", tmp_path / "short.toml"]

    def start(out):
        return subprocess.Popen([sys.executable, script, "--out", out, *words], stdout=-3)

    assert start(tmp_path / "whole").wait() == 0
    for seconds in (0.2, 0.6):
        process = start(tmp_path / "killed")
        while not list((tmp_path / "killed").rglob("*.pt")) and process.poll() is None:
            time.sleep(0.05)
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert start(tmp_path / "killed").wait() == 0
    bundles = sorted((tmp_path / "whole").rglob("model.hagmil"))
    assert len(bundles) == 2  # and one with labels that mean nothing
    for bundle in bundles:
        other = tmp_path / "killed" / bundle.relative_to(tmp_path / "whole")
        assert torch.equal(weights(load_bundle(bundle)), weights(load_bundle(other)))
        assert not list(other.parent.glob("*.pt"))
