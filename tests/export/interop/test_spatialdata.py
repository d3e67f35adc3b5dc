"""An analysis as SpatialData, read back by spatialdata and wsidata (`make interop`)."""

import numpy as np
import pytest
from synthetic import slide_result

from napari_hagmil.attention import AttentionRegion
from napari_hagmil.cli import main
from napari_hagmil.export import write_analysis

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs

spatialdata = pytest.importorskip("spatialdata", reason="make interop installs spatialdata")

RESULT = slide_result()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spatial")
    square = np.array([(99.5, 199.5), (99.5, 899.5), (699.5, 899.5), (699.5, 199.5)])
    write_analysis(RESULT, folder / "out", regions=[AttentionRegion(square, 97.0, 26_250.0)])
    asked = [str(folder / "out"), str(folder / "out.zarr")]
    assert main(["export", "spatialdata", *asked]) == 0
    return spatialdata.read_zarr(folder / "out.zarr")


def test_it_holds_tissue_regions_and_the_tiles_of_every_depth(store):
    assert set(store.shapes) == {
        "tissues", "attention_regions", "tiles_10x", "tiles_20x", "tiles_40x",
    }  # fmt: skip
    assert store.attrs["napari_hagmil"]["slide"]["fingerprint"] == "f00d"
    assert store.attrs["napari_hagmil"]["prediction"]["class"] == RESULT.cascade.predicted_class


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_tiles_have_their_attention_and_their_place(store, depth):
    stage, grid = RESULT.stages[depth], RESULT.grids[depth]
    frame = store.shapes[("tiles_10x", "tiles_20x", "tiles_40x")[depth]]
    edges = np.clip(grid.edges(stage.nodes), 0, (9_000, 12_000, 9_000, 12_000))
    kept = (edges[:, 2:] > edges[:, :2]).all(axis=1)
    np.testing.assert_allclose(frame["attention"], stage.attention[kept])
    np.testing.assert_allclose(frame["score"], stage.scores[kept])
    np.testing.assert_array_equal(frame.bounds.to_numpy(), edges[kept][:, [1, 0, 3, 2]])


def test_the_system_of_micrometres_scales_by_the_pixel_size(store):
    moved = spatialdata.transform(
        store.shapes["attention_regions"], to_coordinate_system="micrometer"
    )
    np.testing.assert_allclose(moved.total_bounds, [50, 25, 225, 175])


def test_wsidata_opens_it_beside_its_slide(tmp_path):
    wsidata = pytest.importorskip("wsidata", reason="make interop installs wsidata")
    from napari_hagmil.phantom import PhantomConfig, write_phantom

    write_phantom(tmp_path / "a.tiff", PhantomConfig(seed=1, size=1024, lesions=0))
    write_analysis(RESULT, tmp_path / "out")
    asked = [str(tmp_path / "out"), str(tmp_path / "a.zarr")]
    assert main(["export", "spatialdata", *asked]) == 0
    wsi = wsidata.open_wsi(tmp_path / "a.tiff", store=str(tmp_path / "a.zarr"))
    assert {"tissues", "tiles_10x", "tiles_20x", "tiles_40x"} <= set(wsi.shapes)
    assert len(wsi.shapes["tissues"]) == 1
