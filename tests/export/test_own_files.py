"""Our own files, dropped on napari."""

import json

import numpy as np
import pytest
import zarr
from napari.components import ViewerModel
from napari.layers import Layer

from napari_hagmil.attention import AttentionRegion
from napari_hagmil.export import write_analysis, write_attention_zarr
from napari_hagmil.export.on_request.tiles import write_tiles
from napari_hagmil.export.review import ReviewWish, write_review
from napari_hagmil.plugin.reader import get_reader
from napari_hagmil.plugin.review_layers import MOST_SHAPES
from napari_hagmil.review import Annotation, PathClass, ReviewState


@pytest.fixture(scope="module")
def regions():
    square = np.array([(100.0, 200.0), (100.0, 900.0), (700.0, 900.0), (700.0, 200.0)])
    hole = np.array([(300.0, 400.0), (300.0, 500.0), (400.0, 500.0), (400.0, 400.0)])
    return [AttentionRegion(square, 97.0, 26_250.0, (hole,), n_nodes=4)]


@pytest.fixture(scope="module")
def folder(result, regions, tmp_path_factory):
    out = tmp_path_factory.mktemp("analysis") / "out"
    write_analysis(result, out, regions=regions)
    return out


def opened(path) -> dict[str, Layer]:
    found = [Layer.create(*layer) for layer in get_reader(str(path))(str(path))]
    return {layer.name: layer for layer in found}


def place_of(layer, node) -> np.ndarray:
    return np.asarray(layer.data_to_world(node))


def centres(result, depth) -> np.ndarray:
    """Centres of the nodes of a stage, µm."""
    edges = result.grids[depth].edges(result.stages[depth].nodes)
    return (edges[:, :2] + edges[:, 2:] - 1) / 2 * result.slide.mpp


def test_a_results_folder_shows_every_depth_over_the_slide(folder, result):
    layers = opened(folder)
    assert list(layers) == [
        "Attention 10×", "Attention 20×", "Attention 40×", "Branches", "Attention regions",
    ]  # fmt: skip
    for depth, name in enumerate(("Attention 10×", "Attention 20×", "Attention 40×")):
        stage, layer = result.stages[depth], layers[name]
        assert layer.visible == (depth == 2)
        found = [place_of(layer, node) for node in stage.nodes]
        np.testing.assert_allclose(found, centres(result, depth), atol=result.slide.mpp / 2)
        np.testing.assert_allclose(layer.data[tuple(stage.nodes.T)], stage.scores, rtol=1e-6)
        assert [str(unit) for unit in layer.units] == ["micrometer"] * 2


def test_regions_of_a_results_folder_lie_where_they_were_found(folder, regions):
    outer, hole = opened(folder)["Attention regions"].data
    np.testing.assert_allclose(outer, regions[0].polygon * 0.25)
    expected = regions[0].holes[0] * 0.25
    np.testing.assert_allclose(sorted(map(tuple, hole)), sorted(map(tuple, expected)))


@pytest.mark.parametrize("part", ["", "/1"])
def test_attention_of_a_file_has_its_values_and_its_place(folder, result, part):
    layers = opened(f"{folder}/attention.ome.zarr{part}")
    assert len(layers) == (1 if part else 3)
    layer = layers["Attention 20×"]
    stage = result.stages[1]
    np.testing.assert_array_equal(layer.data[tuple(stage.nodes.T)], stage.attention)
    found = [place_of(layer, node) for node in stage.nodes]
    np.testing.assert_allclose(found, centres(result, 1), atol=result.slide.mpp / 2)
    assert np.isnan(layer.data).any()


def test_a_heat_map_of_somebody_else_lies_where_its_file_says(folder, result, tmp_path):
    """As the images of ours did not while their place was not read."""
    write_attention_zarr(result, tmp_path / "a.ome.zarr")
    group = zarr.open_group(tmp_path / "a.ome.zarr/0", mode="r+")
    ome = dict(group.attrs["ome"])
    group.attrs.clear()
    group.attrs["ome"] = ome
    (layer,) = opened(tmp_path / "a.ome.zarr/0").values()
    found = [place_of(layer, node) for node in result.stages[0].nodes]
    np.testing.assert_allclose(found, centres(result, 0), atol=result.slide.mpp / 2)
    assert layer.contrast_limits[1] < 0.1


def test_a_folder_that_is_no_result_is_left_to_others(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps({"schema": "another/1"}))
    assert get_reader(str(tmp_path)) is None
    (tmp_path / "result.json").write_text("no json")
    assert get_reader(str(tmp_path)) is None


@pytest.fixture
def review(tmp_path):
    square = ((10.0, 20.0), (10.0, 40.0), (30.0, 40.0), (30.0, 20.0))
    state = ReviewState(
        annotations=(
            Annotation("a1", "polygon", square, "Tumor"),
            Annotation("a2", "point", ((5.0, 6.0),), "Mitosis"),
        ),
        classes=(PathClass("Tumor", (200, 0, 0)), PathClass("Mitosis", (0, 0, 255))),
    )
    write_review(tmp_path / "r", state, ReviewWish(formats=("geojson", "asap")), mpp=0.25)
    return tmp_path / "r"


@pytest.mark.parametrize("ending", [".geojson", ".xml"])
def test_annotations_are_drawn_in_the_frame_of_the_slide_that_is_shown(
    review, phantom, ending, monkeypatch
):
    viewer = ViewerModel()
    ((data, meta, _),) = get_reader(str(phantom))(str(phantom))
    viewer.add_image(data, **meta)
    monkeypatch.setattr("napari.current_viewer", lambda: viewer)
    path = f"{review}{ending}"
    shapes, points = (Layer.create(*layer) for layer in get_reader(path)(path))
    np.testing.assert_allclose(shapes.data[0][0], [2.5, 5.0])
    np.testing.assert_allclose(shapes.edge_color[0][:3], [200 / 255, 0, 0], atol=0.01)
    np.testing.assert_allclose(points.data, [[1.25, 1.5]])
    assert [str(unit) for unit in shapes.units] == ["micrometer"] * 2


def test_annotations_without_a_slide_are_in_pixels(review):
    path = f"{review}.geojson"
    shapes, _ = (Layer.create(*layer) for layer in get_reader(path)(path))
    np.testing.assert_allclose(shapes.data[0][0], [10.0, 20.0])
    assert [str(unit) for unit in shapes.units] == ["pixel"] * 2


def test_of_a_crowd_nobody_is_labelled_and_of_a_few_each(review, result, tmp_path):
    path = f"{review}.geojson"
    shapes, _ = (Layer.create(*layer) for layer in get_reader(path)(path))
    assert shapes.features["label"].tolist() == ["Tumor 400 px²"]
    path = str(tmp_path / "tiles.geojson")
    assert write_tiles(result, path, (0,)) <= MOST_SHAPES
    (tiles,) = (Layer.create(*layer) for layer in get_reader(path)(path))
    assert not any(tiles.features["label"])


def test_a_list_of_features_with_the_suffix_of_json_is_read_and_other_json_left(review, tmp_path):
    """As QuPath's scripts write it."""
    features = json.loads((review.parent / "r.geojson").read_text())["features"]
    (tmp_path / "a.json").write_text(json.dumps(features), "utf-8")
    path = str(tmp_path / "a.json")
    assert len(get_reader(path)(path)) == 2
    (tmp_path / "b.json").write_text('{"a": 1}')
    assert get_reader(str(tmp_path / "b.json")) is None


def test_xml_of_something_else_is_left_to_others(tmp_path):
    (tmp_path / "a.xml").write_text("<html/>")
    (tmp_path / "a.geojson").write_text("{}")
    assert get_reader(str(tmp_path / "a.xml")) is None
    assert get_reader(str(tmp_path / "a.geojson")) is None
