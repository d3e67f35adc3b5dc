"""Epithelium and stroma of a slide: found in blocks, written, and taken as the tissue."""

import json

import numpy as np
import pytest
import tifffile
import torch
from torch import nn

from json_schemas import require_schemas
from napari_hagmil.cli import main
from napari_hagmil.encoders.families import shell
from napari_hagmil.epithelium import CLASSES, find_epithelium
from napari_hagmil.errors import SlideFormatError
from napari_hagmil.geometry import Region
from napari_hagmil.slide import open_slide, read_scaled
from napari_hagmil.tissue import TissueMask


class ByColour(nn.Module):
    """In place of SHELL: violet is epithelium, ochre is lumen."""

    def forward(self, pixels):
        red, green, blue = pixels[0]
        return torch.stack([green - 150, blue - 150, 0 * red])[None]


@pytest.fixture
def by_colour(monkeypatch):
    monkeypatch.setattr(
        "napari_hagmil.epithelium.find.load_shell", lambda device, weights=None: ByColour()
    )


def written(picture, path, mpp):
    per_cm = 1e4 / mpp
    tifffile.imwrite(
        path, picture, tile=(256, 256), photometric="rgb", resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path


@pytest.fixture
def coloured(tmp_path):
    """Red, with a violet square and one of ochre, of whole cells; wider than a block."""
    picture = np.full((720, 1360, 3), (200, 60, 90), np.uint8)
    picture[80:240, 880:1040] = (150, 80, 180)
    picture[480:560, 80:160] = (200, 190, 140)
    return written(picture, tmp_path / "coloured.tiff", 0.5)


def everywhere(shape, downsample):
    return TissueMask(np.ones((shape[0] // downsample, shape[1] // downsample), bool), downsample)


def test_every_cell_has_the_class_of_its_pixels_across_blocks_and_at_edges(coloured, by_colour):
    shares = []
    with open_slide(coloured) as slide:
        found = find_epithelium(slide, everywhere(slide.shape, 8), on_progress=shares.append)
    assert (found.downsample, found.values.shape) == (8, (90, 170))
    expected = np.full((90, 170), 1 + CLASSES.index("stroma"))
    expected[10:30, 110:130] = 1 + CLASSES.index("epithelium")
    expected[60:70, 10:20] = 1 + CLASSES.index("lumen")
    assert np.array_equal(found.values, expected)
    assert shares == [0, 0.5, 1]
    assert found.shares == {
        "epithelium": 400 / 15300,
        "stroma": 14800 / 15300,
        "lumen": 100 / 15300,
    }
    assert found.tissue_mm2 == pytest.approx(0.36 * 0.68)


def test_outside_the_tissue_nothing_is_said(coloured, by_colour):
    with open_slide(coloured) as slide:
        tissue = everywhere(slide.shape, 8)
        tissue.values[:, 120:] = False
        found = find_epithelium(slide, tissue)
    assert not found.values[:, 120:].any()
    assert found.epithelium.values.sum() == 200


def test_a_slide_too_coarse_for_cells_is_refused(coloured, by_colour):
    with open_slide(coloured, mpp=2.0) as slide, pytest.raises(SlideFormatError, match="10×"):
        find_epithelium(slide)


def test_the_verb_writes_shares_picture_and_outlines_that_a_run_takes(
    coloured, tmp_path, by_colour, scratch_bundle, capsys
):
    out = tmp_path / "found"
    assert main(["epithelium", str(coloured), "--out", str(out), "--json"]) == 0
    shares = json.loads(capsys.readouterr().out)["shares"]
    assert 0 < shares["epithelium"] < 0.1
    document = json.loads((out / "epithelium.json").read_text())
    assert document["shares"] == shares
    assert require_schemas(out) == {"epithelium"}
    assert (out / "epithelium.png").stat().st_size > 1000
    outlines = out / "epithelium.geojson"
    (place,) = json.loads(outlines.read_text())["features"]
    assert place["properties"]["classification"]["name"] == "Epithelium"
    runs = {}
    for tissue in ("epithelium", str(outlines)):
        where = ["--out", str(tmp_path / f"run{len(runs)}"), "--model", str(scratch_bundle)]
        assert main(["analyze", str(coloured), *where, "--tissue", tissue, "--json"]) == 0
        result = json.loads(capsys.readouterr().out)
        nodes = [stage["nodes"] for stage in result["stages"]]
        runs[result["settings"]["tissue"]["source"]] = nodes, result["cost"]["patches_exhaustive"]
    # Of the eight patches at 10×, one holds the square but for 16 px.
    assert runs["epithelium"][0][0] == 1
    assert runs["epithelium"] == runs["drawn"]


def test_shell_finds_the_glands_of_a_prostate(slides_dir, tmp_path):
    if shell._installed() is None:
        pytest.skip(f"{shell.PACKAGE} is not installed: {shell.INSTALL}")
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    with open_slide(slides_dir / "histoprep-slide.jpeg", mpp=0.5) as slide:
        scan = read_scaled(slide, Region(0, 0, 600, 800), (600, 800))
    with open_slide(written(scan, tmp_path / "scan.tiff", 0.5)) as slide:
        found = find_epithelium(slide, everywhere(slide.shape, 8))
    assert 0.1 < found.shares["epithelium"] < 0.35
    # Glass in a gland, the wall around it, and the fibres between glands, as the eye has them.
    grey = scan.reshape(75, 8, 100, 8, 3).mean((1, 3, 4))
    lumen = found.values == 1 + CLASSES.index("lumen")
    assert grey[lumen].mean() > 215
    assert grey[found.epithelium.values].mean() < 190
