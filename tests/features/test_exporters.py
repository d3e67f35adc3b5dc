"""Stored features as files of other programs, read by the rules of their own readers."""

import numpy as np
import pytest
import torch

from napari_hagmil.cli import main
from napari_hagmil.cohort import SlideRecord
from napari_hagmil.errors import FeatureStoreError
from napari_hagmil.features import ImportConfig, import_cohort, importers, open_store
from napari_hagmil.features.exporters import export_store
from napari_hagmil.quadtree import children

h5py = pytest.importorskip("h5py", reason="the extra h5 is not installed")

COARSE = np.array([(0, 0), (1, 2), (4, 4)])


def write(path, nodes, stride, **facts):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["features"] = np.hstack([nodes, nodes + 0.5]).astype(np.float32)
        file["coords"] = nodes[:, ::-1] * stride
        file["coords"].attrs.update({"patch_size": 256, "patch_size_level0": 1024} | facts)


@pytest.fixture
def store(tmp_path):
    """Two depths at 10× and 20× of a slide scanned at 40×, one patch of them unread."""
    fine = children(COARSE)[1:]
    write(tmp_path / "10x" / "s.h5", COARSE, 1024)
    write(tmp_path / "20x" / "s.h5", fine, 512, patch_size_level0=512)
    config = ImportConfig("trident", (tmp_path / "10x", tmp_path / "20x"), "uni_v1", (1.0, 0.5))
    (event,) = import_cohort(
        [SlideRecord(tmp_path / "s.svs", "x", "s")], tmp_path / "store", config
    )
    assert (event.kind, event.unread) == ("done", 1)
    return open_store(tmp_path / "store", "s")


def readable(store, depth):
    nodes = store.nodes[depth][store.tissue[depth]]
    return nodes, store(depth, nodes).numpy()


@pytest.mark.parametrize("depth", [0, 1])
def test_clam_finds_features_and_corners_in_both_of_its_folders(store, tmp_path, depth):
    export_store(store, "clam", tmp_path / "out", depth=depth)
    nodes, features = readable(store, depth)
    with h5py.File(tmp_path / "out" / "h5_files" / "s.h5", "r") as file:
        assert file["features"][:].tolist() == features.tolist()
        assert file["coords"][:].tolist() == (nodes[:, ::-1] * (1024 >> depth)).tolist()
    found = torch.load(tmp_path / "out" / "pt_files" / "s.pt", weights_only=True)
    assert found.tolist() == features.tolist()


def test_trident_finds_the_attributes_that_it_refuses_to_read_without(store, tmp_path):
    path = export_store(store, "trident", tmp_path / "out", depth=1)
    assert path == tmp_path / "out" / "features_uni_v1" / "s.h5"
    with h5py.File(path, "r") as file:
        said = dict(file["coords"].attrs)
        assert file["features"].shape == (11, 4)
    needed = ("patch_size", "level0_magnification", "target_magnification", "overlap")
    assert [said[name] for name in needed] == [256, 40, 20, 0]
    assert said["patch_size_level0"] == 512


@pytest.mark.parametrize("kind", ["clam", "trident", "stamp"])
def test_on_a_canvas_all_count_from_its_corner_and_come_back(kind, tmp_path, monkeypatch):
    """MIRAX: its scan begins at a pixel (y, x) of the canvas from which OpenSlide counts."""
    monkeypatch.setattr(importers, "canvas_origin", lambda path: (640, 1_920))
    record = SlideRecord(tmp_path / "s.mrxs", "x", "s")
    write(tmp_path / "10x" / "s.h5", COARSE + 5, 1024)
    config = ImportConfig("trident", (tmp_path / "10x",), "uni_v1", (1.0,), slide_mpp=0.25)
    assert [e.kind for e in import_cohort([record], tmp_path / "first", config)] == ["done"]
    first = open_store(tmp_path / "first", "s")
    assert first.canvas_origin == (640, 1_920)
    path = export_store(first, kind, tmp_path / "out")
    with h5py.File(path, "r") as file:
        corners = file["coords"][:] / (0.25 if kind == "stamp" else 1)
    assert sorted(map(tuple, corners)) == sorted(map(tuple, (COARSE + 5)[:, ::-1] * 1024))
    again = ImportConfig(kind, (path.parent,), "uni_v1", (1.0,), slide_mpp=0.25)
    assert [e.kind for e in import_cohort([record], tmp_path / "second", again)] == ["done"]
    second = open_store(tmp_path / "second", "s")
    places = [store.grids[0].edges(store.nodes[0])[:, :2].tolist() for store in (first, second)]
    assert places[0] == places[1] == (np.sort(COARSE + 5, 0) * 1024 - (640, 1_920)).tolist()


def test_stamp_finds_features_and_micrometres(store, tmp_path):
    with h5py.File(export_store(store, "stamp", tmp_path / "out"), "r") as file:
        # STAMP takes tile_size with unit um, else tile_size_um, and px beside it.
        um, px = float(file.attrs["tile_size_um"]), int(file.attrs["tile_size_px"])
        assert (um, px, file.attrs["unit"], um / px) == (256.0, 256, "um", 1.0)
        nodes, features = readable(store, 0)
        assert file["coords"][:].tolist() == (nodes[:, ::-1] * 256.0).tolist()
        np.testing.assert_allclose(file["feats"][:], features, rtol=1e-3)


def test_what_is_exported_comes_back_the_same(store, tmp_path):
    for kind in ("clam", "trident", "stamp"):
        out = tmp_path / kind
        folder = export_store(store, kind, out, depth=0).parent
        config = ImportConfig(kind, (folder,), "uni_v1", (1.0,), 256, slide_mpp=0.25)
        records = [SlideRecord(tmp_path / "s.svs", "x", "s")]
        (event,) = import_cohort(records, out / "store", config)
        assert event.kind == "done"
        again = open_store(out / "store", "s")
        assert again.nodes[0].tolist() == store.nodes[0].tolist()
        assert again(0, COARSE).tolist() == store(0, COARSE).tolist()


def test_a_depth_that_is_not_there_is_refused(store, tmp_path):
    with pytest.raises(FeatureStoreError, match="need a depth 2 with places"):
        export_store(store, "clam", tmp_path / "out", depth=2)


def test_the_verb_writes_every_slide_of_a_store(store, tmp_path, capsys):
    arguments = ["features", "export", str(store.path.parent), "--as", "stamp"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.startswith("s: ")
    assert (tmp_path / "out" / "uni_v1" / "s.h5").is_file()


def test_one_depth_of_a_cascade_is_a_store_of_its_own(store, tmp_path):
    path = export_store(store, "store", tmp_path / "fine", depth=1)
    found = open_store(path.parent, "s")
    nodes = store.nodes[1][store.tissue[1]]
    assert (found.grids, found.mpp, found.encoder) == (store.grids[1:], (0.5,), store.encoder)
    assert [depth.tolist() for depth in found.nodes] == [nodes.tolist()]
    assert torch.equal(found(0, nodes), store(1, nodes))
    with pytest.raises(FeatureStoreError, match="replaced by one of their depths"):
        export_store(store, "store", store.path.parent)
