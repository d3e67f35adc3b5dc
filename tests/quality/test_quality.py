"""Folds, blur, ink, bubbles and pigment: found where they were planted, and not elsewhere."""

import json

import numpy as np
import pytest
from quality_artefacts import PLANT, clean_phantom, planted
from quality_phantoms import cells, write

from json_schemas import require_schemas
from napari_hagmil.cascade import load_steering
from napari_hagmil.cli import main
from napari_hagmil.errors import SlideFormatError
from napari_hagmil.export.result_reader import read_result
from napari_hagmil.geometry import Region
from napari_hagmil.polygons import mask_of
from napari_hagmil.quality import KINDS, SlideQuality, measure_quality
from napari_hagmil.slide import open_slide, read_scaled

#: Least share of what is planted that is found; docs/results.md has the figures of many slides.
FOUND = {"fold": 0.25, "blur": 0.5, "pen": 0.6, "bubble": 0.6, "pigment": 0.6}


@pytest.fixture(scope="module")
def pictures(slides_dir):
    """A phantom without artefacts, and a scan of prostate at 10×, with their tissue."""
    with open_slide(slides_dir / "histoprep-slide.jpeg", mpp=0.5) as slide:
        scan = read_scaled(slide, Region(0, 0, 2500, 2500), (1250, 1250))
    return {"phantom": clean_phantom(3, 2048), "scan": (scan, np.ones(scan.shape[:2], bool))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("quality")


def measured(picture, path):
    with open_slide(write(picture, path)) as slide:
        return measure_quality(slide)


@pytest.mark.parametrize("name", ["phantom", "scan"])
def test_on_tissue_without_artefacts_next_to_nothing_is_found(pictures, folder, name):
    found = measured(pictures[name][0], folder / f"{name}.tiff")
    assert set(found.maps) == set(KINDS)
    assert {kind: share for kind, share in found.shares.items() if share > 0.005} == {}
    assert found.notes == ()


@pytest.mark.parametrize(
    ("name", "kind"),
    # On the scan the lines of rims run into those of glands, and the blur inside is what is told.
    [("phantom", kind) for kind in PLANT] + [("scan", kind) for kind in PLANT if kind != "bubble"],
)
def test_a_planted_artefact_is_found_where_it_is(pictures, folder, name, kind):
    rng = np.random.default_rng(list(map(ord, kind)))
    picture, place = planted(*pictures[name], kind, 1, rng)
    found = measured(picture, folder / f"{name}-{kind}.tiff")
    there = cells(place & pictures[name][1], found.specimen.shape)
    assert (found.maps[kind] & there).sum() / there.sum() > FOUND[kind]
    wide = cells(place, there.shape)
    rows, columns = np.nonzero(wide)
    far = np.ones_like(there)
    far[max(rows.min() - 8, 0) : rows.max() + 9, max(columns.min() - 8, 0) : columns.max() + 9] = 0
    told = ("pen", "blur") if kind == "bubble" else (kind,)
    false = {k: (m & far).sum() / far.sum() for k, m in found.maps.items() if k not in told}
    assert max(false.values()) < 0.01, false


def test_brown_all_over_is_a_stain_and_no_pigment(pictures, folder):
    picture, tissue = pictures["scan"]
    brown = np.where(tissue[..., None], picture * np.array([0.6, 0.35, 0.2]), picture)
    found = measured(brown.astype(np.uint8), folder / "brown.tiff")
    assert found.shares["pigment"] == 0
    assert "not told from pigment" in found.notes[0]


def test_a_slide_coarser_than_10x_is_judged_by_what_it_shows(slides_dir):
    with open_slide(slides_dir / "histoprep-slide.jpeg", mpp=2.0) as slide:
        found = measure_quality(slide)
    assert set(found.maps) == {"fold", "pen"}
    assert found.notes == (
        "The slide is coarser than 10×: blur, bubbles and pigment are not judged.",
    )


def test_fluorescence_has_no_such_artefacts(slides_dir):
    with (
        open_slide(slides_dir / "slideio-test3-DAPI-2-387.ndpi") as slide,
        pytest.raises(SlideFormatError, match="not an RGB brightfield slide"),
    ):
        measure_quality(slide)


def ring_of_ink():
    """Ink around a place that is clear."""
    y, x = np.mgrid[:60, :80] - 30
    distance = np.hypot(y, x - 10)
    ink = (distance < 25) & (distance > 15)
    return SlideQuality({"pen": ink, "fold": y > 40}, np.ones_like(ink), 16.0, 0.5)


def test_what_ink_goes_around_is_not_left_out_with_it():
    quality = ring_of_ink()
    shape = (60 * 16, 80 * 16)
    places = quality.places(["pen"], shape)
    covered = sum(mask_of([place], shape, 16.0).astype(int) for place in places) > 0
    ink = quality.maps["pen"]
    assert (covered & ink).sum() / ink.sum() > 0.95
    assert (covered & ~ink).sum() / (~ink).sum() < 0.02
    assert quality.places([], shape) == quality.places(["blur"], shape) == ()


def test_shares_are_of_the_specimen():
    quality = ring_of_ink()
    assert quality.shares["pen"] == pytest.approx(quality.maps["pen"].mean())


@pytest.fixture(scope="module")
def inked(pictures, folder):
    picture, _ = planted(*pictures["scan"], "pen", 1, np.random.default_rng(4))
    return write(picture, folder / "inked.tiff")


def test_the_command_line_writes_shares_picture_and_places(inked, tmp_path, capsys):
    assert main(["quality", str(inked), "--out", str(tmp_path / "q"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((tmp_path / "q" / "quality.json").read_text())
    assert said["shares"]["pen"] > 0.05
    assert (tmp_path / "q" / "quality.png").stat().st_size > 10_000
    assert load_steering(tmp_path / "q" / "leave-out.json").leave_out
    assert require_schemas(tmp_path) == {"quality", "steering"}


def test_analyze_leaves_artefacts_out_and_keeps_their_shares(
    inked, scratch_bundle, tmp_path, capsys
):
    out = tmp_path / "out"
    asked = ["analyze", str(inked), "--model", str(scratch_bundle), "--out", str(out)]
    assert main([*asked, "--leave-out", "pen,bubble"]) == 0
    assert "Artefacts, as a share of the tissue: " in capsys.readouterr().out
    result = json.loads((out / "result.json").read_text())
    assert result["quality"]["pen"] > 0.05
    assert read_result(out).quality == result["quality"]
    assert result["stages"][0]["vetoed"] > 0
    assert result["settings"]["steering"]["source"] == "given"


def test_a_batch_has_a_column_for_each_kind(inked, scratch_bundle, tmp_path):
    out, model = tmp_path / "run", str(scratch_bundle)
    asked = ["batch", str(inked), "--out", str(out), "--model", model, "--budget", "1,1"]
    assert main([*asked, "--quality", "--pool"]) == 0
    header, row = (out / "summary.csv").read_text().splitlines()[:2]
    cells_of = dict(zip(header.split(","), row.split(","), strict=True))
    assert float(cells_of["pen_share"]) > 0.05
    assert {f"{kind}_share" for kind in KINDS} <= set(cells_of)
