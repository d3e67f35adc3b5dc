"""Annotations out of GeoJSON: what this package and QuPath write comes back."""

import json

import pytest
from shapely import Polygon

from napari_hagmil.errors import AnnotationError
from napari_hagmil.export.annotations_reader import read_annotations
from napari_hagmil.export.review import ReviewWish, write_review
from napari_hagmil.polygons import area_of
from napari_hagmil.review import (
    QUPATH_CLASSES,
    UNCLASSIFIED,
    Annotation,
    PathClass,
    ReviewState,
)

SQUARE = ((0.5, 0.5), (0.5, 9.5), (9.5, 9.5), (9.5, 0.5))
DRAWN = (
    Annotation("a" * 12, "polygon", SQUARE, "Mitosis", "three of them"),
    Annotation("b" * 12, "ruler", ((0.0, 0.0), (30.0, 40.0)), "Tumor"),
    Annotation("c" * 12, "point", ((7.0, 9.0),)),
)


def test_what_was_exported_comes_back_with_class_colour_comment_and_place(tmp_path):
    state = ReviewState(
        annotations=DRAWN, classes=(*QUPATH_CLASSES, PathClass("Mitosis", (9, 8, 7)))
    )
    (path,) = write_review(tmp_path / "case", state, ReviewWish(), mpp=0.25)
    found, classes = read_annotations(path)
    assert classes == [PathClass("Mitosis", (9, 8, 7)), PathClass("Tumor", (200, 0, 0))]
    assert [one.kind for one in found] == ["polygon", "ruler", "point"]
    assert [one.path_class for one in found] == ["Mitosis", "Tumor", ""]
    assert found[0].comment == "three of them"
    assert Polygon(found[0].points).equals(Polygon(SQUARE))
    assert [one.points for one in found[1:]] == [one.points for one in DRAWN[1:]]
    assert not {one.id for one in found} & {one.id for one in DRAWN}


def test_a_hole_stays_a_hole_and_out_of_the_area(tmp_path):
    outer = [[0, 0], [100, 0], [100, 100], [0, 100], [0, 0]]
    hole = [[40, 40], [40, 60], [60, 60], [60, 40], [40, 40]]
    path = tmp_path / "bare.geojson"
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [outer, hole]}))
    ((one,), classes) = read_annotations(path)
    assert classes == []
    assert (len(one.holes), area_of(one.rings)) == (1, pytest.approx(9600))


def test_holes_parts_kinds_and_locks_come_back_as_they_were_exported(tmp_path):
    hole = ((2.5, 2.5), (2.5, 4.5), (4.5, 4.5), (4.5, 2.5))
    inside = ((2.0, 7.0), (8.0, 7.0), (5.0, 9.0))
    state = ReviewState(
        annotations=(
            Annotation("a" * 12, "freehand", SQUARE, "Tumor", holes=(hole,), locked=True),
            Annotation("b" * 12, "ellipse", inside, "Necrosis", parent="a" * 12),
            Annotation("c" * 12, "point", ((5.0, 8.0),), parent="b" * 12),
            Annotation("d" * 12, "polyline", ((0.0, 0.0), (3.0, 4.0), (5.0, 6.0))),
            Annotation("e" * 12, "rectangle", SQUARE, "Stroma", parent="gone"),
        )
    )
    (path,) = write_review(tmp_path / "case", state, ReviewWish(), mpp=0.25)
    features = json.loads(path.read_text())["features"]
    assert len(features) == 3
    found, _ = read_annotations(path)
    assert [one.kind for one in found] == ["freehand", "ellipse", "point", "polyline", "rectangle"]
    assert [one.locked for one in found] == [True, False, False, False, False]
    assert [one.parent for one in found] == ["", found[0].id, found[1].id, "", ""]
    assert [area_of(one.rings) for one in found if one.is_area] == [81 - 4, 6, 81]
    # Of a parent that is not among the classes chosen, the parts are written all the same.
    wish = ReviewWish(classes=("", "Necrosis"))
    (path,) = write_review(tmp_path / "case", state, wish, mpp=0.25)
    assert [one.kind for one in read_annotations(path)[0]] == ["ellipse", "point", "polyline"]


def test_patches_among_child_objects_are_no_annotations(tmp_path):
    square = {"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [9, 9], [0, 9], [0, 0]]]}
    children = [
        {"type": "Feature", "geometry": square, "properties": {"objectType": kind}}
        for kind in ("tile", "detection", "annotation")
    ]
    feature = {"type": "Feature", "geometry": square, "properties": {"childObjects": children}}
    path = tmp_path / "given.geojson"
    path.write_text(json.dumps(feature))
    drawn, _ = read_annotations(path)
    assert [one.parent for one in drawn] == ["", drawn[0].id]


@pytest.mark.parametrize(
    "content",
    [
        '{"type": "FeatureCollection", "features": [{"geometry": {"type": "LineString", '
        '"coordinates": [[0, 0]]}}]}',
        '{"type": "Point"}',
        '{"type": "Point", "coordinates": ["x"]}',
        '{"type": "GeometryCollection", "geometries": []}',
        "[1]",
        "3",
        "not json",
    ],
)
def test_anything_else_is_refused_in_one_sentence_that_names_the_file(tmp_path, content):
    path = tmp_path / "odd.geojson"
    path.write_text(content)
    with pytest.raises(AnnotationError, match=r"odd\.geojson") as caught:
        read_annotations(path)
    assert "\n" not in str(caught.value)


def test_a_colour_that_is_none_does_not_lose_the_class(tmp_path):
    path = tmp_path / "odd.geojson"
    said = {"classification": {"name": "Tumor", "color": "red"}, "metadata": 3}
    point = {"type": "Point", "coordinates": [1, 2]}
    path.write_text(json.dumps([{"type": "Feature", "geometry": point, "properties": said}]))
    ((one,), (path_class,)) = read_annotations(path)
    assert one.path_class == path_class.name == "Tumor"


@pytest.mark.parametrize(
    ("classification", "name", "color"),
    [
        ({"name": "Tumor", "color": [200, 0, 0]}, "Tumor", (200, 0, 0)),
        ({"names": ["Tumor", "Positive"], "color": [200, 0, 0]}, "Tumor: Positive", (200, 0, 0)),
        ({"names": ["Tumor"], "color": [200, 0, 0, 128]}, "Tumor", (200, 0, 0)),
        ({"name": "Tumor: Positive", "colorRGB": -3670016}, "Tumor: Positive", (200, 0, 0)),
        ({"name": "Tumor", "color": 4291297280}, "Tumor", (200, 0, 0)),
        ({"name": "Tumor", "color": "#c80000"}, "Tumor", (200, 0, 0)),
        ({"name": "Lymphknoten, groß", "color": [0, 0, 0]}, "Lymphknoten, groß", (0, 0, 0)),
        ("Tumor", "Tumor", UNCLASSIFIED.color),
        (["Tumor", "Positive"], "Tumor: Positive", UNCLASSIFIED.color),
        ({"names": [], "name": "Tumor"}, "Tumor", UNCLASSIFIED.color),
    ],
)
def test_a_class_arrives_however_qupath_or_another_tool_wrote_it(
    tmp_path, classification, name, color
):
    path = tmp_path / "given.geojson"
    point = {"type": "Point", "coordinates": [1, 2]}
    feature = {"geometry": point, "properties": {"classification": classification}}
    path.write_text(json.dumps([{"type": "Feature", **feature}]), encoding="utf-8")
    ((one,), classes) = read_annotations(path)
    assert classes == [PathClass(name, color)]
    assert one.path_class == name


@pytest.mark.parametrize("classification", [None, {}, {"name": None}, {"names": []}, "", []])
def test_an_annotation_without_a_class_stays_without(tmp_path, classification):
    path = tmp_path / "given.geojson"
    point = {"type": "Point", "coordinates": [1, 2]}
    feature = {"geometry": point, "properties": {"classification": classification}}
    path.write_text(json.dumps([{"type": "Feature", **feature}]))
    ((one,), classes) = read_annotations(path)
    assert (one.path_class, classes) == ("", [])


def test_a_mixed_file_is_read_and_what_is_left_out_is_counted(tmp_path):
    square = [[[0, 0], [9, 0], [9, 9], [0, 9], [0, 0]]]
    geometries = [
        {"type": "Polygon", "coordinates": square},
        {"type": "MultiPolygon", "coordinates": [square, square]},
        {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4, 0]]},
        {"type": "LineString", "coordinates": [[0, 0], [3, 4]]},
        {"type": "LineString", "coordinates": [[0, 0], [3, 4], [5, 6]]},
        {"type": "MultiLineString", "coordinates": [[[0, 0], [1, 1]], [[0, 0], [3, 4], [5, 6]]]},
        {"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [5, 5]}]},
        {"type": "Polygon", "coordinates": [[[1, 1], [2, 2], [1, 1]]]},
        {"type": "MultiPolygon", "coordinates": []},
    ]
    said = {"classification": {"name": "Tumor"}}
    features = [{"type": "Feature", "geometry": g, "properties": said} for g in geometries]
    path = tmp_path / "mixed.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    notes = []
    drawn, _ = read_annotations(path, on_note=notes.append)
    kinds = ["polygon"] * 3 + ["point"] * 2 + ["ruler", "polyline"] * 2 + ["point"]
    assert [one.kind for one in drawn] == kinds
    assert {one.path_class for one in drawn} == {"Tumor"}
    assert drawn[4].points == ((3.5, 2.5),)  # (x, y) with pixel edges at integers → (y, x)
    assert notes == ["1 outline around nothing in mixed.geojson left out."]
