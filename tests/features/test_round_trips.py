"""What any store exports comes back, and what is wrong with a foreign file is found and said."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_hagmil.cohort import SlideRecord
from napari_hagmil.errors import FeatureStoreError
from napari_hagmil.features import ImportConfig, import_cohort, open_store
from napari_hagmil.features.exporters import export_store
from napari_hagmil.features.feature_files import read_h5

h5py = pytest.importorskip("h5py", reason="the extra h5 is not installed")

SIDE, MPP = 512, 0.25
KINDS = ("clam", "trident", "stamp")
FEW = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

#: Row, column, height and width of a block of patches: what says how far apart patches lie.
blocks = st.tuples(*(st.integers(low, high) for low, high in ((0, 40), (0, 40), (1, 5), (2, 6))))


def of_block(block):
    top, left, height, width = block
    return [(top + y, left + x) for y in range(height) for x in range(width)]


def written(path, kind, nodes, features):
    """A file of one of the programs with patches of 256 px at 0.5 µm per pixel."""
    corners = np.array(nodes)[:, ::-1] * SIDE
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        if kind == "stamp":
            file["feats"] = features
            file["coords"] = (corners * MPP).astype(np.float32)
            facts = {"unit": "um", "tile_size_um": SIDE * MPP, "tile_size_px": 256}
            file.attrs.update({**facts, "extractor": "uni"})
            return path
        file["features"], file["coords"] = features, corners
        if kind == "trident":
            facts = {"patch_size": 256, "patch_size_level0": SIDE, "target_magnification": 20}
            file["coords"].attrs.update(facts)
    return path


def brought(folder, kind, where, **more):
    asked = {"mpp": (0.5,), "slide_mpp": MPP, "overwrite": True, **more}
    config = ImportConfig(kind, (where,), "uni", **asked)
    (event,) = import_cohort([SlideRecord(folder / "s.svs", "x", "s")], folder / "store", config)
    return event


@FEW
@given(data=st.data(), nodes=blocks.map(of_block), kind=st.sampled_from(KINDS))
def test_places_and_features_survive_import_export_and_import(tmp_path, data, nodes, kind):
    """In half precision, which STAMP keeps; rows of NaN are unread, and not exported."""
    seed, holes = data.draw(st.integers(0, 99)), data.draw(st.integers(0, 3))
    rows = np.random.default_rng(seed).normal(size=(len(nodes), 5)).astype(np.float16)
    rows[: min(holes, len(nodes) - 1)] = np.nan
    written(tmp_path / "given" / "s.h5", kind, nodes, rows)
    assert brought(tmp_path, kind, tmp_path / "given").kind == "done"
    store = open_store(tmp_path / "store", "s")
    known = {tuple(node): row for node, row in zip(nodes, rows, strict=True)}
    assert store.is_placed
    assert store.grids[0].side == SIDE
    found = np.rint(store.grids[0].edges(store.nodes[0])[:, :2] / SIDE).astype(int)
    assert sorted(map(tuple, found)) == sorted(nodes)
    for node, row in zip(found, store(0, store.nodes[0]).numpy(), strict=True):
        np.testing.assert_array_equal(row, known[tuple(node)].astype(np.float32))
    assert store.n_unread == int(np.isnan(rows[:, 0]).sum())
    for other in KINDS:
        out = export_store(store, other, tmp_path / other, depth=0)
        again = read_h5(out, patch_size=256, slide_mpp=MPP)
        read = np.isfinite(rows).all(1)
        assert sorted(map(tuple, np.rint(again.coords / SIDE).astype(int))) == sorted(
            map(tuple, np.array(nodes)[read])
        )
        assert np.isfinite(again.features).all()


@FEW
@given(kind=st.sampled_from(KINDS), wrong=st.sampled_from(["nan", "coords", "short", "scale"]))
def test_what_is_wrong_is_found_and_said_in_one_sentence(tmp_path, kind, wrong):
    nodes = [(0, 0), (0, 1), (3, 2)]
    features, file = np.ones((3, 4), np.float32), tmp_path / "given" / "s.h5"
    written(file, kind, nodes, features)
    more = {}
    with h5py.File(file, "r+") as held:
        name = "feats" if kind == "stamp" else "features"
        if wrong == "nan":
            held[name][:] = np.nan
        elif wrong == "coords":
            held["coords"][...] = held["coords"][...] - 5000
        elif wrong == "short":
            del held[name]
            held[name] = features[:2]
        else:
            more = {"mpp": (0.5, 0.25)}  # of two depths, where there is one
    event = brought(tmp_path, kind, tmp_path / "given", **more)
    assert event.kind == "failed"
    assert "\n" not in event.message
    said = {"nan": "no features that are numbers", "coords": "no places on a slide"}
    said |= {"short": "are needed", "scale": "need a pixel size each"}
    assert said[wrong] in event.message


def test_coordinates_in_micrometres_need_the_slides_pixel_size(tmp_path):
    file = written(tmp_path / "s.h5", "stamp", [(0, 0), (0, 1)], np.ones((2, 4), np.float32))
    with pytest.raises(FeatureStoreError, match="need the slide's µm per pixel") as caught:
        read_h5(file)
    assert "--mpp" in caught.value.sentence("command line")
    found = read_h5(file, slide_mpp=MPP)
    assert (found.side, found.mpp, found.patch_size, found.encoder) == (SIDE, 0.5, 256, "uni")
    assert found.coords.tolist() == [[0, 0], [0, SIDE]]


def test_another_unit_than_micrometres_is_refused(tmp_path):
    file = written(tmp_path / "s.h5", "stamp", [(0, 0), (0, 1)], np.ones((2, 4), np.float32))
    with h5py.File(file, "r+") as held:
        held.attrs["unit"] = "px"
    with pytest.raises(FeatureStoreError, match="another unit than µm"):
        read_h5(file, slide_mpp=MPP)


def test_a_slide_that_is_there_says_its_own_pixel_size(tmp_path, phantom):
    file = tmp_path / "given" / f"{phantom.stem}.h5"
    written(file, "stamp", [(0, 0), (0, 1)], np.ones((2, 4), np.float32))
    config = ImportConfig("stamp", (file.parent,), "uni", (0.5,))
    records = [SlideRecord(phantom, "x", "p")]
    (event,) = import_cohort(records, tmp_path / "store", config)
    assert event.kind == "done", event.message
    assert open_store(tmp_path / "store", phantom.stem).grids[0].stride == SIDE


def test_the_first_version_of_stamp_counts_in_224ths_of_256_micrometres(tmp_path):
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["feats"] = np.ones((3, 4), np.float16)
        file["coords"] = np.array([(0, 224), (224, 224), (448, 0)])
    found = read_h5(tmp_path / "s.h5", slide_mpp=0.5)
    assert (found.patch_size, found.side, found.mpp) == (224, 512.0, 256 / 224)
    assert found.coords.tolist() == [[512, 0], [512, 512], [0, 1024]]
