"""A bundle over the encoder of the paper, on a slide."""

import pytest
import torch

from napari_hagmil.encoders.families.resnet import ResNet50Stages
from napari_hagmil.errors import EncoderError
from napari_hagmil.models import (
    BundleConfig,
    CascadeModel,
    EncoderFacts,
    IATConfig,
    save_bundle,
)
from napari_hagmil.pipeline import analyze_slide
from napari_hagmil.prepare import Options


@pytest.fixture
def paper_bundle(tmp_path):
    stage = IATConfig(n_features=1024, widths=(64, 32), legacy_padding=True)
    config = BundleConfig(
        name="paper",
        encoder=EncoderFacts(name="resnet50-layer3", weights_sha256="", n_features=1024),
        patch_size=256,
        mpp=(1.0, 0.5, 0.25),
        classes=("normal", "tumor"),
        stages=(stage,) * 3,
        budget=(2, 2),
        order="attention",
    )
    path = tmp_path / "paper.hagmil"
    save_bundle(CascadeModel(config), path)
    return path


def test_it_runs_on_a_slide_when_the_weights_are_there(
    phantom, paper_bundle, tmp_path, monkeypatch
):
    torch.save(ResNet50Stages().state_dict(), tmp_path / "resnet50-0676ba61.pth")
    monkeypatch.setenv("HAGMIL_WEIGHTS", str(tmp_path))
    result = analyze_slide(phantom, paper_bundle, options=Options(device="cpu"))
    assert result.model.encoder == "resnet50-layer3"
    assert [int(stage.followed.sum()) for stage in result.stages[:2]] == [2, 2]
    assert result.grids[0].patch_size == 256


def test_without_the_weights_it_says_where_to_get_them(
    phantom, paper_bundle, tmp_path, monkeypatch
):
    monkeypatch.setenv("HAGMIL_WEIGHTS", str(tmp_path / "empty"))
    with pytest.raises(EncoderError, match=r"download .*resnet50"):
        analyze_slide(phantom, paper_bundle, options=Options(device="cpu"))
