"""Feature stores and h5 files from others: nothing runs, no link is followed, sizes are bounded."""

import json
import math
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hagmil.cohort import SlideRecord
from napari_hagmil.errors import FeatureStoreError
from napari_hagmil.features.feature_files import read_h5, read_pt
from napari_hagmil.features.importers import ImportConfig, import_cohort
from napari_hagmil.features.layout import FeatureTree
from napari_hagmil.features.store import FeatureStore
from napari_hagmil.features.store_metadata import FeatureKey
from napari_hagmil.features.store_writer import StoreWriter
from napari_hagmil.models.config import EncoderFacts
from napari_hagmil.quadtree import PatchGrid, children
from odd_json import BROKEN_TEXTS, mutated_text

h5py = pytest.importorskip("h5py")


def make_store(path):
    coarse = children(np.zeros((1, 2), dtype=np.int64))
    nodes = coarse, children(coarse)
    grids = PatchGrid(16, 2.0, (2, 2)), PatchGrid(16, 1.0, (4, 4))
    tree = FeatureTree(grids, nodes, tuple(np.ones(len(n), dtype=bool) for n in nodes))
    key = FeatureKey("f", "tiff", 0.5, EncoderFacts("colours", None, 3), 16, (1.0, 0.5))
    writer = StoreWriter.begin(path, key, tree, chunk_rows=8)
    for chunk in writer.missing():
        writer.write(chunk, torch.ones(len(chunk.nodes), 3))
    writer.finish()
    # Who makes a store to harm also writes its manifest, or leaves it out.
    (path / "manifest.json").unlink()
    return path


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "a.zarr")


@pytest.fixture(scope="module")
def fuzzed_store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("fuzz") / "a.zarr")


def rewrite(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_consolidated_metadata_that_name_a_pickle_filter_are_not_believed(store, tmp_path):
    """numcodecs' pickle runs what a chunk says: here it would make the file `ran`."""
    numcodecs = pytest.importorskip("numcodecs")
    ran = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return Path.touch, (ran,)

    import pickle

    evil = {
        "zarr_format": 2,
        "shape": [4, 2],
        "chunks": [4, 2],
        "dtype": "|O",
        "fill_value": None,
        "order": "C",
        "filters": [{"id": "vlen-utf8"}, {"id": "pickle", "protocol": 5}],
        "compressor": None,
        "attributes": {},
        "dimension_separator": ".",
    }

    def change(document):
        document["consolidated_metadata"] = {
            "kind": "inline",
            "must_understand": False,
            "metadata": {"depth0/nodes": evil},
        }

    rewrite(store / "zarr.json", change)
    (store / "depth0" / "nodes" / "0.0").write_bytes(pickle.dumps(Evil()))
    assert numcodecs
    opened = FeatureStore(store)
    assert opened.nodes[0].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert not ran.exists()


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("depth0/nodes", {"shape": [2**40, 2]}),
        ("depth0/nodes", {"data_type": "float64"}),
        ("depth0/nodes", {"data_type": "string", "codecs": [{"name": "vlen-utf8"}]}),
        ("depth0/nodes", {"codecs": [{"name": "numcodecs.pickle"}]}),
        ("depth1/features", {"shape": [2**31, 3]}),
        ("depth1/features", {"codecs": [{"name": "bytes"}, {"name": "zstd"}]}),
        ("depth1/tissue", {"storage_transformers": [{"name": "x"}]}),
        ("depth1/tissue", {"zarr_format": 2}),
        ("depth1/tissue", {"chunk_grid": 5}),
    ],
    ids=str,
)
def test_arrays_that_are_not_ours_are_refused(store, place, change):
    rewrite(store / place / "zarr.json", lambda document: document.update(change))
    with pytest.raises(FeatureStoreError, match="are damaged"):
        FeatureStore(store)


def test_a_chunk_that_would_swell_is_refused(store):
    from numcodecs.zstd import Zstd

    (chunk,) = (p for p in (store / "depth0" / "nodes" / "c").rglob("*") if p.is_file())
    chunk.write_bytes(Zstd().encode(bytes(2**27)))
    with pytest.raises(FeatureStoreError, match="swells"):
        FeatureStore(store)


def test_a_chunk_that_is_a_link_is_refused(store, tmp_path):
    secret = tmp_path / "secret"
    chunk = store / "depth0" / "features" / "c" / "0" / "0"
    secret.write_bytes(chunk.read_bytes())
    chunk.unlink()
    chunk.symlink_to(secret)
    with pytest.raises(FeatureStoreError, match="chunk 0 of depth 0"):
        FeatureStore(store)(0, np.zeros((1, 2), dtype=np.int64))


@settings(max_examples=100)
@given(random=st.randoms(use_true_random=True))
def test_any_metadata_open_or_are_refused_in_a_sentence(fuzzed_store, random):
    names = ["zarr.json", "depth0/nodes/zarr.json", "depth1/features/zarr.json"]
    file = fuzzed_store / random.choice(names)
    kept = file.read_bytes()
    try:
        file.write_text(mutated_text(json.loads(kept), random))
        with suppress(FeatureStoreError):
            FeatureStore(fuzzed_store)
    finally:
        file.write_bytes(kept)


@pytest.mark.parametrize("text", BROKEN_TEXTS, ids=lambda text: text[:5])
def test_documents_that_break_parsers_are_refused(store, text):
    (store / "zarr.json").write_text(text)
    with pytest.raises(FeatureStoreError):
        FeatureStore(store)


def write_h5(path, *, attributes=(), coords=None):
    with h5py.File(path, "w") as file:
        file["features"] = np.ones((4, 3), np.float32)
        file["coords"] = (
            np.array([[0, 0], [0, 256], [256, 0], [256, 256]]) if coords is None else coords
        )
        for name, value in dict(attributes).items():
            file["coords"].attrs[name] = value
    return path


def test_a_plain_h5_file_is_read(tmp_path):
    assert read_h5(write_h5(tmp_path / "a.h5")).side == 256


@pytest.mark.parametrize(
    "attributes",
    [
        {"patch_size_level0": math.nan},
        {"patch_size_level0": math.inf},
        {"patch_size_level0": -256},
        {"patch_size_level0": 0},
        {"patch_size": 0},
        {"patch_size": 0.2},
        {"patch_size": -1},
        {"patch_size": "large"},
        {"patch_size": [1, 2]},
        {"overlap": math.nan},
        {"target_magnification": 0},
    ],
    ids=str,
)
def test_impossible_sizes_of_patches_are_refused(tmp_path, attributes):
    with pytest.raises(FeatureStoreError, match=next(iter(attributes))[:5]):
        read_h5(write_h5(tmp_path / "a.h5", attributes=attributes))


@pytest.mark.parametrize("value", [-5000, math.nan, 1e308])
def test_coordinates_off_every_slide_are_refused(tmp_path, value):
    coords = np.array([[0.0, value], [0, 256], [256, 0], [256, 256]])
    with pytest.raises(FeatureStoreError, match="no places on a slide"):
        read_h5(write_h5(tmp_path / "a.h5", coords=coords))


def test_links_and_storage_outside_the_h5_file_are_refused(tmp_path):
    other = write_h5(tmp_path / "other.h5")
    (tmp_path / "secret").write_bytes(bytes(48))
    linked, raw, virtual, soft = (tmp_path / f"{n}.h5" for n in ("linked", "raw", "virtual", "s"))
    for path in (linked, raw, virtual, soft):
        with h5py.File(path, "w") as file:
            file["coords"] = np.array([[0, 0], [0, 256], [256, 0], [256, 256]])
            if path == linked:
                file["features"] = h5py.ExternalLink(str(other), "features")
            elif path == soft:
                file["features"] = h5py.SoftLink("/coords")
            elif path == raw:
                file.create_dataset(
                    "features", (4, 3), "f4", external=[(str(tmp_path / "secret"), 0, 48)]
                )
            else:
                layout = h5py.VirtualLayout((4, 3), "f4")
                layout[:] = h5py.VirtualSource(str(other), "features", (4, 3))
                file.create_virtual_dataset("features", layout)
        with pytest.raises(FeatureStoreError, match="another"):
            read_h5(path)


def test_a_few_bytes_that_declare_gigabytes_are_refused(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("features", (2_000_000, 1024), "f4", chunks=(64, 1024))
        file["coords"] = np.zeros((4, 2))
    with pytest.raises(FeatureStoreError, match="far less"):
        read_h5(path)


def test_one_broken_h5_file_does_not_end_the_import(tmp_path):
    write_h5(tmp_path / "bad.h5", attributes={"patch_size_level0": math.nan})
    write_h5(tmp_path / "good.h5", attributes={"patch_size_level0": 256})
    records = [SlideRecord(Path(f"{name}.tif"), "a", name, name=name) for name in ("bad", "good")]
    config = ImportConfig("clam", (tmp_path,), "resnet50", mpp=(0.5,))
    events = list(import_cohort(records, tmp_path / "store", config))
    assert [event.kind for event in events] == ["failed", "done"]
    assert "patch_size_level0" in events[0].message


def test_a_tensor_that_views_one_number_is_refused(tmp_path):
    torch.save(torch.ones(1, 1).expand(2**20, 2**20), tmp_path / "a.pt")
    with pytest.raises(FeatureStoreError, match="far less"):
        read_pt(tmp_path / "a.pt")
