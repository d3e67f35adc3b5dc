"""The official Lightning checkpoint becomes a bundle that computes the same."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from napari_hagmil.errors import BundleError
from napari_hagmil.models import OfficialFacts, convert_official, load_bundle


@pytest.fixture
def checkpoint(official_checkpoint: Path) -> Path:
    return official_checkpoint


def test_the_bundle_equals_the_reference_at_every_depth(data_dir, cascade_case, tmp_path):
    checkpoint = data_dir / "reference" / "official_like.ckpt"
    k = int(cascade_case.facts["k"])
    convert_official(checkpoint, tmp_path / "official.hagmil", OfficialFacts(budget=k))
    model, expected = load_bundle(tmp_path / "official.hagmil"), cascade_case.tensors
    nodes = torch.arange(len(expected["features2"]))
    for depth, level in enumerate((2, 1, 0)):
        output = model.stages[depth](expected[f"features{level}"][nodes])
        attention = expected[f"attention_logits{level}"][0].softmax(0)
        assert torch.allclose(output.logits, expected[f"logits{level}"][0], atol=1e-6)
        assert torch.allclose(output.attention, attention, atol=1e-6)
        if level:
            budget = model.config.budget[depth]
            top = output.attention.argsort(descending=True, stable=True)[:budget]
            nodes = (4 * nodes[top][:, None] + torch.arange(4)).flatten()
            assert torch.equal(nodes, expected[f"indices{level - 1}"])


def test_the_bundle_carries_parity_mode_by_itself(checkpoint, tmp_path):
    convert_official(checkpoint, tmp_path / "official.zip")
    config = load_bundle(tmp_path / "official.zip").config
    assert config.order == "attention"
    assert all(stage.legacy_padding for stage in config.stages)
    assert (config.name, config.mpp) == ("official_like", (1.0, 0.5, 0.25))
    assert config.encoder.name == "resnet50-layer3"
    assert config.training["epoch"] == 3


def test_what_the_checkpoint_does_not_say_can_be_said(checkpoint, tmp_path):
    facts = OfficialFacts(
        name="mine", classes=("a", "b"), encoder="own", patch_size=128, finest_mpp=0.5, budget=9
    )
    config = convert_official(checkpoint, tmp_path / "mine.hagmil", facts).config
    assert (config.name, config.classes, config.encoder.name) == ("mine", ("a", "b"), "own")
    assert (config.patch_size, config.mpp, config.budget) == (128, (2.0, 1.0, 0.5), (9, 9))


def edited(checkpoint: Path, out: Path, change) -> Path:
    content = torch.load(checkpoint, weights_only=True)
    change(content["state_dict"])
    torch.save(content, out)
    return out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.clear(), r"needs the models model0 \(finest\) to modelN, got \[\]"),
        (lambda s: s.pop("model1.fc5.bias"), "head.bias"),
        (lambda s: s.pop("model1.fc5.weight"), "do not give the dimensions"),
        (lambda s: s.update({"model1.fc6.bias": torch.zeros(2)}), r"parameter 'fc6\.bias'"),
        (
            lambda s: s.update({"model2.layers.0.layer.residual_attn.omega": torch.ones(1)}),
            r"constant 1\.7595671",
        ),
        (
            lambda s: [s.pop(k) for k in list(s) if k.startswith("model1.")],
            r"got \[0, 2\]",
        ),
    ],
)
def test_another_checkpoint_is_refused_in_one_sentence(checkpoint, tmp_path, change, words):
    path = edited(checkpoint, tmp_path / "other.ckpt", change)
    with pytest.raises(BundleError, match=words) as caught:
        convert_official(path, tmp_path / "other.hagmil")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "other.hagmil").exists()


class _Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(tmp_path):
    victim = tmp_path / "victim"
    torch.save({"state_dict": {}, "hyper_parameters": _Touch(victim)}, tmp_path / "evil.ckpt")
    with pytest.raises(BundleError, match="without running code"):
        convert_official(tmp_path / "evil.ckpt", tmp_path / "evil.hagmil")
    assert not victim.exists()


@pytest.mark.parametrize("content", [b"", b"hello", pickle.dumps([1, 2])])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "no.ckpt").write_bytes(content)
    with pytest.raises(BundleError, match=r"no\.ckpt"):
        convert_official(tmp_path / "no.ckpt", tmp_path / "no.hagmil")


def test_a_checkpoint_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BundleError, match="does not exist"):
        convert_official(tmp_path / "no.ckpt", tmp_path / "no.hagmil")
