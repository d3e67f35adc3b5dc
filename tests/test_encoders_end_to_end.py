"""Every family of encoders on a real slide: encoded, and read by a cascade over its features."""

import json
import warnings

import pytest
import torch
from torch import nn

from napari_hagmil.cli import main
from napari_hagmil.encoders import load_encoder
from napari_hagmil.encoders.families import shell
from napari_hagmil.encoders.families.segresnet import SegResNet
from napari_hagmil.features import FeatureStore, encoder_facts
from napari_hagmil.models import BundleConfig, CascadeModel, IATConfig, save_bundle

#: A piece of tissue of the slide, level-0 px (x, y): a few patches of each depth.
CORNERS = [[900, 1300], [1500, 1300], [1500, 1900], [900, 1900], [900, 1300]]


class Colours(nn.Module):
    """Eight features of a patch's colours."""

    def forward(self, images):
        return torch.cat([images.mean((2, 3)), images.amax((2, 3)), images[:, :2, 0, 0]], dim=1)


def of_timm(request, folder):
    timm = request.getfixturevalue("timm")
    network = timm.create_model("test_vit", pretrained=False)
    torch.save(network.state_dict(), folder / "test_vit.pth")
    return "timm:test_vit"


def of_transformers(request, folder, place="owner--name"):
    transformers = request.getfixturevalue("transformers")
    config = transformers.ViTConfig(
        hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        image_size=64, patch_size=16,
    )  # fmt: skip
    transformers.ViTModel(config).save_pretrained(folder / place)
    transformers.ViTImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder / place)
    return "hf:owner/name"


def of_the_zoo(request, folder):
    request.getfixturevalue("zoo")
    kept = folder / "hub" / "models--owkin--phikon"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("1" * 40)
    of_transformers(request, kept / "snapshots", "1" * 40)
    request.getfixturevalue("monkeypatch").setattr(
        "huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hub")
    )
    return "lazyslide:phikon"


def of_a_file(request, folder, name):
    example = torch.zeros(2, 3, 64, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are newer ways
        if name.endswith(".onnx"):
            pytest.importorskip("onnx", reason="the extra onnx is not installed")
            torch.onnx.export(
                Colours(), (example,), folder / name, dynamo=False,
                input_names=["images"], dynamic_axes={"images": {0: "n"}},
            )  # fmt: skip
        elif name.endswith(".pt2"):
            n = torch.export.Dim("n", min=1, max=4096)
            made = torch.export.export(Colours(), (example,), dynamic_shapes=({0: n},))
            torch.export.save(made, folder / name)
        else:
            torch.jit.save(torch.jit.trace(Colours(), example), folder / name)
    facts = {"patch_size": 64, "mean": [0.7, 0.5, 0.6], "std": [0.2, 0.2, 0.2], "mpp": [1, 0.5]}
    (folder / f"{name}.json").write_text(json.dumps(facts))
    return name


def of_shell(request, folder):
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    network = SegResNet().eval()
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are newer ways
        planes = (torch.zeros(1, 3, 32, 32),)
        torch.onnx.export(network, planes, folder / shell.GRAPH, dynamo=False)
    request.getfixturevalue("monkeypatch").setattr(shell, "PACKAGE", "not-installed")
    return "lite0+shell"


FAMILIES = {
    "shell": of_shell,
    "timm": of_timm,
    "transformers": of_transformers,
    "zoo": of_the_zoo,
    "onnx": lambda request, folder: of_a_file(request, folder, "own.onnx"),
    "script": lambda request, folder: of_a_file(request, folder, "own.ts"),
    "export": lambda request, folder: of_a_file(request, folder, "own.pt2"),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_encodes_a_real_slide_and_serves_a_cascade(
    family, request, slides_dir, tmp_path, monkeypatch
):
    monkeypatch.setenv("HAGMIL_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HAGMIL_OFFLINE", "1")
    monkeypatch.setenv("HAGMIL_RUNTIME", "torch")
    monkeypatch.setenv("HAGMIL_ALLOW_CODE", "0")
    torch.manual_seed(0)
    name = FAMILIES[family](request, tmp_path)
    trust = ["--allow-code"] if family in ("script", "export") else []
    slide = str(slides_dir / "CMU-1-Small-Region.svs")
    area = {"type": "Polygon", "coordinates": [CORNERS]}
    (tmp_path / "tissue").mkdir()
    outlines = tmp_path / "tissue" / "CMU-1-Small-Region.geojson"
    outlines.write_text(json.dumps(area))
    asked = ["--encoder", name, "--depths", "1,0.5", "--tissue-dir", str(outlines.parent)]
    assert main(["encode", slide, "--store", str(tmp_path / "store"), *asked, *trust]) == 0
    store = FeatureStore(tmp_path / "store" / "CMU-1-Small-Region.zarr")
    assert store.encoder.name == name
    assert len(store.encoder.mean) == 3
    encoder = load_encoder(name)
    model = cascade_over(encoder)
    save_bundle(model, tmp_path / "own.hagmil")
    out = tmp_path / "out"
    model_and_place = ["--model", str(tmp_path / "own.hagmil"), "--tissue", str(outlines)]
    assert main(["analyze", slide, "--out", str(out), *model_and_place, *trust]) == 0
    result = json.loads((out / "result.json").read_text())
    assert result["model"]["encoder"] == name
    assert [stage["unread"] for stage in result["stages"]] == [0, 0]
    assert sum(stage["nodes"] for stage in result["stages"]) > 4


def cascade_over(encoder):
    """An untrained cascade of two depths over an encoder's features."""
    stage = IATConfig(n_features=encoder.n_features, widths=(16, 8), n_classes=2, heads=2)
    config = BundleConfig(
        name="own",
        encoder=encoder_facts(encoder),
        patch_size=encoder.patch_size,
        mpp=(1.0, 0.5),
        classes=("normal", "tumor"),
        stages=(stage, stage),
        budget=(4,),
    )
    return CascadeModel(config)
