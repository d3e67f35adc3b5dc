import hashlib
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import zarr
from napari.components import ViewerModel
from npe2 import PluginManager, PluginManifest

from napari_hagmil.phantom import PhantomConfig
from napari_hagmil.plugin import sample_data
from napari_hagmil.plugin.reader import get_reader
from napari_hagmil.plugin.sample_data import phantom_path


@pytest.fixture
def napari_with_plugin():
    """napari's plugins as installed: its test plugin hides them until a window has been opened."""
    manager = PluginManager.instance()
    hidden = "napari-hagmil" not in manager
    if hidden:
        manager.register(PluginManifest.from_distribution("napari-hagmil"))
    yield
    if hidden:
        manager.unregister("napari-hagmil")


def test_a_slide_is_read_into_one_multiscale_layer(phantom):
    (layer,) = get_reader(str(phantom))(str(phantom))
    data, _, kind = layer
    assert kind == "image"
    assert data[0].shape == (4096, 4096, 3)
    level_0 = tifffile.imread(phantom, level=0)
    assert np.array_equal(np.asarray(data[0][1000:1100, 2000:2300]), level_0[1000:1100, 2000:2300])


def test_what_is_not_a_slide_is_left_to_other_readers(tmp_path, slides_dir):
    text = tmp_path / "notes.tif"
    text.write_text("not a slide")
    assert get_reader(str(text)) is None
    assert get_reader(str(tmp_path)) is None
    assert get_reader(str(slides_dir / "broken" / "broken.svs")) is None


def test_napari_opens_a_slide_through_the_plugin(napari_with_plugin, phantom):
    viewer = ViewerModel()
    (layer,) = viewer.open(str(phantom), plugin="napari-hagmil")
    assert layer.multiscale
    assert layer.scale.tolist() == [0.25, 0.25]
    assert [str(unit) for unit in layer.units] == ["micrometer"] * 2


def test_a_fluorescence_slide_opens_with_a_layer_per_channel(napari_with_plugin, slides_dir):
    viewer = ViewerModel()
    name = "pathml-small_vectra.qptiff"
    layers = viewer.open(str(slides_dir / name), plugin="napari-hagmil")
    assert [layer.name for layer in layers] == [f"{name} · {c}" for c in ("DAPI", "FITC", "Cy3")]
    assert [full(layer) for layer in layers] == [(0, 0, 1), (0, 1, 0), (1, 1, 0)]
    for layer in layers:  # laid upon each other, each with its own contrast
        assert layer.scale.tolist() == layers[0].scale.tolist()
        assert layer.translate.tolist() == [0, 0]
        assert layer.scale[0] == pytest.approx(0.4965, abs=1e-4)
        assert 10 < layer.contrast_limits[1] < 60


def full(layer) -> tuple:
    """The colour of a layer's brightest pixels."""
    return tuple(layer.colormap.colors[-1][:3].tolist())


@pytest.mark.parametrize(
    ("stated", "shown"),
    [
        ((65535, 16711935, -16776961), [(0, 0, 1), (0, 1, 0), (1, 0, 0)]),
        ((-1, -1, -1), [(0, 1, 1), (1, 0, 1), (1, 1, 0)]),  # white thrice tells nothing apart
    ],
)
def test_channels_of_an_ome_tiff_keep_their_names_and_colours(
    napari_with_plugin, tmp_path, stated, shown
):
    path = tmp_path / "three.ome.tif"
    pixels = np.random.default_rng(0).integers(200, 4000, (3, 300, 200), np.uint16)
    pixels[2] *= 10
    names = ["DAPI", "CD3", "PanCK"]
    metadata = {"axes": "CYX", "Channel": {"Name": names, "Color": stated}}
    metadata |= {f"PhysicalSize{axis}": 0.5 for axis in "XY"}
    tifffile.imwrite(path, pixels, tile=(64, 64), photometric="minisblack", metadata=metadata)
    viewer = ViewerModel()
    layers = viewer.open(str(path), plugin="napari-hagmil")
    assert [layer.name.split(" · ")[1] for layer in layers] == names
    assert [full(layer) for layer in layers] == shown
    assert [layer.contrast_limits[1] > 10_000 for layer in layers] == [False, False, True]
    for layer, plane in zip(layers, pixels, strict=True):
        assert layer.scale.tolist() == [0.5, 0.5]
        np.testing.assert_array_equal(np.asarray(layer.data[0]), plane)


def test_the_sample_is_made_once_and_kept(tmp_path):
    config = PhantomConfig(seed=1, size=1024, lesions=0)
    path = phantom_path(config, folder=tmp_path)
    written = path.stat().st_mtime_ns
    assert phantom_path(config, folder=tmp_path) == path
    assert path.stat().st_mtime_ns == written


def test_the_real_sample_is_fetched_from_the_net_only_when_asked(phantom, tmp_path, monkeypatch):
    """From a folder of this machine that stands for the net, a phantom in the slide's place."""
    data = phantom.read_bytes()
    there = replace(sample_data.CMU_1, sha256=hashlib.sha256(data).hexdigest(), n_bytes=len(data))
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / there.name).write_bytes(data)
    monkeypatch.setattr(sample_data, "CMU_1", there)
    monkeypatch.setattr(sample_data, "user_cache_path", lambda *_, **__: tmp_path / "cache")
    monkeypatch.setenv("HAGMIL_MIRROR", (tmp_path / "net").as_uri())
    monkeypatch.delenv("HAGMIL_OFFLINE", raising=False)
    ((levels, meta, _),) = sample_data.open_cmu_1()
    assert meta["name"] == there.name
    assert levels[0].shape == (4096, 4096, 3)
    assert (tmp_path / "cache/samples" / there.name).read_bytes() == data


@pytest.mark.parametrize("name", ["CMU-1-Small-Region.svs", "luna-1065626.svs"])
def test_real_slides_open_in_micrometres(napari_with_plugin, slides_dir, name):
    viewer = ViewerModel()
    (layer,) = viewer.open(str(slides_dir / name), plugin="napari-hagmil")
    assert layer.scale[0] == pytest.approx(0.5, rel=0.02)


def test_channels_are_named_and_their_contrast_is_their_own(napari_with_plugin, tmp_path):
    from napari_hagmil.slide import open_slide

    dim = np.random.default_rng(0).integers(0, 300, (64, 64), np.uint16)
    group = zarr.open_group(tmp_path / "if.zarr", mode="w")
    group.create_array("0", data=np.stack([dim, dim * 20]))
    axes = [{"name": "c", "type": "channel"}, *({"name": n, "type": "space"} for n in "yx")]
    channels = [{"label": "DAPI", "color": "0000FF"}, {"label": "CD3", "color": "FF0000"}]
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}],
        "omero": {"channels": channels},
    }
    viewer = ViewerModel()
    layers = viewer.open(str(tmp_path / "if.zarr"), plugin="napari-hagmil")
    assert [layer.name for layer in layers] == ["if.zarr · DAPI", "if.zarr · CD3"]
    assert [full(layer) for layer in layers] == [(0, 0, 1), (1, 0, 0)]
    assert layers[0].contrast_limits[1] <= 300 < layers[1].contrast_limits[1]
    with open_slide(tmp_path / "if.zarr") as slide:
        assert not slide.is_brightfield


def test_a_grey_slide_is_one_flat_layer(napari_with_plugin, tmp_path):
    path = tmp_path / "grey.tif"
    tifffile.imwrite(path, np.arange(64 * 64, dtype=np.uint16).reshape(64, 64), tile=(32, 32))
    viewer = ViewerModel()
    (layer,) = viewer.open(str(path), plugin="napari-hagmil")
    assert layer.ndim == 2
    assert layer.contrast_limits == pytest.approx([41, 4087], abs=1)
