"""Weights from the network: only when asked, once, with host and hash."""

import hashlib
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import safetensors.torch

from napari_hagmil.cli import main
from napari_hagmil.encoders import download, load_encoder, plan_download
from napari_hagmil.encoders.families.resnet import ResNet50Stages
from napari_hagmil.errors import EncoderError, OfflineError


@pytest.fixture(autouse=True)
def weights(tmp_path, monkeypatch) -> Path:
    """An empty folder of weights."""
    monkeypatch.setenv("HAGMIL_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("HAGMIL_RUNTIME", "torch")
    monkeypatch.setenv("HAGMIL_OFFLINE", "0")
    return tmp_path / "weights"


@pytest.fixture(scope="module")
def content():
    """A file of random weights of ResNet-50's first stages."""
    return safetensors.torch.save(ResNet50Stages().state_dict())


@pytest.fixture
def server(content, monkeypatch):
    """A server of this machine that gives the file, and what was asked of it."""
    asked = []

    class Giver(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200 if "resnet" in self.path else 404)
            self.end_headers()
            self.wfile.write(content if "resnet" in self.path else b"")

        def log_message(self, *_):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Giver)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    start = hashlib.sha256(content).hexdigest()[:8]
    address = f"http://127.0.0.1:{running.server_port}"

    def serve(name):
        monkeypatch.setattr(
            "napari_hagmil.encoders.downloads.WEIGHTS_URL", f"{address}/{name.format(start)}"
        )
        return asked

    yield serve
    running.shutdown()
    running.server_close()
    thread.join()


def test_what_is_downloaded_is_kept_with_host_and_hash(server, weights, content, capsys):
    asked = server("resnet50-{}.pth")
    plan = plan_download("resnet50-layer3")
    assert (plan.host, asked) == ("127.0.0.1", [])
    assert main(["models", "--download", "resnet50-layer3"]) == 0
    out = capsys.readouterr()
    sha256 = hashlib.sha256(content).hexdigest()
    assert "asking 127.0.0.1 for http://127.0.0.1" in out.err
    assert sha256 in out.out
    assert len(asked) == 1
    record = json.loads((weights / "downloads.json").read_text())
    kept = record[plan.place.name]
    assert (kept["host"], kept["sha256"], kept["bytes"]) == ("127.0.0.1", sha256, len(content))
    assert plan.place.read_bytes() == content


def test_a_file_that_is_not_what_its_name_says_is_not_kept(server, weights):
    server("resnet50-01234567.pth")
    with pytest.raises(EncoderError, match="has another SHA-256 than its name says"):
        download(plan_download("resnet50-layer3"))
    assert not list(weights.glob("*"))


def test_a_host_that_has_it_not_is_named_in_one_sentence(server, weights):
    server("nothing.pth")
    with pytest.raises(EncoderError, match=r"cannot be had of 127\.0\.0\.1: HTTP Error 404"):
        download(plan_download("resnet50-layer3"))
    assert not list(weights.glob("*"))


def test_nothing_is_asked_for_when_offline(server, monkeypatch):
    asked = server("resnet50-{}.pth")
    monkeypatch.setenv("HAGMIL_OFFLINE", "1")
    with pytest.raises(OfflineError, match=r"the download of resnet50-layer3 from 127\.0\.0\.1"):
        download(plan_download("resnet50-layer3"))
    assert asked == []


def test_weights_that_changed_since_their_download_are_refused(weights, content):
    weights.mkdir()
    file = weights / "resnet50-layer3.safetensors"
    file.write_bytes(content)
    entry = {"host": "a.host", "address": "https://a.host/x", "sha256": "0" * 64}
    (weights / "downloads.json").write_text(json.dumps({file.name: entry}))
    with pytest.raises(EncoderError, match=r"are not what was downloaded from a\.host"):
        load_encoder("resnet50-layer3")
    entry["sha256"] = hashlib.sha256(content).hexdigest()
    (weights / "downloads.json").write_text(json.dumps({file.name: entry}))
    assert load_encoder("resnet50-layer3").weights_sha256 == entry["sha256"]


def test_a_network_of_timm_comes_from_the_hub_and_is_used_from_then_on(timm, monkeypatch, tmp_path):
    network = timm.create_model("test_resnet", pretrained=False)
    safetensors.torch.save_file(network.state_dict(), tmp_path / "given.safetensors")
    asked = []

    def give(repository, name, local_dir):
        asked.append((repository, name))
        return shutil.copy(tmp_path / "given.safetensors", Path(local_dir) / name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", give)
    with pytest.raises(EncoderError, match="needs its weights") as caught:
        load_encoder("timm:test_resnet")
    assert "models --download timm:test_resnet" in caught.value.sentence("command line")
    (file,) = download(plan_download("timm:test_resnet"))
    assert asked == [("timm/test_resnet.r160_in1k", "model.safetensors")]
    assert load_encoder("timm:test_resnet").weights_sha256 == file.sha256


def test_a_repository_comes_whole_or_not_at_all(timm, monkeypatch, weights):
    def give(repository, local_dir, allow_patterns):
        facts = {"input_size": [3, 160, 160], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
        config = {"architecture": "test_resnet", "num_classes": 0, "pretrained_cfg": facts}
        (Path(local_dir) / "config.json").write_text(json.dumps(config))
        if repository == "owner/broken":
            raise ConnectionError("the line is cut")
        network = timm.create_model("test_resnet", pretrained=False, num_classes=0)
        safetensors.torch.save_file(network.state_dict(), Path(local_dir) / "model.safetensors")

    monkeypatch.setattr("huggingface_hub.snapshot_download", give)
    with pytest.raises(EncoderError, match=r"cannot be had of huggingface\.co: the line is cut"):
        download(plan_download("hf:owner/broken"))
    assert not [path for path in weights.glob("*") if "broken" in path.name]
    files = download(plan_download("hf:owner/name"))
    assert [each.path.name for each in files] == ["config.json", "model.safetensors"]
    assert load_encoder("hf:owner/name").patch_size == 160


@pytest.mark.parametrize("name", ["efficientnet-lite0", "own.onnx"])
def test_what_needs_no_download_says_so(name):
    with pytest.raises(EncoderError, match="needs no download"):
        plan_download(name)


def test_models_lists_what_lies_in_the_folder_of_weights(weights, capsys):
    weights.mkdir()
    (weights / "own.onnx").write_bytes(b"no graph")
    assert main(["models", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    encoders = {each["name"]: each for each in answer["encoders"]}
    assert "own.onnx" in encoders["own.onnx"]["missing"]
    assert encoders["efficientnet-lite0"]["n_features"] == 1280
    assert "models --download resnet50-layer3" in encoders["resnet50-layer3"]["missing"]
    assert {family["name"] for family in answer["families"]} >= {"timm:NAME", "lazyslide:KEY"}


def test_models_says_of_a_bundle_what_its_encoder_needs(scratch_bundle, tmp_path, capsys):
    copy = tmp_path / "other.hagmil"
    shutil.copytree(scratch_bundle, copy)
    config = json.loads((copy / "config.json").read_text())
    config["encoder"]["name"] = "uni_v1"
    (copy / "config.json").write_text(json.dumps(config))
    assert main(["models", str(copy), str(tmp_path / "none.hagmil"), "--json"]) == 0
    _, mine, none = json.loads(capsys.readouterr().out)["bundles"]
    assert "encoder 'uni_v1' is not known" in mine["missing"]
    assert "--features" in mine["missing"]
    assert "does not exist" in none["missing"]
