"""Models that run on stored features: no encoder, no pixels, the same maps."""

import json

import numpy as np
import pytest
import torch

from napari_hagmil.cli import main
from napari_hagmil.errors import BundleError, EncoderError, FeatureStoreError
from napari_hagmil.features import EncodeConfig, encode_cohort, open_given
from napari_hagmil.models import (
    BundleConfig,
    CascadeModel,
    EncoderFacts,
    IATConfig,
    load_bundle,
    save_bundle,
)
from napari_hagmil.pipeline import analyze_slide
from napari_hagmil.prepare import Options, load_model
from napari_hagmil.slide import open_slide

h5py = pytest.importorskip("h5py", reason="the extra h5 is not installed")

N = 6


def bundle(path, depths=1, encoder="uni_v1", n_features=N):
    stage = IATConfig(n_features=n_features, widths=(8, 4), n_classes=2, heads=2)
    torch.manual_seed(0)
    config = BundleConfig(
        name="foreign",
        encoder=EncoderFacts(encoder, None, n_features),
        patch_size=256,
        mpp=tuple(1.0 / 2**d for d in range(depths)),
        classes=("normal", "tumor"),
        stages=(stage,) * depths,
        budget=(3,) * (depths - 1),
    )
    save_bundle(CascadeModel(config), path)
    return path


def write(path, places, *, stride=1024, side=1024, corner=(0, 0), n_features=N, **facts):
    """An h5 file as TRIDENT writes it: x, y, and what it says of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coords = np.array(places)[:, ::-1] * stride + np.array(corner)[::-1]
    rng = np.random.default_rng(len(places))
    with h5py.File(path, "w") as file:
        file["features"] = rng.normal(size=(len(places), n_features)).astype(np.float32)
        file["coords"] = coords
        said = {"patch_size": 256, "patch_size_level0": side} | facts
        file["coords"].attrs.update(said)
    return path


SOME = [(0, 0), (0, 1), (1, 1), (2, 3)]


def below(nodes):
    return [(2 * r + i, 2 * c + j) for r, c in nodes for i in (0, 1) for j in (0, 1)]


def run(phantom, model, *places):
    return analyze_slide(phantom, model, options=Options(features=places))


def test_one_depth_of_an_encoder_nobody_has_gives_its_map_in_its_places(phantom, tmp_path):
    file = write(tmp_path / "features_uni_v1" / "phantom.h5", SOME)
    result = run(phantom, bundle(tmp_path / "b.hagmil"), file.parent)
    assert result.state == "done"
    (stage,) = result.stages
    edges = result.grids[0].edges(stage.nodes)[:, :2]
    assert sorted(map(tuple, edges.tolist())) == [(r * 1024, c * 1024) for r, c in SOME]
    assert (result.cost.patches_encoded, result.cost.patches_exhaustive) == (0, 4)
    assert any("it read no pixels" in note for note in result.notes)


def test_one_depth_of_a_cascade_ends_there_and_all_depths_go_on(phantom, tmp_path):
    model = bundle(tmp_path / "b.hagmil", depths=2)
    coarse = write(tmp_path / "10x.h5", SOME)
    fine = write(tmp_path / "20x.h5", below(SOME), stride=512, side=512)
    one, two = run(phantom, model, coarse), run(phantom, model, coarse, fine)
    assert [len(result.stages) for result in (one, two)] == [1, 2]
    assert len(two.stages[1].nodes) == 12
    assert any("features end at 10×, which decides" in note for note in one.notes)


def test_stored_features_give_what_encoding_gives_and_read_no_pixels(
    phantom, scratch_bundle, tmp_path, monkeypatch
):
    from napari_hagmil.cohort import SlideRecord

    _, encoder = load_model(scratch_bundle)
    record = SlideRecord(phantom, "x", "phantom")
    list(encode_cohort([record], tmp_path, encoder, EncodeConfig()))
    expected = analyze_slide(phantom, scratch_bundle)
    monkeypatch.setattr("napari_hagmil.features.sources.read_patches", pytest.fail)
    found = run(phantom, scratch_bundle, tmp_path)
    for mine, theirs in zip(found.stages, expected.stages, strict=True):
        assert np.array_equal(mine.nodes, theirs.nodes)
        np.testing.assert_allclose(mine.attention, theirs.attention, atol=1e-4)


def test_overlapping_patches_of_contours_keep_their_places(phantom, tmp_path):
    places = [(0, 0), (0, 1), (0, 2), (1, 0)]
    file = write(tmp_path / "s.h5", places, stride=768, corner=(133, 57), overlap=64)
    result = run(phantom, bundle(tmp_path / "b.hagmil"), file)
    edges = result.grids[0].edges(result.stages[0].nodes)
    expected = sorted((133 + 768 * r, 57 + 768 * c) for r, c in places)
    assert sorted(map(tuple, edges[:, :2].tolist())) == expected
    assert (edges[:, 2:] - edges[:, :2] == 1024).all()


def open_for(phantom, model, *places):
    with open_slide(phantom) as slide:
        return open_given(slide, places, load_bundle(model).config)


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"n_features": 4}, "4 features"),
        ({"encoder": "conch_v1"}, "conch_v1"),
        ({"corner": (0, 90_000)}, "lie beyond its 4096 × 4096 px"),
        ({"stride": 512, "side": 512}, "show 128 µm a patch at depth 0"),
    ],
)
def test_features_that_do_not_fit_are_refused_in_one_sentence(phantom, tmp_path, facts, says):
    file = write(tmp_path / "s.h5", SOME, **facts)
    with pytest.raises((FeatureStoreError, BundleError), match=says):
        open_for(phantom, bundle(tmp_path / "b.hagmil"), file)


def test_depths_in_the_wrong_order_are_refused(phantom, tmp_path):
    model = bundle(tmp_path / "b.hagmil", depths=2)
    coarse = write(tmp_path / "10x.h5", SOME)
    fine = write(tmp_path / "20x.h5", below(SOME), stride=512, side=512)
    with pytest.raises(FeatureStoreError, match="halves from depth to depth"):
        open_for(phantom, model, fine, coarse)


def test_the_store_of_another_slide_is_refused(phantom, scratch_bundle, tmp_path):
    from napari_hagmil.cohort import SlideRecord
    from napari_hagmil.phantom import PhantomConfig, write_phantom

    other = tmp_path / "phantom.tiff"
    write_phantom(other, PhantomConfig(seed=6, size=4096, lesions=1))
    _, encoder = load_model(scratch_bundle)
    list(
        encode_cohort(
            [SlideRecord(other, "x", "phantom")], tmp_path, encoder, EncodeConfig(mpp=(1.0,))
        )
    )
    with pytest.raises(FeatureStoreError, match=r"are not those of phantom\.tiff"):
        open_for(phantom, scratch_bundle, tmp_path)


def test_features_that_are_not_finite_are_unread(phantom, tmp_path):
    file = write(tmp_path / "s.h5", [(r, c) for r in range(4) for c in range(4)])
    with h5py.File(file, "r+") as opened:
        opened["features"][3, 2] = np.nan
    result = run(phantom, bundle(tmp_path / "b.hagmil"), file)
    assert (len(result.stages[0].unread), len(result.stages[0].nodes)) == (1, 15)


def test_without_its_encoder_a_model_says_what_to_do(phantom, tmp_path):
    model = bundle(tmp_path / "b.hagmil")
    with pytest.raises(EncoderError) as caught:
        analyze_slide(phantom, model)
    assert "give its features with --features" in caught.value.sentence("command line")
    assert "choose its stored features under Features" in caught.value.sentence("window")


def test_analyze_writes_every_file_of_an_analysis(phantom, tmp_path, capsys):
    file = write(tmp_path / "s.h5", [(r, c) for r in range(4) for c in range(4)])
    model = bundle(tmp_path / "b.hagmil")
    out = tmp_path / "out"
    arguments = ["analyze", str(phantom), "--out", str(out), "--model", str(model)]
    assert main([*arguments, "--features", str(file)]) == 0
    said = json.loads((out / "result.json").read_text())
    assert (said["state"], said["cost"]["patches_encoded"]) == ("done", 0)
    assert {"regions.geojson", "nodes.parquet", "report.html", "attention.ome.zarr"} <= {
        path.name for path in out.iterdir()
    }
    assert "taken from features" in capsys.readouterr().out
