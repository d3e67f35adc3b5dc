"""ResNet-50 cut after stage 3: torchvision's layout, from a file, and never without one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from napari_hagmil.encoders import Encoder
from napari_hagmil.encoders.families.resnet import ResNet50Layer3, ResNet50Stages, _fold
from napari_hagmil.errors import EncoderError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    network = ResNet50Stages()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    behind = {"layer4.0.conv1.weight": torch.zeros(512, 1024, 1, 1), "fc.bias": torch.zeros(1000)}
    return {**network.state_dict(), **behind}


@pytest.fixture
def weights_file(weights, tmp_path, monkeypatch) -> Path:
    path = tmp_path / "resnet50-0676ba61.pth"
    torch.save(weights, path)
    monkeypatch.setenv("HAGMIL_WEIGHTS", str(tmp_path))
    return path


def patches(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 256, 256, 3), dtype=np.uint8)


def test_it_is_an_encoder_with_1024_features(weights_file):
    encoder = ResNet50Layer3(CPU)
    assert isinstance(encoder, Encoder)
    assert (encoder.n_features, len(encoder.weights_sha256)) == (1024, 64)
    assert encoder(patches(0)).shape == (0, 1024)


def test_features_are_the_pooled_third_stage_of_imagenet_normalised_patches(
    weights, weights_file, monkeypatch
):
    network = ResNet50Stages().eval()
    network.load_state_dict(
        {k: v for k, v in weights.items() if not k.startswith(("fc", "layer4"))}
    )
    images = torch.from_numpy(patches(2)).permute(0, 3, 1, 2) / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        maps = network((images - mean[:, None, None]) / std[:, None, None])
    assert maps.shape == (2, 1024, 16, 16)
    # bfloat16 where the CPU is made for it
    monkeypatch.setattr("napari_hagmil.encoders.network.autocast_dtype", lambda device: None)
    encoder = ResNet50Layer3(CPU)
    features, expected = encoder(patches(2)), maps.mean((2, 3))
    assert (features - expected).abs().max() < 1e-4 * expected.abs().max()


def test_folding_leaves_no_batch_norm():
    folded = _fold(ResNet50Stages().eval())
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())


def test_the_names_are_those_of_torchvision_and_timm():
    names = set(ResNet50Stages().state_dict())
    for name in ("conv1.weight", "bn1.bias", "layer1.0.downsample.0.weight",
                 "layer1.0.downsample.1.running_var", "layer3.5.conv3.weight"):  # fmt: skip
        assert name in names


def test_timms_safetensors_do_as_well(weights, tmp_path, weights_file):
    safetensors.torch.save_file(weights, tmp_path / "timm.safetensors")
    one = ResNet50Layer3(CPU, tmp_path / "timm.safetensors")
    assert torch.equal(one(patches(1)), ResNet50Layer3(CPU)(patches(1)))
    assert one.weights_sha256 != ResNet50Layer3(CPU).weights_sha256


def test_without_weights_one_sentence_says_where_to_get_them_and_where_to_put_them(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HAGMIL_WEIGHTS", str(tmp_path))
    with pytest.raises(EncoderError) as caught:
        ResNet50Layer3(CPU)
    sentence = str(caught.value)
    assert "https://download.pytorch.org/models/resnet50-0676ba61.pth" in sentence
    assert f"not in {tmp_path}" in sentence
    assert "HAGMIL_WEIGHTS" in sentence


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "'bn1.bias' is missing"),
        ({"fc.weight": torch.zeros(1)}, "not a ResNet-50's"),
        ([1], "not a ResNet-50's"),
    ],
)
def test_other_weights_are_refused(tmp_path, content, words):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(EncoderError, match=words):
        ResNet50Layer3(CPU, tmp_path / "other.pth")


def test_a_smaller_resnet_is_refused_in_one_sentence(weights, tmp_path):
    torch.save({**weights, "conv1.weight": torch.zeros(32, 3, 7, 7)}, tmp_path / "small.pth")
    with pytest.raises(EncoderError, match="size mismatch") as caught:
        ResNet50Layer3(CPU, tmp_path / "small.pth")
    assert "\n" not in str(caught.value)


def test_a_damaged_file_is_refused(tmp_path):
    for name in ("broken.pth", "broken.safetensors"):
        (tmp_path / name).write_bytes(b"hello")
        with pytest.raises(EncoderError, match=name):
            ResNet50Layer3(CPU, tmp_path / name)
