"""Coordinates of programs that count from the canvas around the scan, as OpenSlide does."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as Xml

import made_slides as made
import numpy as np
import pytest
from vendor_slides import ADVANCE, OVERLAP, write_mrxs

from napari_hagmil.cli import main
from napari_hagmil.cohort import SlideRecord
from napari_hagmil.export.annotations_reader import read_annotations
from napari_hagmil.export.geojson_reader import read_area
from napari_hagmil.export.review import ReviewWish, write_review
from napari_hagmil.export.xml_annotations import read_xml_areas
from napari_hagmil.review import Annotation, ReviewState
from napari_hagmil.slide import open_slide, slide_info
from napari_hagmil.slide.canvas import canvas_origin

openslide = pytest.importorskip("openslide", reason="the extra openslide is not installed")

SIDE = 4 * ADVANCE + OVERLAP
CORNERS = ((399.5, 499.5), (399.5, 599.5), (479.5, 599.5), (479.5, 499.5))
STATE = ReviewState(
    annotations=(
        Annotation("a1", "polygon", CORNERS, "Tumor", ""),
        Annotation("a2", "point", ((440.0, 550.0),), "Mitosis", ""),
    )
)


def picture() -> np.ndarray:
    found = np.full((SIDE, SIDE, 3), 235, np.uint8)
    found[400:480, 500:600] = 120, 40, 140
    return found


@pytest.fixture(scope="module", params=["mirax", "leica"])
def slide_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("canvas")
    if request.param == "mirax":
        return write_mrxs(folder / "s.mrxs", [picture()], empty=8)
    return made.write_scn(folder / "s.scn", [picture(), picture()[::4, ::4]], at=(1234, 567))


def test_the_scan_begins_where_openslide_says(slide_path: Path) -> None:
    canvas = openslide.OpenSlide(slide_path)
    expected = [int(canvas.properties[f"openslide.bounds-{axis}"]) for axis in "yx"]
    with open_slide(slide_path) as slide:
        assert list(slide.origin) == slide_info(slide)["canvas_origin"] == expected
        assert min(expected) > 100
        assert slide.read(0, (440, 550), (1, 1))[0, 0].tolist() == [120, 40, 140]
    assert list(canvas_origin(slide_path)) == expected


def test_asaps_outlines_lie_on_the_canvas_and_come_back(slide_path: Path, tmp_path: Path) -> None:
    with open_slide(slide_path) as slide:
        origin = slide.origin
    wish = ReviewWish(formats=("asap", "geojson"), origin=origin)
    xml, geojson = write_review(tmp_path / "r", STATE, wish, mpp=0.5)
    places = [(float(c.get("X")), float(c.get("Y"))) for c in Xml.parse(xml).iter("Coordinate")]
    x, y = np.mean(places[:4], axis=0)
    canvas = openslide.OpenSlide(slide_path)
    assert canvas.read_region((int(x), int(y)), 0, (1, 1)).getpixel((0, 0)) == (120, 40, 140, 255)
    # QuPath leaves the canvas out.
    ring = json.loads(geojson.read_text())["features"][0]["geometry"]["coordinates"][0]
    assert sorted(map(tuple, ring[:4])) == sorted((c + 0.5, r + 0.5) for r, c in CORNERS)
    [(outer, _)] = read_xml_areas(xml, origin)
    assert set(outer) == set(CORNERS)
    assert set(read_area(xml, origin)[0]) == set(CORNERS)
    drawn, classes = read_annotations(xml, origin=origin)
    assert [(one.kind, one.path_class) for one in drawn] == [
        ("polygon", "Tumor"),
        ("point", "Mitosis"),
    ]
    assert drawn[1].points == ((440.0, 550.0),)
    assert {one.name for one in classes} == {"Tumor", "Mitosis"}


def test_the_command_asks_the_slide_where_asap_counts_from(slide_path, tmp_path) -> None:
    (geojson,) = write_review(tmp_path / "r", STATE, ReviewWish(), mpp=0.5)
    asked = [str(geojson), str(tmp_path / "a.xml"), "--slide", str(slide_path)]
    assert main(["export", "annotations", *asked]) == 0
    [(outer, _)] = read_xml_areas(tmp_path / "a.xml", canvas_origin(slide_path))
    assert set(outer) == set(CORNERS)
    asked = [str(tmp_path / "a.xml"), str(tmp_path / "b.geojson"), "--slide", str(slide_path)]
    assert main(["export", "annotations", *asked]) == 0
    assert set(read_area(tmp_path / "b.geojson")[0]) == set(CORNERS)


def test_coordinates_of_clam_count_from_the_canvas(slide_path: Path, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra h5 is not installed")
    from napari_hagmil.features import ImportConfig, import_cohort, open_store

    y, x = canvas_origin(slide_path)
    nodes = [(0, 0), (0, 1), (3, 1)]
    (tmp_path / "h5").mkdir()
    with h5py.File(tmp_path / "h5" / "s.h5", "w") as file:
        file["features"] = np.array(nodes, np.float32)
        file["coords"] = np.array([(x + 256 * c, y + 256 * r) for r, c in nodes])
        file["coords"].attrs["patch_size"] = 256
    config = ImportConfig("clam", (tmp_path / "h5",), "uni", mpp=(0.5,))
    (event,) = import_cohort([SlideRecord(slide_path, "x", "s")], tmp_path / "store", config)
    assert (event.kind, event.message) == ("done", "")
    store = open_store(tmp_path / "store", "s")
    assert store.is_placed
    assert store(0, store.nodes[0]).numpy().astype(int).tolist() == store.nodes[0].tolist()
    assert sorted(map(tuple, store.nodes[0].tolist())) == sorted(nodes)


def test_a_slide_that_is_not_there_has_no_canvas(tmp_path: Path) -> None:
    assert canvas_origin(tmp_path / "gone.mrxs") == (0, 0)
