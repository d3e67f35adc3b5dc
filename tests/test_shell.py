"""SHELL: its network against its ONNX file, and EfficientNet-Lite0 beside it as an encoder."""

import warnings
import zipfile
from importlib import metadata

import numpy as np
import pytest
import torch

from napari_hagmil.encoders import load_encoder
from napari_hagmil.encoders.families import shell
from napari_hagmil.encoders.families.he_planes import HePlanes
from napari_hagmil.encoders.families.segresnet import SegResNet, read_segresnet
from napari_hagmil.errors import EncoderError


@pytest.fixture(scope="module")
def installed():
    """SHELL's own file."""
    try:
        metadata.distribution(shell.PACKAGE)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{shell.PACKAGE} is not installed: {shell.INSTALL}")
    return shell._installed()


@pytest.fixture(scope="module")
def random_graph(tmp_path_factory):
    """A file in SHELL's layout with random weights, and the network that it was made of."""
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    torch.manual_seed(0)
    network = SegResNet().eval()
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    path = tmp_path_factory.mktemp("shell") / shell.GRAPH
    export(network, path)
    return path, network


def export(network, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are newer ways
        torch.onnx.export(network, (torch.rand(1, 3, 32, 32),), path, dynamo=False)


def patches(side, n=2):
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def test_the_network_computes_what_shells_own_file_does(installed):
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    planes = torch.from_numpy(np.random.default_rng(0).random((2, 3, 64, 96), dtype=np.float32))
    session = onnxruntime.InferenceSession(str(installed), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"input": planes.numpy()})
    with torch.no_grad():
        found = read_segresnet(installed, encoder="shell")(planes)
    assert np.abs(found.numpy() - expected).max() < 1e-4 < np.abs(expected).max()


def test_weights_go_where_they_belong(random_graph):
    path, network = random_graph
    read = read_segresnet(path, encoder="shell")
    assert all(
        torch.equal(a, b) for a, b in zip(read.parameters(), network.parameters(), strict=True)
    )


def test_lite0_and_shell_see_one_patch_side_by_side(random_graph, monkeypatch):
    monkeypatch.setattr("napari_hagmil.encoders.network.autocast_dtype", lambda device: None)
    path, network = random_graph
    encoder = load_encoder(f"lite0+shell={path}")
    assert (encoder.name, encoder.n_features, encoder.patch_size) == ("lite0+shell", 1408, 224)
    seen = patches(224)
    found = encoder(seen)
    lite0 = load_encoder("efficientnet-lite0")(seen)
    assert torch.allclose(found[:, :1280], lite0, atol=1e-3)
    halved = seen.reshape(2, 112, 2, 112, 2, 3).mean((2, 4)).transpose(0, 3, 1, 2)
    with torch.no_grad():
        maps = network.maps(HePlanes()(torch.from_numpy(halved).float()))[-1]
    assert torch.allclose(found[:, 1280:], maps.mean((2, 3)), rtol=1e-3, atol=1e-3)


def test_stains_are_told_apart_as_macenko_gives_them():
    eosin, haematoxylin = np.exp(-1.0308 * np.array([0.2159, 0.8012, 0.5581])), 1.0
    full = np.stack([np.full(3, 240.0), 240 * eosin * haematoxylin])
    found = HePlanes()(torch.tensor(full.T[None, :, None], dtype=torch.float32))[0, :, 0]
    assert torch.allclose(found[:2], torch.tensor([[0.0, 1.0], [0.0, 0.0]]), atol=1e-5)


def test_the_wheel_will_do_and_has_the_hash_of_what_is_in_it(random_graph, tmp_path):
    path, _ = random_graph
    wheel = tmp_path / "lavlab_shell-0.9.1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(path, f"shell/weights/{shell.GRAPH}")
    hashes = {load_encoder(f"lite0+shell={each}").weights_sha256 for each in (path, wheel)}
    assert len(hashes) == 1
    assert hashes != {load_encoder("efficientnet-lite0").weights_sha256}


def test_what_is_missing_or_wrong_is_said_with_the_command(random_graph, tmp_path, monkeypatch):
    monkeypatch.setattr(shell, "PACKAGE", "no-such-package")
    monkeypatch.setenv("HAGMIL_WEIGHTS", str(tmp_path))
    with pytest.raises(EncoderError, match="run pip install --no-deps lavlab-shell==0"):
        load_encoder("lite0+shell")
    path, _ = random_graph
    (tmp_path / shell.GRAPH).write_bytes(path.read_bytes())
    load_encoder("lite0+shell")
    other = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3, padding=1))
    export(other, tmp_path / "other.onnx")
    with pytest.raises(EncoderError, match="1 layers with weights, not"):
        load_encoder(f"lite0+shell={tmp_path / 'other.onnx'}")
    (tmp_path / "broken.whl").write_bytes(b"no zip")
    with pytest.raises(EncoderError, match=r"broken\.whl cannot be read"):
        load_encoder(f"lite0+shell={tmp_path / 'broken.whl'}")
