import numpy as np
import pytest
import zarr

from napari_hagmil.errors import OutputError
from napari_hagmil.export import write_attention_zarr
from napari_hagmil.slide.formats.tiff.stated import ome_pictures


@pytest.fixture
def root(result, tmp_path):
    path = tmp_path / "attention.ome.zarr"
    write_attention_zarr(result, path)
    return zarr.open_group(path, mode="r")


def test_an_image_per_depth_is_listed_coarse_to_fine(root):
    assert root["OME"].attrs["ome"]["series"] == ["0", "1", "2"]
    names = [root[path].attrs["ome"]["multiscales"][0]["name"] for path in "012"]
    assert names == ["Attention 10×", "Attention 20×", "Attention 40×"]
    assert root.metadata.zarr_format == 3


def test_the_images_are_told_in_ome_xml(root, result, tmp_path):
    text = (tmp_path / "attention.ome.zarr/OME/METADATA.ome.xml").read_text()
    told = list(ome_pictures(text))
    assert [one.name for one in told] == ["Attention 10×", "Attention 20×", "Attention 40×"]
    assert [one.shape for one in told] == [grid.shape for grid in result.grids]
    assert [one.size.mpp[0] for one in told] == [224, 112, 56]


def test_the_files_are_valid_ome_zarr(root):
    models = pytest.importorskip("ome_zarr_models.v05")
    collection = models.BioFormats2Raw.from_zarr(root)
    assert collection.image_paths == ["0", "1", "2"]
    for path, image in collection.images.items():
        (dataset,) = image.ome_attributes.multiscales[0].datasets
        scale, _ = dataset.coordinateTransformations
        assert scale.scale == [224 / 2 ** int(path)] * 2


def test_nodes_hold_their_attention_and_the_rest_nan(root, result):
    for name, stage in zip("012", result.stages, strict=True):
        values = root[name]["0"][:]
        assert values.shape == result.grids[stage.depth].shape
        np.testing.assert_array_equal(values[tuple(stage.nodes.T)], stage.attention)
        assert np.isfinite(values).sum() == len(stage.nodes)


def test_the_transformation_leads_to_the_centre_of_the_patch(root, result):
    for name, stage in zip("012", result.stages, strict=True):
        (dataset,) = root[name].attrs["ome"]["multiscales"][0]["datasets"]
        scale, translation = dataset["coordinateTransformations"]
        um = stage.nodes * scale["scale"] + translation["translation"]
        edges = result.grids[stage.depth].edges(stage.nodes)
        # The centre of pixels y0 … y1 - 1, with pixel centres at integers.
        centres = (edges[:, :2] + edges[:, 2:] - 1) / 2 * result.slide.mpp
        np.testing.assert_allclose(um, centres)


def test_no_tissue_gives_an_empty_collection(empty, tmp_path):
    write_attention_zarr(empty, tmp_path / "a.ome.zarr")
    assert zarr.open_group(tmp_path / "a.ome.zarr", mode="r")["OME"].attrs["ome"]["series"] == []


def test_an_earlier_export_is_replaced_whole(result, empty, tmp_path):
    path = tmp_path / "a.ome.zarr"
    write_attention_zarr(result, path)
    write_attention_zarr(empty, path)
    assert sorted(p.name for p in path.iterdir()) == ["OME", "zarr.json"]
    assert [p.name for p in tmp_path.iterdir()] == ["a.ome.zarr"]


def test_a_folder_of_something_else_is_left_alone(result, tmp_path):
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(OutputError, match="another folder"):
        write_attention_zarr(result, tmp_path)
    assert (tmp_path / "thesis.doc").read_text() == "years of work"
