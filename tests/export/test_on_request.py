"""Tiles, crops and annotations as other programs read them."""

import csv
import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
import tifffile
from PIL import Image

from napari_hagmil.cli import main
from napari_hagmil.errors import OutputError, ResultError
from napari_hagmil.export import write_analysis
from napari_hagmil.export.geojson_reader import read_area, read_polygons
from napari_hagmil.export.on_request.crops import CropWish, write_crops
from napari_hagmil.export.on_request.tiles import write_tiles
from napari_hagmil.export.result_reader import read_slide_summary
from napari_hagmil.ledger import write_manifest
from napari_hagmil.polygons import mask_of
from napari_hagmil.review import Annotation
from napari_hagmil.slide import open_slide
from napari_hagmil.tissue import TissueMask

SQUARE = ((99.5, 199.5), (99.5, 299.5), (179.5, 299.5), (179.5, 199.5))


def read(path) -> dict:
    return json.loads(path.read_text())


# -- tiles --------------------------------------------------------------------------------


def test_a_tile_has_the_place_and_the_measurements_of_its_row_in_the_table(result, tmp_path):
    write_analysis(result, tmp_path / "out")
    table = pq.read_table(tmp_path / "out/nodes.parquet").to_pandas()
    for depth in range(3):
        n = write_tiles(result, tmp_path / "t.geojson", [depth])
        rows = table[
            (table.depth == depth) & table.attention.notna() & (table.height * table.width > 0)
        ]
        features = read(tmp_path / "t.geojson")["features"]
        assert n == len(features) == len(rows)
        for feature, (_, row) in zip(features, rows.iterrows(), strict=True):
            said = feature["properties"]
            box = shapely.from_geojson(json.dumps(feature["geometry"]))
            assert box.is_valid
            bounds = (row.x, row.y, row.x + row.width, row.y + row.height)
            assert box.bounds == bounds  # QuPath's frame: (x, y), edges at integers
            assert said["objectType"] == "detection"
            assert said["measurements"]["Attention"] == pytest.approx(row.attention)
            assert said["measurements"]["Attention score (percentile)"] == pytest.approx(row.score)
            assert said["measurements"]["Rank"] == row["rank"]
            assert said["metadata"]["status"] == row.status


def test_tiles_are_of_the_deepest_depth_unless_asked(result, tmp_path):
    write_tiles(result, tmp_path / "t.geojson")
    said = [one["properties"]["measurements"] for one in read(tmp_path / "t.geojson")["features"]]
    assert {one["Depth"] for one in said} == {2}
    assert {one["Magnification"] for one in said} == {40}
    write_tiles(result, tmp_path / "t.geojson", [0, 1, 2])
    features = read(tmp_path / "t.geojson")["features"]
    assert len({one["id"] for one in features}) == len(features)


def test_a_depth_that_was_not_reached_is_refused_and_nothing_is_written(result, empty, tmp_path):
    with pytest.raises(ResultError, match="has depths 0 to 2, got 3"):
        write_tiles(result, tmp_path / "t.geojson", [3])
    with pytest.raises(ResultError, match="has no attention"):
        write_tiles(empty, tmp_path / "t.geojson")
    assert not list(tmp_path.iterdir())


# -- tissue -------------------------------------------------------------------------------


def test_the_outline_of_the_tissue_is_that_of_the_mask_with_its_holes(result, tmp_path):
    values = np.zeros((282, 375), bool)
    values[20:200, 30:300] = True
    values[60:120, 80:160] = False
    values[240:282, 350:375] = True
    mask = TissueMask(values, 32.0)
    write_analysis(replace(result, tissue=mask), tmp_path / "out")
    features = read(tmp_path / "out/tissue.geojson")["features"]
    shapes = [shapely.from_geojson(json.dumps(one["geometry"])) for one in features]
    assert all(shape.is_valid for shape in shapes)
    assert [len(shape.interiors) for shape in shapes] == [1, 0]
    assert shapes[0].bounds == (30 * 32, 20 * 32, 300 * 32, 200 * 32)
    assert shapes[1].bounds == (350 * 32, 240 * 32, 12_000, 9_000)  # it ends with the slide
    area = features[0]["properties"]["measurements"]["Area µm^2"]
    assert area == pytest.approx(shapes[0].area * 0.25**2)
    back = mask_of(read_area(tmp_path / "out/tissue.geojson"), (9_000, 12_000), 32.0)
    np.testing.assert_array_equal(back, values)


def test_an_analysis_without_a_known_tissue_replaces_that_of_an_earlier_one(result, tmp_path):
    mask = TissueMask(np.ones((282, 376), bool), 32.0)
    write_analysis(replace(result, tissue=mask), tmp_path / "out")
    assert (tmp_path / "out/tissue.geojson").exists()
    write_analysis(replace(result, tissue=None), tmp_path / "out")
    assert not (tmp_path / "out/tissue.geojson").exists()


# -- crops --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slide(phantom):
    with open_slide(phantom) as opened:
        yield opened


def rows_of(folder) -> list[dict]:
    with (folder / "crops.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_crop_has_the_pixels_of_its_place(slide, tmp_path):
    drawn = [Annotation("a", "polygon", SQUARE, "Tumor"), Annotation("p", "point", ((5.0, 5.0),))]
    picture, table = write_crops(slide, drawn, tmp_path, CropWish())
    assert picture.name == "region-0001.png"
    np.testing.assert_array_equal(Image.open(picture), slide.read(0, (100, 200), (80, 100)))
    (row,) = rows_of(table.parent)
    place = [int(row[name]) for name in ("y", "x", "height", "width")]
    assert place == [100, 200, 80, 100]
    assert (row["class"], float(row["mpp"])) == ("Tumor", 0.25)


@pytest.mark.parametrize("mpp", [None, 0.5, 1.0])
def test_an_ome_tiff_says_its_pixel_size_and_its_place(slide, tmp_path, mpp):
    drawn = [Annotation("a", "polygon", SQUARE)]
    wish = CropWish("ome-tiff", mpp, margin_um=10)
    path, _ = write_crops(slide, drawn, tmp_path, wish)
    step = int((mpp or 0.25) / 0.25)
    with tifffile.TiffFile(path) as tiff:
        text = tiff.ome_metadata
    told = {key: float(text.split(f'{key}="')[1].split('"')[0]) for key in
            ("PhysicalSizeX", "PhysicalSizeY", "PositionX", "PositionY")}  # fmt: skip
    # The first pixel's centre; level-0 pixel (0, 0) is centred on 0 µm.
    assert told["PositionY"] == pytest.approx((60 + (step - 1) / 2) * 0.25)
    assert told["PositionX"] == pytest.approx((160 + (step - 1) / 2) * 0.25)
    assert told["PhysicalSizeX"] == told["PhysicalSizeY"] == pytest.approx(0.25 * step)
    with open_slide(path) as crop:
        assert crop.mpp == pytest.approx(0.25 * step)
        assert crop.shape == (160 // step, 180 // step)
        if step == 1:
            expected = slide.read(0, (60, 160), (160, 180))
            np.testing.assert_array_equal(crop.read(0, (0, 0), (160, 180)), expected)


def test_a_crop_that_would_not_fit_into_memory_is_refused(slide, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_hagmil.export.on_request.crops.MOST_PIXELS", 5_000)
    drawn = [Annotation("a", "polygon", SQUARE)]
    with pytest.raises(OutputError, match="give a larger mpp"):
        list(write_crops(slide, drawn, tmp_path, CropWish()))
    list(write_crops(slide, drawn, tmp_path, CropWish(mpp=0.5)))


def test_sixteen_bits_go_into_an_ome_tiff_and_not_into_png(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 60_000, (3, 96, 128), np.uint16)
    metadata = {"axes": "CYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(
        tmp_path / "if.ome.tif", pixels, tile=(64, 64), photometric="minisblack", metadata=metadata
    )
    drawn = [Annotation("a", "polygon", ((9.5, 19.5), (9.5, 49.5), (39.5, 49.5), (39.5, 19.5)))]
    with open_slide(tmp_path / "if.ome.tif") as opened:
        with pytest.raises(OutputError, match="PNG holds nothing else"):
            list(write_crops(opened, drawn, tmp_path / "out", CropWish()))
        path, _ = write_crops(opened, drawn, tmp_path / "out", CropWish("ome-tiff"))
    np.testing.assert_array_equal(tifffile.imread(path), pixels[:, 10:40, 20:50])


# -- the commands -------------------------------------------------------------------------


def test_annotations_go_to_asap_and_back(phantom, tmp_path, capsys):
    truth = phantom.with_suffix(".geojson")
    assert main(["export", "annotations", str(truth), str(tmp_path / "a.xml")]) == 0
    assert (
        main(["export", "annotations", str(tmp_path / "a.xml"), str(tmp_path / "b.geojson")]) == 0
    )
    before, after = read_polygons(truth), read_polygons(tmp_path / "b.geojson")
    assert len(before) == len(after) == 2
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(sorted(one.outer), sorted(other.outer), atol=1e-6)
    capsys.readouterr()
    assert main(["export", "annotations", str(truth), str(tmp_path / "a.doc")]) == 1
    assert "a.doc must end in .geojson, .xml, .csv or .dcm" in capsys.readouterr().err


def test_on_a_slide_with_a_canvas_asap_counts_from_its_corner(tmp_path, result):
    """MIRAX: also from an analysis, whose slide need not be there."""
    moved = replace(result, slide=replace(result.slide, canvas_origin=(1_000, 1_920)))
    write_analysis(moved, tmp_path / "out")
    assert read_slide_summary(tmp_path / "out").canvas_origin == (1_000, 1_920)
    (tmp_path / "out/regions.geojson").write_text(
        json.dumps({"type": "Polygon", "coordinates": [[[10, 20], [30, 20], [30, 40], [10, 20]]]})
    )
    write_manifest(tmp_path / "out")
    assert main(["export", "annotations", str(tmp_path / "out"), str(tmp_path / "a.xml")]) == 0
    text = (tmp_path / "a.xml").read_text()
    assert 'X="1930.0" Y="1020.0"' in text
    assert 'X="1950.0" Y="1040.0"' in text


def test_an_analysis_of_another_slide_gives_no_crops(result, phantom, tmp_path, capsys):
    write_analysis(result, tmp_path / "out")
    assert (
        main(["export", "crops", str(phantom), str(tmp_path / "out"), "--out", str(tmp_path / "c")])
        == 1
    )
    assert "is of another slide" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_tiles_of_every_depth_come_from_a_results_folder(result, tmp_path, capsys):
    write_analysis(result, tmp_path / "out")
    out = tmp_path / "t.geojson"
    assert (
        main(["export", "tiles", str(tmp_path / "out"), str(out), "--depth", "all", "--json"]) == 0
    )
    assert json.loads(capsys.readouterr().out)["tiles"] == len(read(out)["features"])
