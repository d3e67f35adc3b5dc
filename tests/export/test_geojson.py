import json
import math
import uuid

import numpy as np
import pytest

from napari_hagmil.attention import AttentionMap, AttentionRegion, RegionPatch, find_regions
from napari_hagmil.errors import AnnotationError, OutputError
from napari_hagmil.export import read_geojson, write_geojson
from napari_hagmil.export.geojson_reader import read_polygons
from napari_hagmil.review import PathClass

SQUARE = np.array([(-0.5, -0.5), (-0.5, 9.5), (9.5, 9.5), (9.5, -0.5)])
HOLE = np.array([(2.5, 2.5), (6.5, 2.5), (6.5, 6.5), (2.5, 6.5)])
REGION = AttentionRegion(SQUARE, 97.5, 84.0, (HOLE,), (4.0, 4.0), 1)


def _area(ring):
    y, x = ring.T
    return abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2


def _written(tmp_path, regions, **options):
    path = tmp_path / "regions.geojson"
    write_geojson(path, regions, **{"fingerprint": "f00d", **options})
    return json.loads(path.read_text(encoding="utf-8"))


def _read(tmp_path, content):
    path = tmp_path / "given.geojson"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_geojson(path)


def test_a_region_is_a_qupath_annotation(tmp_path):
    collection = _written(tmp_path, [REGION], magnification=40.0)
    assert collection["type"] == "FeatureCollection"
    (feature,) = collection["features"]
    assert str(uuid.UUID(feature["id"])) == feature["id"]
    assert feature["properties"] == {
        "objectType": "annotation",
        "name": "Attention 1",
        "classification": {"name": "Region*", "color": [0, 0, 180]},
        "measurements": {
            "Attention score (percentile)": 97.5,
            "Area µm^2": 84.0,
            "Patches": 1.0,
            "Magnification": 40.0,
        },
    }


def test_rings_are_closed_in_x_y_on_whole_pixel_edges(tmp_path):
    (feature,) = _written(tmp_path, [REGION])["features"]
    outer, hole = feature["geometry"]["coordinates"]
    assert outer == [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
    assert hole[0] == hole[-1]
    assert {tuple(p) for p in hole} == {(3, 3), (3, 7), (7, 7), (7, 3)}


def test_the_same_slide_and_outline_keep_their_id(tmp_path):
    def ident(**options):
        return _written(tmp_path, [REGION], **options)["features"][0]["id"]

    assert ident() == ident(path_class=PathClass("Tumor", (200, 0, 0)))
    assert ident() != ident(fingerprint="beef")


@pytest.mark.parametrize(
    ("score", "text"), [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")]
)
def test_what_json_has_no_number_for_is_a_string(tmp_path, score, text):
    (feature,) = _written(tmp_path, [AttentionRegion(SQUARE, score, 1.0)])["features"]
    assert feature["properties"]["measurements"]["Attention score (percentile)"] == text


def test_regions_come_back_as_they_were(tmp_path):
    values = np.random.default_rng(1).random((12, 12)).astype(np.float32)
    regions = find_regions(
        AttentionMap(values, 37.3, (37.3 * 4, 0.0)),
        slide_shape=(10**4, 10**4),
        mpp=0.25,
        quantile=0.4,
        gap_um=0,
    )
    _written(tmp_path, regions)
    polygons = read_polygons(tmp_path / "regions.geojson")
    assert any(holes for _, holes in polygons)
    for region, (outer, holes) in zip(regions, polygons, strict=True):
        for ours, theirs in zip((region.polygon, *region.holes), (outer, *holes), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_region_has_its_patches_as_child_objects_and_is_one_feature(tmp_path):
    patches = (RegionPatch((-0.5, -0.5, 4.5, 4.5), 99.0), RegionPatch((4.5, -0.5, 9.5, 4.5), 80.0))
    region = AttentionRegion(SQUARE, 99.0, 84.0, n_nodes=2, patches=patches)
    (feature,) = _written(tmp_path, [region])["features"]
    first, second = feature["properties"]["childObjects"]
    assert first["properties"]["objectType"] == "tile"
    assert first["properties"]["measurements"] == {"Attention score (percentile)": 99.0}
    assert sorted(map(tuple, first["geometry"]["coordinates"][0][:-1])) == [
        (0, 0), (0, 5), (5, 0), (5, 5),
    ]  # fmt: skip
    assert len({feature["id"], first["id"], second["id"]}) == 3
    assert len(read_polygons(tmp_path / "regions.geojson")) == 1


def test_a_hole_is_joined_to_its_outline_and_takes_its_area_away(tmp_path):
    _written(tmp_path, [REGION])
    (ring,) = read_geojson(tmp_path / "regions.geojson")
    assert _area(ring) == 84.0


POINTS = {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}
POLYLINE = {"type": "LineString", "coordinates": [[1, 2], [3, 4], [6, 7]]}
CLICK = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]}
POLYGON = {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4], [0, 0]]]}


@pytest.mark.parametrize(
    ("content", "number"),
    [
        (POLYGON, 1),
        ({"type": "Feature", "geometry": POLYGON, "properties": {}}, 1),
        ({"type": "FeatureCollection", "features": []}, 0),
        ([{"type": "Feature", "geometry": POLYGON}] * 2, 2),
        ({"type": "MultiPolygon", "coordinates": [POLYGON["coordinates"]] * 3}, 3),
        ({"type": "GeometryCollection", "geometries": [POLYGON, POINTS, POLYGON]}, 2),
        ([POLYGON, {"type": "Feature", "geometry": POINTS}, POLYLINE], 1),
        ([POLYGON, {"type": "Feature", "geometry": None}], 1),
        ([{"type": "Polygon", "coordinates": []}, CLICK, POLYGON], 1),
        (
            f'{{"type": "Feature", "geometry": {json.dumps(POLYGON)}, "properties": {{"a": NaN}}}}',
            1,
        ),
    ],
    ids=[
        "polygon",
        "feature",
        "empty collection",
        "bare list",
        "multipolygon",
        "geometry collection",
        "points and lines beside it",
        "no geometry beside it",
        "outlines of nothing beside it",
        "QuPath's bare NaN among the measurements",
    ],
)
def test_all_that_holds_polygons_is_read(tmp_path, content, number):
    polygons = _read(tmp_path, content)
    assert len(polygons) == number
    for polygon in polygons:
        np.testing.assert_array_equal(polygon, [(-0.5, -0.5), (-0.5, 3.5), (3.5, 3.5)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "readable GeoJSON"),
        ("[" * 100_000, "readable GeoJSON"),
        ("3", "must have 'type'"),
        ({"type": "Point", "coordinates": [1, 2]}, "must hold polygons, got only 'Point'"),
        ({"type": "Feature", "geometry": None}, "must hold polygons, got none"),
        ({"type": "Feature"}, "must have 'geometry'"),
        ({"type": "Topology"}, "unknown kind of object, got 'Topology'"),
        (
            '{"type": "GeometryCollection", "geometries": [' * 300 + "3" + "]}" * 300,
            "must have 'type'",
        ),
        ({"type": "FeatureCollection", "features": 3}, "'features' must be a list"),
        ({"type": "Polygon", "coordinates": []}, "must hold polygons, got none"),
        ({"type": "Polygon", "coordinates": 3}, "'coordinates' must be a list"),
        (CLICK, "encloses nothing"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1], [0, 0]]]}, "numbers"),
        ({"type": "Polygon", "coordinates": [3]}, "numbers"),
        ({"type": "MultiPolygon", "coordinates": [3]}, "list of rings"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [1, NaN], [5, 5]]]}', "numbers"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(tmp_path, content, message):
    with pytest.raises(AnnotationError, match=message) as caught:
        _read(tmp_path, content)
    assert "given.geojson" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_missing_file_is_an_annotation_error(tmp_path):
    with pytest.raises(AnnotationError, match="No such file"):
        read_geojson(tmp_path / "none.geojson")


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another folder"):
        write_geojson(tmp_path / "file" / "regions.geojson", [], fingerprint="")
