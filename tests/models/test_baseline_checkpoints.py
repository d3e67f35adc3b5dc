"""Baselines on disk: our own files, and the published weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from napari_hagmil.errors import BundleError
from napari_hagmil.models.baselines import BASELINES, make_baseline
from napari_hagmil.models.checkpoints.baselines import (
    SCHEMA,
    load_baseline,
    load_published_clam,
    load_published_dtfd,
    save_baseline,
)


def assert_same_weights(model, other):
    """To the bit; outputs may differ in the last one, with where in memory the weights lie."""
    mine, theirs = model.state_dict(), other.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_comes_back_as_it_was_saved(tmp_path, name):
    model, features = make_baseline(name, 10, 3).eval(), torch.randn(9, 10)
    save_baseline(model, tmp_path / "model.safetensors", name)
    loaded = load_baseline(tmp_path / "model.safetensors")
    assert not loaded.training
    assert_same_weights(model, loaded)
    for a, b in zip(model(features), loaded(features), strict=True):
        torch.testing.assert_close(a, b)


def test_options_are_kept(tmp_path):
    model = make_baseline("ab_mil", 10, 2, widths=[8, 4], hidden=3)
    save_baseline(model, tmp_path / "model.safetensors", "ab_mil", widths=[8, 4], hidden=3)
    assert load_baseline(tmp_path / "model.safetensors")(torch.randn(5, 10)).embedding.shape == (4,)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({}, "of a baseline, got None"),
        ({"schema": SCHEMA}, "cannot become a baseline"),
        ({"schema": SCHEMA, "model": json.dumps({"name": "vit", "n_features": 1,
          "n_classes": 2, "options": {}})}, "no baseline 'vit'"),
        ({"schema": SCHEMA, "model": json.dumps({"name": "ab_mil", "n_features": 1,
          "n_classes": 2, "options": {"colour": 1}})}, "colour"),
        ({"schema": SCHEMA, "model": json.dumps({"name": "ab_mil", "n_features": 2**40,
          "n_classes": 2, "options": {}})}, "size mismatch|Missing"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_refused_in_one_sentence(tmp_path, metadata, words):
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(make_baseline("ab_mil", 10, 2).state_dict(), path, metadata)
    with pytest.raises(BundleError, match=words) as caught:
        load_baseline(path)
    assert "\n" not in str(caught.value)


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"hello")
    with pytest.raises(BundleError, match="not a safetensors file"):
        load_baseline(tmp_path / "model.safetensors")


class TestPublishedWeights:
    def test_clam_loads_runs_and_goes_on_as_safetensors(self, data_dir: Path, tmp_path: Path):
        model = load_published_clam(data_dir / "checkpoints" / "clam_s_0_checkpoint.pt")
        assert (model.n_features, model.n_classes, model.training) == (1024, 2, False)
        features = torch.rand(50, 1024)
        save_baseline(model, tmp_path / "clam.safetensors", "clam_sb")
        again = load_baseline(tmp_path / "clam.safetensors")
        assert_same_weights(model, again)
        torch.testing.assert_close(again(features).logits, model(features).logits)

    def test_clam_computes_what_its_parameters_say(self, data_dir: Path):
        path = data_dir / "checkpoints" / "clam_s_0_checkpoint.pt"
        w = torch.load(path, weights_only=True, map_location="cpu")
        x = torch.rand(50, 1024)
        part, gate = "attention_net.module.", "attention_net.module.3.attention_"
        h = (x @ w[part + "0.weight"].T + w[part + "0.bias"]).relu()
        a = (h @ w[gate + "a.0.weight"].T + w[gate + "a.0.bias"]).tanh()
        b = (h @ w[gate + "b.0.weight"].T + w[gate + "b.0.bias"]).sigmoid()
        scores = (a * b) @ w[gate + "c.weight"].T + w[gate + "c.bias"]
        logits = (scores[:, 0].softmax(0) @ h) @ w["classifiers.weight"].T + w["classifiers.bias"]
        assert torch.allclose(load_published_clam(path)(x).logits, logits, atol=1e-4)

    @pytest.mark.parametrize("distillation", ["afs", "maxs", "maxmins"])
    def test_dtfd_loads_runs_and_goes_on_as_safetensors(
        self, data_dir: Path, tmp_path: Path, distillation
    ):
        path = data_dir / "checkpoints" / "dtfd_model.pth"
        model = load_published_dtfd(path, distillation=distillation)
        assert (model.n_features, model.n_classes, model.training) == (1024, 2, False)
        features = torch.rand(50, 1024)
        save_baseline(model, tmp_path / "dtfd.safetensors", f"dtfd_{distillation}")
        again = load_baseline(tmp_path / "dtfd.safetensors")
        assert_same_weights(model, again)
        torch.testing.assert_close(again(features).logits, model(features).logits)

    def test_one_methods_weights_are_not_anothers(self, data_dir: Path):
        with pytest.raises(BundleError, match="is DTFD-MIL and not CLAMSB"):
            load_published_clam(data_dir / "checkpoints" / "dtfd_model.pth")
        with pytest.raises(BundleError, match="is CLAM-SB and not DTFD"):
            load_published_dtfd(data_dir / "checkpoints" / "clam_s_0_checkpoint.pt")
