import numpy as np
import pytest
import torch

from napari_hagmil.encoders import Encoder, load_encoder, resolve_device
from napari_hagmil.encoders.families.efficientnet import (
    _load_network,
    _weights_path,
    fold_for_inference,
)
from napari_hagmil.errors import DeviceError, EncoderError


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("efficientnet-lite0")


def test_the_default_encoder_is_an_encoder(encoder):
    assert isinstance(encoder, Encoder)
    assert (encoder.n_features, encoder.patch_size) == (1280, 224)
    assert len(encoder.weights_sha256) == 64


def test_features_do_not_depend_on_the_company_of_a_patch(encoder):
    patches = np.random.default_rng(0).integers(0, 256, (11, 224, 224, 3), dtype=np.uint8)
    together = encoder(patches)
    assert together.shape == (11, 1280)
    assert torch.allclose(encoder(patches[3:4])[0], together[3], atol=1e-3)


def test_folding_leaves_the_features_as_they_are():
    images = torch.randn(2, 3, 224, 224)
    network = _load_network(_weights_path())
    with torch.no_grad():
        before = network.extract_features(images)
        after = fold_for_inference(network).extract_features(images)
    assert torch.allclose(before, after, atol=1e-3)


def test_no_patches_give_no_features(encoder):
    assert encoder(np.empty((0, 224, 224, 3), np.uint8)).shape == (0, 1280)


def test_an_unknown_encoder_is_refused_with_the_known_ones():
    with pytest.raises(EncoderError, match="efficientnet-lite0"):
        load_encoder("resnet-9000")


def test_auto_finds_a_device():
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")


@pytest.mark.skipif(torch.cuda.is_available(), reason="the machine has a GPU")
def test_cuda_where_there_is_none_is_refused_in_one_sentence():
    with pytest.raises(DeviceError, match="'cuda' was asked for, but this machine"):
        resolve_device("cuda")


def test_an_unknown_device_is_refused():
    with pytest.raises(DeviceError, match="a device is one of"):
        resolve_device("tpu")
