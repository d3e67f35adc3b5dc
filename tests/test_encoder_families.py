"""Encoders of timm and of one's own, with weights from a file."""

import json
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from napari_hagmil.encoders import Encoder, is_known, load_encoder
from napari_hagmil.encoders.network import computation_of
from napari_hagmil.encoders.onnx_graph import GraphSource, export_graph
from napari_hagmil.errors import EncoderError

FACTS = {"patch_size": 32, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}


def patches(side, n=3):
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def by_the_library(timm, network, images):
    """Features as timm's own evaluation makes them, of images that have the right size."""
    from PIL import Image

    config = timm.data.resolve_model_data_config(network)
    transform = timm.data.create_transform(**{**config, "crop_pct": 1.0}, is_training=False)
    batch = torch.stack([transform(Image.fromarray(image)) for image in images])
    with torch.no_grad():
        return network.eval()(batch)


def saved(timm, model, path, **settings):
    """A network of timm with random weights, which a file now has too, without its classifier."""
    torch.manual_seed(0)
    network = timm.create_model(model, pretrained=False, **settings)
    torch.save(network.state_dict(), path)
    network.reset_classifier(0)
    return network


@pytest.mark.parametrize("runtime", ["torch", "auto"])
def test_a_network_of_timm_sees_what_timm_shows_it(timm, runtime, tmp_path, monkeypatch):
    monkeypatch.setenv("HAGMIL_RUNTIME", runtime)
    monkeypatch.setattr("napari_hagmil.encoders.network.autocast_dtype", lambda device: None)
    bare = saved(timm, "resnet18", tmp_path / "own.pth")
    encoder = load_encoder(f"timm:resnet18={tmp_path / 'own.pth'}")
    assert isinstance(encoder, Encoder)
    assert (encoder.name, encoder.n_features, encoder.patch_size) == ("timm:resnet18", 512, 224)
    expected = by_the_library(timm, bare, patches(224))
    cosine = torch.cosine_similarity(encoder(patches(224)), expected)
    assert cosine.min() >= 0.9999
    assert torch.allclose(encoder(patches(224)), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_swin_large_has_1536_features_as_timm_makes_them(timm, tmp_path, monkeypatch):
    monkeypatch.setenv("HAGMIL_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HAGMIL_RUNTIME", "torch")
    monkeypatch.setattr("napari_hagmil.encoders.network.autocast_dtype", lambda device: None)
    # The random numbers of 197 million weights cost more than all the rest.
    monkeypatch.setattr(torch.Tensor, "erfinv_", lambda numbers: numbers)
    model = "swin_large_patch4_window7_224"
    bare = saved(timm, model, tmp_path / f"{model}.pth", num_classes=2)
    encoder = load_encoder("swin-large")
    assert (encoder.name, encoder.n_features, encoder.patch_size) == ("swin-large", 1536, 224)
    expected = by_the_library(timm, bare, patches(224, n=2))
    assert torch.allclose(encoder(patches(224, n=2)), expected, rtol=1e-3, atol=1e-3)


def test_without_weights_one_sentence_says_where_they_come_from(timm, tmp_path, monkeypatch):
    monkeypatch.setenv("HAGMIL_WEIGHTS", str(tmp_path))
    with pytest.raises(EncoderError, match=r"huggingface.co/timm/resnet18") as caught:
        load_encoder("timm:resnet18")
    assert "timm:resnet18=FILE" in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_weights_of_another_network_are_refused(timm, tmp_path):
    saved(timm, "resnet18", tmp_path / "small.pth")
    with pytest.raises(EncoderError, match="are of another network"):
        load_encoder(f"timm:resnet34={tmp_path / 'small.pth'}")


def test_a_network_that_timm_lacks_is_refused(timm):
    with pytest.raises(EncoderError, match="not among the networks of timm"):
        load_encoder("timm:resnet_of_nobody")


class Pool(nn.Module):
    """The mean of the normalised colours, and twice that: 6 features."""

    def forward(self, images):
        mean = images.mean((2, 3))
        return torch.cat([mean, 2 * mean], dim=1)


@pytest.fixture
def own(tmp_path):
    """An ONNX file of one's own, with its facts."""
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    path = tmp_path / "own.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is a newer exporter
        torch.onnx.export(
            Pool(),
            (torch.zeros(2, 3, 32, 32),),
            path,
            dynamo=False,
            input_names=["images"],
            dynamic_axes={"images": {0: "n"}},
        )
    path.with_name("own.onnx.json").write_text(json.dumps(FACTS))
    return path


def test_an_onnx_file_is_an_encoder_of_its_own_normalisation(own):
    encoder = load_encoder(str(own))
    assert isinstance(encoder, Encoder)
    assert (encoder.name, encoder.n_features, encoder.patch_size) == ("own.onnx", 6, 32)
    assert computation_of(encoder).runtime == "onnxruntime"
    mean = patches(32).reshape(3, -1, 3).mean(1) / 255
    expected = (mean - FACTS["mean"]) / FACTS["std"]
    assert encoder(patches(32)).numpy() == pytest.approx(np.hstack([expected, 2 * expected]), 1e-4)
    assert encoder(patches(32, n=0)).shape == (0, 6)


def test_a_bundle_finds_an_onnx_file_by_its_name(own, monkeypatch):
    monkeypatch.setenv("HAGMIL_WEIGHTS", str(own.parent))
    assert load_encoder("own.onnx").weights_sha256 == load_encoder(str(own)).weights_sha256


@pytest.mark.parametrize(
    "wrong", [None, {**FACTS, "std": [0, 1, 1]}, {**FACTS, "mean": [1]}, {"patch_size": 32}, []]
)
def test_an_onnx_file_without_its_facts_is_refused(own, wrong):
    beside = own.with_name("own.onnx.json")
    beside.unlink() if wrong is None else beside.write_text(json.dumps(wrong))
    with pytest.raises(EncoderError, match=r"needs patch_size, mean and std .* own.onnx.json"):
        load_encoder(str(own))


def test_a_file_that_is_no_graph_is_refused_in_one_sentence(own):
    own.write_bytes(b"hello")
    with pytest.raises(EncoderError, match="cannot be loaded by onnxruntime") as caught:
        load_encoder(str(own))
    assert "\n" not in str(caught.value)


def test_a_graph_that_takes_something_else_is_refused(own):
    graph = export_graph(GraphSource("own", "", Bytes, 32))
    own.write_bytes(graph)
    with pytest.raises(EncoderError, match="does not take two patches of 32 px"):
        load_encoder(str(own))


@pytest.fixture(params=[".ts", ".pt", ".pt2"])
def program(request, tmp_path):
    """A program of torch of one's own, with its facts."""
    path = tmp_path / f"own{request.param}"
    example = torch.zeros(2, 3, 32, 32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TorchScript is old
        if path.suffix == ".pt2":
            n = torch.export.Dim("n", min=1, max=4096)
            torch.export.save(
                torch.export.export(Pool(), (example,), dynamic_shapes=({0: n},)), path
            )
        else:
            torch.jit.save(torch.jit.trace(Pool(), example), path)
    path.with_name(f"{path.name}.json").write_text(json.dumps({**FACTS, "mpp": 0.5}))
    return path


def test_a_program_of_torch_is_loaded_only_where_it_is_trusted(program, monkeypatch):
    monkeypatch.delenv("HAGMIL_ALLOW_CODE", raising=False)
    with pytest.raises(EncoderError, match="can run any code with your rights") as caught:
        load_encoder(str(program))
    assert "--allow-code" in caught.value.sentence("command line")
    monkeypatch.setenv("HAGMIL_ALLOW_CODE", "1")
    encoder = load_encoder(str(program))
    assert (encoder.name, encoder.n_features, encoder.patch_size) == (program.name, 6, 32)
    assert (encoder.mpp, computation_of(encoder).runtime) == ((0.5,), "torch")
    mean = patches(32).reshape(3, -1, 3).mean(1) / 255
    expected = (mean - FACTS["mean"]) / FACTS["std"]
    features = encoder(patches(32)).numpy()
    assert features == pytest.approx(np.hstack([expected, 2 * expected]), 1e-2)
    assert encoder(patches(32, n=1)).shape == (1, 6)


def test_a_file_that_is_no_program_is_refused_in_one_sentence(program, monkeypatch):
    monkeypatch.setenv("HAGMIL_ALLOW_CODE", "1")
    torch.save(Pool().state_dict(), program)
    with pytest.raises(EncoderError, match="is no program of") as caught:
        load_encoder(str(program))
    assert "\n" not in str(caught.value)


class Bytes(nn.Module):
    """A network over bytes, where float32 images are wanted."""

    def forward(self, images):
        return images.float().mean((1, 2))


def test_names_are_known_by_name_family_and_file():
    families = ["timm:anything", "hf:owner/name", "lazyslide:uni"]
    assert all(map(is_known, ["swin-large", *families, "folder/own.onnx", "own.pt2", "own.ts"]))
    assert not any(map(is_known, ["", "uni", "timm:", "nobody:x", "own.pth"]))


def test_an_encoder_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(EncoderError, match=r"missing\.onnx is neither there nor in"):
        load_encoder(str(tmp_path / "missing.onnx"))
