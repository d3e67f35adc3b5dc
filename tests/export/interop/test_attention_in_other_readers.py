"""attention.ome.zarr in libraries that are not ours: `make interop` installs them."""

import warnings

import numpy as np
import pytest
from synthetic import slide_result

from napari_hagmil.export import write_attention_zarr

RESULT = slide_result()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    made = tmp_path_factory.mktemp("interop") / "attention.ome.zarr"
    write_attention_zarr(RESULT, made)
    return made


def centres(depth) -> np.ndarray:
    """Centres of the nodes of a stage, µm: level-0 pixel (0, 0) is centred on 0."""
    edges = RESULT.grids[depth].edges(RESULT.stages[depth].nodes)
    return (edges[:, :2] + edges[:, 2:] - 1) / 2 * RESULT.slide.mpp


def close_enough(found, depth) -> None:
    np.testing.assert_allclose(found, centres(depth), atol=RESULT.slide.mpp / 2)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_ngff_zarr_places_every_depth_within_half_a_pixel(path, depth):
    ngff_zarr = pytest.importorskip("ngff_zarr", reason="make interop installs ngff-zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        image = ngff_zarr.from_ngff_zarr(path / str(depth)).images[0]
    assert image.axes_units == {"y": "micrometer", "x": "micrometer"}
    nodes = RESULT.stages[depth].nodes
    scale, shift = ([of[axis] for axis in "yx"] for of in (image.scale, image.translation))
    close_enough(nodes * scale + shift, depth)
    values = np.asarray(image.data)[tuple(nodes.T)]
    np.testing.assert_array_equal(values, RESULT.stages[depth].attention)


def test_napari_ome_zarr_shows_every_depth_of_the_collection(path):
    """Its 0.10 passes over the translation of a level: half a patch off, which is theirs."""
    reader = pytest.importorskip(
        "napari_ome_zarr._reader", reason="make interop installs napari-ome-zarr"
    )
    from napari.layers import Layer

    found = reader.napari_get_reader(str(path))(str(path))
    assert len(found) == 3
    for depth, (data, meta, kind) in enumerate(found):
        layer = Layer.create(data, meta, kind)
        nodes = RESULT.stages[depth].nodes
        places = [layer.data_to_world(node) for node in nodes]
        patch = RESULT.grids[depth].stride * RESULT.slide.mpp
        np.testing.assert_allclose(places, centres(depth), atol=patch / 2)
        assert [str(unit) for unit in layer.units] == ["micrometer"] * 2
        values = np.asarray(data[0])[tuple(nodes.T)]
        np.testing.assert_array_equal(values, RESULT.stages[depth].attention)


def test_ome_types_reads_the_metadata_of_the_collection(path):
    ome_types = pytest.importorskip("ome_types", reason="make interop installs ome-types")
    told = ome_types.from_xml((path / "OME/METADATA.ome.xml").read_text(), validate=True)
    assert [image.name for image in told.images] == [f"Attention {n}×" for n in (10, 20, 40)]
    assert [image.pixels.physical_size_x for image in told.images] == [224, 112, 56]
