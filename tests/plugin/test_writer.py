"""napari's writers: layers of this plugin and of others, saved for other programs."""

import json
from xml.etree import ElementTree as Xml

import numpy as np
import pytest
import shapely
import zarr
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points, Shapes
from npe2 import PluginManager, PluginManifest

from napari_hagmil.errors import OutputError
from napari_hagmil.export.geojson_reader import read_polygons
from napari_hagmil.plugin.layers import KEY
from napari_hagmil.plugin.reader import get_reader
from napari_hagmil.plugin.writer import write_annotations, write_map, write_mask

UM = {"units": ("um", "um")}
SQUARE = np.array([(10.0, 20.0), (10.0, 40.0), (30.0, 40.0), (30.0, 20.0)])


@pytest.fixture
def viewer(monkeypatch):
    """A window that shows a slide of 0.25 µm per pixel."""
    viewer = ViewerModel()
    meta = {KEY: {"path": "/nowhere/a.svs", "mpp": 0.25, "fingerprint": "f"}}
    viewer.add_image(np.zeros((400, 400)), name="a.svs", scale=(0.25, 0.25), metadata=meta, **UM)
    monkeypatch.setattr("napari.current_viewer", lambda: viewer)
    return viewer


def features(path) -> list[dict]:
    return json.loads(path.read_text())["features"]


def test_shapes_and_points_are_written_in_the_slides_pixels(viewer, tmp_path):
    shapes = Shapes([SQUARE], shape_type="polygon", edge_color="#ff0000", name="Tumor", **UM)
    points = Points([(2.5, 5.0)], face_color="#0000ff", name="Mitosis", **UM)
    path = tmp_path / "a.geojson"
    layers = [shapes.as_layer_data_tuple(), points.as_layer_data_tuple()]
    assert write_annotations(str(path), layers) == [str(path)]
    one, other = features(path)
    ring = {tuple(corner) for corner in one["geometry"]["coordinates"][0]}
    assert ring == {(x * 4 + 0.5, y * 4 + 0.5) for y, x in SQUARE}
    assert one["properties"]["classification"] == {"name": "Tumor", "color": [255, 0, 0]}
    assert other["geometry"] == {"type": "Point", "coordinates": [20.5, 10.5]}
    assert other["properties"]["classification"] == {"name": "Mitosis", "color": [0, 0, 255]}


def test_a_layer_that_is_scaled_and_moved_is_written_where_it_is_seen(viewer, tmp_path):
    moved = Shapes([SQUARE], shape_type="rectangle", scale=(2, 3), translate=(5, 7), **UM)
    write_annotations(str(tmp_path / "a.geojson"), [moved.as_layer_data_tuple()])
    shape = shapely.from_geojson(json.dumps(features(tmp_path / "a.geojson")[0]["geometry"]))
    expected = np.array([(20 * 3 + 7), (10 * 2 + 5), (40 * 3 + 7), (30 * 2 + 5)]) * 4 + 0.5
    np.testing.assert_allclose(shape.bounds, expected)


def test_a_class_column_of_another_plugin_names_the_classes(viewer, tmp_path):
    columns = {"classification": ["Tumor", "Stroma"]}
    shapes = Shapes([SQUARE, SQUARE + 50], shape_type="polygon", features=columns, **UM)
    write_annotations(str(tmp_path / "a.geojson"), [shapes.as_layer_data_tuple()])
    names = [
        one["properties"]["classification"]["name"] for one in features(tmp_path / "a.geojson")
    ]
    assert names == ["Tumor", "Stroma"]


def test_an_ellipse_is_round_and_an_open_path_is_a_line_of_its_places(viewer, tmp_path):
    shapes = Shapes([SQUARE, SQUARE], shape_type=["ellipse", "path"], name="round", **UM)
    write_annotations(str(tmp_path / "a.geojson"), [shapes.as_layer_data_tuple()])
    shape, path = (
        shapely.from_geojson(json.dumps(found["geometry"]))
        for found in features(tmp_path / "a.geojson")
    )
    assert shape.area == pytest.approx(np.pi * 40 * 40, rel=0.01)
    assert shape.centroid.coords[0] == pytest.approx((120.5, 80.5))
    assert path.geom_type == "LineString"
    assert len(path.coords) == len(SQUARE)
    assert path.bounds == pytest.approx(shape.bounds, abs=0.1)


def test_xml_for_asap_is_written_by_its_ending(viewer, tmp_path):
    shapes = Shapes([SQUARE], shape_type="polygon", name="Tumor", **UM)
    write_annotations(str(tmp_path / "a.xml"), [shapes.as_layer_data_tuple()])
    (one,) = Xml.parse(tmp_path / "a.xml").iter("Annotation")
    assert one.get("PartOfGroup") == "Tumor"


def test_labels_of_another_plugin_become_outlines_with_holes(viewer, tmp_path):
    """A mask of 2 µm per pixel, placed by the centre of its first pixel as napari does."""
    values = np.zeros((50, 50), np.int32)
    values[10:30, 5:25] = 1
    values[15:20, 10:20] = 0
    values[40:45, 40:50] = 7
    shift = (2 - 0.25) / 2
    labels = Labels(values, scale=(2, 2), translate=(shift, shift), name="Tissue", **UM)
    data, meta, _ = labels.as_layer_data_tuple()
    write_mask(str(tmp_path / "a.geojson"), data, meta)
    one, other = (
        shapely.from_geojson(json.dumps(found["geometry"]))
        for found in features(tmp_path / "a.geojson")
    )
    assert one.area == pytest.approx((20 * 20 - 5 * 10) * 64)
    assert one.bounds == pytest.approx((5 * 8, 10 * 8, 25 * 8, 30 * 8))
    assert other.bounds == pytest.approx((40 * 8, 40 * 8, 50 * 8, 45 * 8))
    assert read_polygons(tmp_path / "a.geojson")


def test_layers_in_um_need_a_slide_that_says_what_a_pixel_is(tmp_path):
    shapes = Shapes([SQUARE], shape_type="polygon", **UM)
    with pytest.raises(OutputError, match="open its slide first"):
        write_annotations(str(tmp_path / "a.geojson"), [shapes.as_layer_data_tuple()])
    in_pixels = Shapes([SQUARE], shape_type="polygon")
    write_annotations(str(tmp_path / "a.geojson"), [in_pixels.as_layer_data_tuple()])
    assert len(features(tmp_path / "a.geojson")) == 1


def test_a_map_is_written_in_its_place_and_read_there(viewer, tmp_path):
    values = np.full((4, 5), np.nan, np.float32)
    values[1, 2] = 0.5
    layer = Image(values, scale=(56, 56), translate=(27.875, 27.875), name="Attention 40×", **UM)
    data, meta, _ = layer.as_layer_data_tuple()
    path = tmp_path / "a.ome.zarr"
    write_map(str(path), data, meta)
    models = pytest.importorskip("ome_zarr_models.v05")
    models.Image.from_zarr(zarr.open_group(path, mode="r"))
    ((back, meta, _),) = get_reader(str(path))(str(path))
    found = Image(
        np.asarray(back[0] if isinstance(back, list) else back),
        **{key: meta[key] for key in ("scale", "translate")},
    )
    np.testing.assert_allclose(found.data_to_world((1, 2)), layer.data_to_world((1, 2)))


def test_a_slide_is_no_map(viewer, tmp_path):
    layer = Image(np.zeros((8, 8, 3), np.uint8), rgb=True)
    data, meta, _ = layer.as_layer_data_tuple()
    with pytest.raises(OutputError, match="napari-hagmil pyramid"):
        write_map(str(tmp_path / "a.zarr"), data, meta)


def test_napari_saves_through_the_plugin(viewer, tmp_path):
    manager = PluginManager.instance()
    hidden = "napari-hagmil" not in manager
    if hidden:
        manager.register(PluginManifest.from_distribution("napari-hagmil"))
    try:
        viewer.add_shapes([SQUARE], shape_type="polygon", name="Tumor", **UM)
        written = viewer.layers.save(
            str(tmp_path / "a.geojson"), selected=True, plugin="napari-hagmil"
        )
    finally:
        if hidden:
            manager.unregister("napari-hagmil")
    assert written == [str(tmp_path / "a.geojson")]
    assert len(features(tmp_path / "a.geojson")) == 1
