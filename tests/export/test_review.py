"""The review as files: what QuPath, ASAP and a spreadsheet find in them."""

import csv
import json
from datetime import UTC, datetime
from uuid import UUID
from xml.etree import ElementTree as Xml

import numpy as np
import pytest
import tifffile
from shapely import Polygon

from json_schemas import validator
from napari_hagmil.errors import AnnotationError, OutputError
from napari_hagmil.export.annotations_reader import read_annotations
from napari_hagmil.export.geojson_reader import read_polygons
from napari_hagmil.export.review import ReviewWish, write_review
from napari_hagmil.export.signature import Signature
from napari_hagmil.export.xml_annotations import read_xml_areas
from napari_hagmil.polygons import area_of
from napari_hagmil.purpose import RESEARCH_USE
from napari_hagmil.review import (
    QUPATH_CLASSES,
    Annotation,
    Conclusion,
    PathClass,
    ReviewRegion,
    ReviewState,
)

MPP = 0.5


def box(y, x, size=100.0):
    return ((y, x), (y, x + size), (y + size, x + size), (y + size, x))


RING = ReviewRegion(
    "0123456789ab", box(0, 0), (box(40, 40, 20),), 97.5, 2, "demo at 40×", "accepted", "Tumor",
    'solid, "cribriform"; ä',
)  # fmt: skip
STATE = ReviewState(
    regions=(
        RING,
        ReviewRegion("b" * 12, box(0, 300), score=80.0, depth=2, decision="rejected"),
        ReviewRegion("c" * 12, box(0, 600), provenance="drawn", decision="accepted"),
    ),
    annotations=(
        Annotation("d" * 12, "polygon", box(500, 0), "Mitosis"),
        Annotation("e" * 12, "ruler", ((0.0, 0.0), (30.0, 40.0)), "Tumor"),
        Annotation("f" * 12, "point", ((7.0, 9.0),)),
    ),
    classes=(*QUPATH_CLASSES, PathClass("Mitosis", (9, 8, 7))),
    conclusion=Conclusion("tumor", "sure"),
)
AREAS = ReviewWish(annotations=False)
ALL = ReviewWish(accepted_only=False)


@pytest.fixture
def written(tmp_path):
    """Write the state in one format, and give its file."""

    def write(format_, wish=ALL, state=STATE):
        (path,) = write_review(tmp_path / "case", state, wish.__class__(
            wish.regions, wish.annotations, wish.accepted_only, wish.classes, (format_,)
        ), mpp=MPP)  # fmt: skip
        return path

    return write


def features_of(path):
    return json.loads(path.read_text(encoding="utf-8"))["features"]


def test_our_own_reader_finds_the_regions_again_holes_included(written):
    first, drawn = read_polygons(written("geojson", AREAS))
    outer, holes = first
    assert len(holes) == 1
    for ring, wanted in zip((outer, *holes), (RING.polygon, *RING.holes), strict=True):
        assert Polygon(ring).equals(Polygon(wanted))
    assert Polygon(drawn[0]).equals(Polygon(STATE.regions[2].polygon))


def test_geojson_has_the_hole_as_a_clockwise_interior_ring_in_x_y_from_the_pixels_corner(written):
    outer, hole = features_of(written("geojson"))[0]["geometry"]["coordinates"]
    assert outer[0] == outer[-1]
    assert hole[0] == hole[-1]
    assert Polygon(outer).exterior.is_ccw
    assert not Polygon(hole).exterior.is_ccw
    assert sorted(map(tuple, hole[:-1])) == [(40.5, 40.5), (40.5, 60.5), (60.5, 40.5), (60.5, 60.5)]
    point = features_of(written("geojson"))[-1]["geometry"]
    assert point == {"type": "Point", "coordinates": [9.5, 7.5]}


def test_geojson_keeps_the_rules_of_qupath(written):
    features = features_of(written("geojson"))
    assert len(features) == 6
    assert len({one["id"] for one in features}) == 6
    for one in features:
        assert str(UUID(one["id"])) == one["id"]
        said = one["properties"]
        assert said["objectType"] == "annotation"
        assert "isLocked" not in said
        if "classification" in said:
            assert set(said["classification"]) == {"name", "color"}
            assert all(0 <= c <= 255 for c in said["classification"]["color"])
        for value in said["measurements"].values():
            assert isinstance(value, float) or value in ("NaN", "Infinity", "-Infinity")
        assert all(isinstance(value, str) for value in said["metadata"].values())
    by_id = {one["id"][:8]: one["properties"] for one in features}
    assert by_id["01234567"]["measurements"] == {
        "Attention score (percentile)": 97.5,
        "Area µm^2": (100 * 100 - 400) * MPP**2,
    }
    assert by_id["01234567"]["metadata"]["comment"] == 'solid, "cribriform"; ä'
    assert by_id["cccccccc"]["measurements"]["Attention score (percentile)"] == "NaN"
    assert by_id["cccccccc"]["classification"]["name"] == "Region*"
    assert by_id["dddddddd"]["classification"] == {"name": "Mitosis", "color": [9, 8, 7]}
    assert by_id["eeeeeeee"]["measurements"] == {"Length µm": 25.0}
    assert "classification" not in by_id["ffffffff"]


def test_the_same_review_gives_the_same_bytes(written):
    assert written("geojson").read_bytes() == written("geojson").read_bytes()


def test_asap_orders_corners_from_0_and_declares_every_group(written):
    root = Xml.parse(written("asap")).getroot()
    assert root.tag == "ASAP_Annotations"
    annotations, groups = root
    declared = {one.get("Name") for one in groups}
    assert declared == {"Tumor", "Region*", "Mitosis"}
    assert {one.get("PartOfGroup") for one in groups} == {"None"}
    assert all(one.find("Attributes") is not None for one in groups)
    for one in annotations:
        assert set(one.attrib) == {"Name", "Type", "PartOfGroup", "Color"}
        assert one.get("PartOfGroup") in declared
        corners = one.find("Coordinates")
        assert [c.get("Order") for c in corners] == [str(i) for i in range(len(corners))]
    assert {one.get("Type") for one in annotations} == {"Polygon", "Dot"}
    names = [one.get("Name") for one in annotations]
    assert len(names) == len(set(names))


def test_asap_gets_a_region_with_a_hole_in_parts_that_cover_the_same(written):
    root = Xml.parse(written("asap")).getroot()
    parts = [one for one in root[0] if one.get("Name").startswith("Region 0, part")]
    assert len(parts) == 2
    shapes = [
        Polygon([(float(c.get("X")), float(c.get("Y"))) for c in one.find("Coordinates")])
        for one in parts
    ]
    assert sum(one.area for one in shapes) == pytest.approx(9600)
    assert shapes[0].intersection(shapes[1]).area == pytest.approx(0)


def test_annotations_with_holes_and_parts_are_in_the_table_for_asap_and_in_the_mask(tmp_path):
    drawn = (
        Annotation("a", "freehand", box(0, 0), "Tumor", holes=(box(40, 40, 20),), locked=True),
        Annotation("b", "ellipse", box(10, 10, 10), "Necrosis", parent="a"),
        Annotation("c", "polyline", ((0.0, 0.0), (3.0, 4.0), (3.0, 9.0)), "Other"),
        Annotation("d", "polygon", box(150, 150, 20)),
    )
    wish = ReviewWish(formats=("csv", "asap", "mask"), slide_shape=(400, 300))
    state = ReviewState(annotations=drawn)
    table, asap, mask = write_review(tmp_path / "case.mask.tiff", state, wish, mpp=MPP)
    assert (table.name, mask.name) == ("case.csv", "case.mask.tiff")
    rows = table_of(table)
    said = [(one["parent"], one["holes"], one["locked"], one["area_px2"]) for one in rows]
    assert said == [
        ("", "1", "yes", "9600.0"), ("a", "0", "", "100.0"), ("", "0", "", ""),
        ("", "0", "", "400.0"),
    ]  # fmt: skip
    assert rows[2]["length_px"] == "10.0"
    areas = read_polygons_of_asap(asap)
    assert sum(areas) == pytest.approx(9600 + 100 + 400)
    found, classes = read_annotations(mask)
    assert [one.name for one in classes] == ["Tumor", "Necrosis"]
    sizes = {one.path_class: (area_of(one.rings), len(one.holes)) for one in found}
    # The part is cut out of what it lies on: a place has one class.
    assert sizes == {"Tumor": (9500, 2), "Necrosis": (100, 0), "": (400, 0)}
    with tifffile.TiffFile(mask) as tiff:
        assert tiff.asarray().shape == (400, 300)
        said = json.loads(tiff.pages.first.description)
    assert not list(validator("mask").iter_errors(said))
    with pytest.raises(OutputError, match="covers a slide"):
        write_review(tmp_path / "x", state, ReviewWish(formats=("mask",)), mpp=MPP)
    (tmp_path / "other.tiff").write_bytes(b"II")
    with pytest.raises(AnnotationError, match="must be a mask"):
        read_annotations(tmp_path / "other.tiff")


def test_a_mask_of_a_large_slide_is_coarser_and_comes_back_in_its_place(tmp_path):
    drawn = (Annotation("a", "polygon", box(8000, 12_000, 4000), "Tumor"),)
    wish = ReviewWish(formats=("mask",), slide_shape=(20_001, 30_000))
    (mask,) = write_review(tmp_path / "m", ReviewState(annotations=drawn), wish, mpp=MPP)
    ((one,), _) = read_annotations(mask)
    assert area_of(one.rings) == pytest.approx(4000**2, rel=0.003)
    corners = np.asarray(one.points)
    assert np.abs(corners.min(axis=0) - (8000, 12_000)).max() <= 4
    assert np.abs(corners.max(axis=0) - (12_000, 16_000)).max() <= 4


def read_polygons_of_asap(path):
    return [area_of(rings) for rings in read_xml_areas(path)]


SIGNATURE = Signature(
    "S12.3.svs", "f" * 8, "Dr. Åse Müller", datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC), "demo",
    "teaching",
)  # fmt: skip


def table_of(path):
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(data.decode("utf-8-sig").splitlines()))
    assert not any(None in one or None in one.values() for one in rows)
    return rows


def test_the_table_has_a_row_for_all_and_the_conclusion_last(written):
    rows = table_of(written("csv"))
    assert list(rows[0]) == [
        "slide", "reviewer", "date", "mpp", "id", "kind", "decision", "class", "score", "area_um2",
        "length_um", "area_px2", "length_px", "centre_x_px", "centre_y_px", "provenance", "comment",
        "purpose", "parent", "holes", "locked",
    ]  # fmt: skip
    assert [one["kind"] for one in rows] == [
        "region", "region", "region", "polygon", "ruler", "point", "conclusion",
    ]  # fmt: skip
    sizes = [[one[k] for k in ("area_um2", "length_um", "area_px2", "length_px")] for one in rows]
    assert sizes[0] == ["2400.0", "", "9600.0", ""]
    assert sizes[4] == ["", "25.0", "", "50.0"]
    assert sizes[5] == sizes[6] == [""] * 4
    assert (rows[0]["centre_x_px"], rows[0]["centre_y_px"]) == ("50.5", "50.5")
    assert (rows[0]["score"], rows[0]["comment"]) == ("97.5", RING.comment)
    assert (rows[6]["class"], rows[6]["comment"]) == ("tumor", "sure")


def test_every_file_says_what_it_is_for(tmp_path):
    wish = ReviewWish(accepted_only=False, formats=("csv", "geojson", "asap"))
    for path in write_review(tmp_path / "a", STATE, wish, mpp=MPP, signature=SIGNATURE):
        assert RESEARCH_USE in path.read_text("utf-8-sig"), path.name
    assert {one["purpose"] for one in table_of(tmp_path / "a.csv")} == {RESEARCH_USE}


def test_every_row_says_whose_review_of_which_slide_it_is_so_that_tables_stack(tmp_path):
    wish = ReviewWish(accepted_only=False, formats=("csv", "geojson"))
    table, shapes = write_review(tmp_path / "a", STATE, wish, mpp=MPP, signature=SIGNATURE)
    whose = {(one["slide"], one["reviewer"], one["date"], one["mpp"]) for one in table_of(table)}
    assert whose == {("S12.3.svs", "Dr. Åse Müller", "2026-03-04T05:06:07+00:00", "0.5")}
    said = json.loads(shapes.read_text("utf-8"))
    assert read_annotations(shapes)[0]
    assert said["review"] == {
        "slide": "S12.3.svs",
        "fingerprint": "ffffffff",
        "reviewer": "Dr. Åse Müller",
        "date": "2026-03-04T05:06:07+00:00",
        "model": "demo",
        "intended_use": "teaching",
        "conclusion": {"class": "tumor", "text": "sure"},
        "mpp": 0.5,
    }


def test_without_a_pixel_size_nothing_is_in_um(tmp_path):
    wish = ReviewWish(accepted_only=False, formats=("csv", "geojson"))
    table, shapes = write_review(tmp_path / "a", STATE, wish, mpp=None, signature=SIGNATURE)
    rows = table_of(table)
    assert {one[k] for one in rows for k in ("mpp", "area_um2", "length_um")} == {""}
    assert rows[0]["area_px2"] == "9600.0"
    assert "µm" not in shapes.read_text("utf-8")
    assert '"Area px^2": 9600.0' in shapes.read_text("utf-8")


def test_a_slide_where_nothing_was_found_has_its_conclusion_in_both_files(tmp_path):
    state = ReviewState(conclusion=Conclusion("normal", "no tumour"))
    table, shapes = write_review(
        tmp_path / "a", state, ReviewWish(formats=("csv", "geojson")), mpp=MPP, signature=SIGNATURE
    )
    (row,) = table_of(table)
    assert (row["kind"], row["class"], row["comment"]) == ("conclusion", "normal", "no tumour")
    assert json.loads(shapes.read_text())["features"] == []
    assert json.loads(shapes.read_text())["review"]["conclusion"]["class"] == "normal"


@pytest.mark.parametrize(
    ("wish", "ids"),
    [
        (ReviewWish(), "0cdef"),
        (ReviewWish(accepted_only=False), "0bcdef"),
        (ReviewWish(annotations=False), "0c"),
        (ReviewWish(regions=False), "def"),
        (ReviewWish(classes=("Tumor",)), "0e"),
        (ReviewWish(classes=("",)), "cf"),
    ],
)
def test_what_is_wished_for_is_written_and_nothing_else(written, wish, ids):
    assert "".join(one["id"][0] for one in features_of(written("geojson", wish))) == ids


def test_a_region_that_crosses_itself_is_written_with_the_area_of_its_largest_part(written):
    bow = ReviewRegion("a" * 12, ((0, 0), (100, 100), (0, 100), (100, 0)), decision="accepted")
    (one,) = features_of(written("geojson", AREAS, ReviewState(regions=(bow,))))
    assert one["properties"]["measurements"]["Area µm^2"] == pytest.approx(2500 * MPP**2)
    assert np.isfinite(one["geometry"]["coordinates"][0]).all()


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("DX1.d4ff32cd-review", "DX1.d4ff32cd-review.geojson"),
        ("case 1.2", "case 1.2.geojson"),
        ("case.csv", "case.geojson"),
        ("case.GeoJSON", "case.geojson"),
    ],
)
def test_a_dot_in_the_name_of_a_review_is_no_ending(tmp_path, given, name):
    (path,) = write_review(tmp_path / given, ReviewState(), ReviewWish(), mpp=0.5)
    assert path.name == name
