"""Encoding into a store, and reading from it."""

import hashlib
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from json_schemas import require_schemas
from napari_hagmil.cohort import SlideRecord
from napari_hagmil.encoders import Computation
from napari_hagmil.errors import FeatureStoreError, OutputError
from napari_hagmil.features import (
    EncodeConfig,
    LazyFeatures,
    encode_cohort,
    open_store,
    store_path,
)
from napari_hagmil.features.resume import store_claims
from napari_hagmil.features.store_metadata import chunk_path, draft_path
from napari_hagmil.features.store_writer import StoreWriter
from napari_hagmil.quadtree import children, z_codes, z_order
from napari_hagmil.slide import open_slide

#: What processes of these tests import from.
TESTS = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

CONFIG = EncodeConfig(mpp=(1.0, 0.5), chunk_rows=50)


class Colours:
    """An encoder whose features are the mean colour and the patch's first pixel."""

    name, weights_sha256, n_features, patch_size = "colours", "abc", 6, 128

    def __init__(self, fail_after=None):
        self.seen, self.fail_after = 0, fail_after

    def __call__(self, patches):
        self.seen += len(patches)
        if self.fail_after is not None and self.seen > self.fail_after:
            raise RuntimeError("out of memory")
        mean = patches.reshape(len(patches), -1, 3).mean(1)
        return torch.from_numpy(np.hstack([mean, patches[:, 0, 0]]).astype(np.float32))


def encode(records, store, encoder=None, config=CONFIG):
    return list(encode_cohort(records, store, encoder or Colours(), config))


def ends(events):
    return {event.name: event for event in events if event.kind in ("done", "failed")}


def contents(folder):
    """Hash of every file of a store, by its place."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def record(phantom):
    return SlideRecord(phantom, "tumor", "p1")


@pytest.fixture(scope="module")
def full(record, tmp_path_factory):
    """The phantom encoded in one go."""
    folder = tmp_path_factory.mktemp("full")
    assert ends(encode([record], folder))["phantom"].kind == "done"
    return folder


def test_stored_features_are_those_of_the_slide(record, full):
    store = open_store(full, record)
    assert require_schemas(full) == {"features", "manifest"}
    with open_slide(record.path) as slide:
        live = LazyFeatures(slide, store.grids, Colours())
        for depth in (0, 1):
            nodes = store.nodes[depth][::7][::-1]
            assert torch.equal(store(depth, nodes), live(depth, nodes))
    assert store(1, np.empty((0, 2), np.int64)).shape == (0, 6)


def test_a_store_holds_all_that_a_cascade_can_reach_in_z_order(record, full):
    store = open_store(full, "phantom")
    assert (store.nodes[1] == children(store.nodes[0])).all()
    for nodes in store.nodes:
        assert (z_order(nodes) == np.arange(len(nodes))).all()
    assert store.tissue[0].all()
    assert 0 < store.tissue[1].sum() < len(store.tissue[1])
    assert store.mpp == (1.0, 0.5)
    assert (store.name, store.n_features, store.patch_size) == ("phantom", 6, 128)
    assert store.encoder.name == "colours"
    assert store.n_unread == 0
    assert len(store.quadtree.nodes[1]) == store.tissue[1].sum()


def test_a_node_between_stored_ones_is_never_given_the_features_of_its_neighbour(full):
    features = open_store(full, "phantom")
    for depth, nodes in enumerate(features.nodes):
        known = {tuple(node) for node in nodes.tolist()}
        height, width = features.grids[depth].shape
        beside = np.array([n for n in np.ndindex(height, width) if n not in known])
        codes = z_codes(beside)
        stored = z_codes(nodes)
        between = beside[(codes > stored[0]) & (codes < stored[-1])]
        assert len(between)
        for node in between[:: max(1, len(between) // 20)]:
            with pytest.raises(FeatureStoreError, match="hold no node"):
                features(depth, node[None])


def test_a_node_beside_the_tissue_is_not_stored(full):
    with pytest.raises(FeatureStoreError, match=r"hold no node \[900, 900\] at depth 1"):
        open_store(full, "phantom")(1, np.array([[900, 900]]))


def test_a_store_travels_to_another_process_as_its_path(full):
    store = open_store(full, "phantom")
    assert len(pickle.dumps(store)) < 500
    again = pickle.loads(pickle.dumps(store))
    assert torch.equal(again(0, store.nodes[0]), store(0, store.nodes[0]))


def test_encoding_again_encodes_nothing(record, full):
    before, encoder = contents(full), Colours()
    events = encode([record], full, encoder)
    assert encoder.seen == 0
    assert ends(events)["phantom"].kind == "done"
    assert contents(full) == before


def test_half_precision_takes_half_the_space(record, full, tmp_path):
    encode([record], tmp_path, config=replace(CONFIG, dtype="float16"))
    whole, half = open_store(full, "phantom"), open_store(tmp_path, "phantom")
    nodes = whole.nodes[1]
    assert half(1, nodes).dtype == torch.float32
    assert torch.allclose(whole(1, nodes), half(1, nodes), rtol=1e-3)
    file = "phantom.zarr/depth1/features/c/0/0"
    assert 2 * (tmp_path / file).stat().st_size == (full / file).stat().st_size


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"encoder": "other"}, "the encoder colours"),
        ({"config": {"mpp": (0.5, 0.25)}}, r"the µm per pixel \[1.0, 0.5\], not \[0.5, 0.25\]"),
        ({"config": {"patch_size": 96}}, "the patch size 128, not 96"),
        ({"config": {"dtype": "float16"}}, "the type float32, not float16"),
        ({"config": {"slide_mpp": 0.26}}, "the pixel size 0.25, not 0.26"),
    ],
)
def test_features_of_another_kind_are_refused_and_left(record, full, change, says):
    before, encoder = contents(full), Colours()
    encoder.weights_sha256 = change.get("encoder", "abc")
    events = encode([record], full, encoder, replace(CONFIG, **change.get("config", {})))
    assert events[0].kind == "failed"
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(events[0].message)
    assert "--overwrite" in events[0].message
    assert contents(full) == before


def test_a_run_on_a_device_of_another_precision_is_refused(record, full, monkeypatch):
    """Half a slide in bfloat16 and half in float32 would be neither."""
    from napari_hagmil.features import encode as module

    how = Computation(precision="float64")
    monkeypatch.setattr(module, "computation_of", lambda encoder: how)
    (event,) = encode([record], full)
    assert "have the precision" in event.message
    assert "not float64" in event.message


def test_a_run_with_another_runtime_is_refused_and_an_old_store_is_torchs(
    record, full, tmp_path, monkeypatch
):
    from napari_hagmil.features import encode as module

    store = shutil.copytree(full, tmp_path / "store")
    path = store / "phantom.zarr" / "zarr.json"
    document = json.loads(path.read_text())
    assert document["attributes"]["key"].pop("runtime") == "torch"
    path.write_text(json.dumps(document))
    (store / "phantom.zarr" / "manifest.json").unlink()
    assert open_store(store, "phantom").key.runtime == "torch"
    how = Computation(runtime="onnxruntime")
    monkeypatch.setattr(module, "computation_of", lambda encoder: how)
    (event,) = encode([record], store)
    assert "have the runtime torch, not onnxruntime" in event.message


def test_features_of_another_kind_are_replaced_when_asked_for(record, tmp_path):
    encode([record], tmp_path)
    encode([record], tmp_path, config=replace(CONFIG, mpp=(1.0,), overwrite=True))
    assert open_store(tmp_path, "phantom").mpp == (1.0,)


def test_another_slide_under_the_same_name_is_noticed(full, tmp_path, slides_dir):
    other = tmp_path / "phantom.svs"
    other.symlink_to(slides_dir / "CMU-1-Small-Region.svs")
    events = encode([SlideRecord(other, "x", "p")], full)
    assert "have another slide" in events[0].message


def test_a_failed_slide_is_told_and_the_rest_goes_on(record, slides_dir, tmp_path):
    broken = SlideRecord(slides_dir / "broken" / "broken.svs", "x", "p2")
    silent = SlideRecord(slides_dir / "histoprep-slide.jpeg", "x", "p3")
    events = encode([broken, silent, record], tmp_path)
    # What cannot be opened is known before the first patch is encoded.
    assert [e.kind for e in events[:3]] == ["failed", "failed", "laid out"]
    assert "give mpp=" in events[1].message
    assert ends(events)["phantom"].kind == "done"


def test_a_slide_that_fails_under_way_goes_on_from_there(record, full, tmp_path):
    events = encode([record], tmp_path, Colours(fail_after=120))
    assert ends(events)["phantom"].message == "out of memory"
    with pytest.raises(FeatureStoreError, match="not complete; run encode again"):
        open_store(tmp_path, "phantom")
    encoder = Colours()
    encode([record], tmp_path, encoder)
    coarse, fine = map(len, open_store(full, "phantom").nodes)
    assert coarse < 50  # so the second chunk is the first of the finer depth
    assert encoder.seen == fine - 50
    assert contents(tmp_path) == contents(full)


def test_a_cut_chunk_is_told_and_made_again(record, full, tmp_path):
    encode([record], tmp_path)
    chunk = tmp_path / "phantom.zarr/depth1/features/c/1/0"
    os.truncate(chunk, 100)
    store = open_store(tmp_path, "phantom")
    with pytest.raises(FeatureStoreError, match="chunk 1 of depth 1 is missing or cut"):
        store(1, store.nodes[1])
    encode([record], tmp_path)
    assert contents(tmp_path) == contents(full)


def negate(path):
    """Change the sign of every feature: what no size and no parser notices."""
    features = np.fromfile(path, "<f4")
    (-features).tofile(path)


def test_negated_features_are_noticed_where_they_are_read_and_healed_by_a_rerun(
    record, full, tmp_path
):
    encode([record], tmp_path)
    negate(tmp_path / "phantom.zarr/depth1/features/c/1/0")
    store = open_store(tmp_path, "phantom")
    store(0, store.nodes[0])
    with pytest.raises(FeatureStoreError, match="chunk 1 of depth 1 is not what was written"):
        store(1, store.nodes[1])
    encoder = Colours()
    encode([record], tmp_path, encoder)
    assert encoder.seen == 50
    assert contents(tmp_path) == contents(full)


DAMAGE = {
    "the root is gone": lambda store: (store / "zarr.json").unlink(),
    "the root is no JSON": lambda store: (store / "zarr.json").write_text("{"),
    "the root says otherwise": lambda store: edit(
        store / "zarr.json", '"unread": 0', '"unread": 1'
    ),
    "nodes are gone": lambda store: shutil.rmtree(store / "depth1/nodes"),
    "nodes are cut": lambda store: os.truncate(store / "depth0/nodes/c/0/0", 9),
    "tissue is another's": lambda store: shutil.copy(
        store / "depth1/tissue/c/0", store / "depth0/tissue/c/0"
    ),
    "an array's metadata are gone": lambda store: (store / "depth0/features/zarr.json").unlink(),
    "a depth is gone": lambda store: shutil.rmtree(store / "depth1"),
    "the manifest is cut": lambda store: os.truncate(store / "manifest.json", 300),
    "the manifest says otherwise": lambda store: edit(store / "manifest.json", '"size"', '"sise"'),
}


def edit(path, old, new):
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_any_damage_is_refused_and_healed_by_a_rerun(record, full, tmp_path, damage, overwrite):
    shutil.copytree(full, tmp_path / "store")
    damage(tmp_path / "store" / "phantom.zarr")
    with pytest.raises(FeatureStoreError):
        open_store(tmp_path / "store", "phantom")
    events = encode([record], tmp_path / "store", config=replace(CONFIG, overwrite=overwrite))
    assert ends(events)["phantom"].kind == "done"
    assert contents(tmp_path / "store") == contents(full)


def test_a_store_made_before_there_were_manifests_is_kept_and_given_one(record, full, tmp_path):
    shutil.copytree(full, tmp_path / "store")
    (tmp_path / "store/phantom.zarr/manifest.json").unlink()
    store = open_store(tmp_path / "store", "phantom")
    assert torch.equal(store(1, store.nodes[1]), open_store(full, "phantom")(1, store.nodes[1]))
    encoder = Colours()
    encode([record], tmp_path / "store", encoder)
    assert encoder.seen == 0
    assert contents(tmp_path / "store") == contents(full)


def test_a_store_half_made_before_there_were_drafts_goes_on(record, full, tmp_path):
    shutil.copytree(full, tmp_path / "store")
    old = tmp_path / "store" / "phantom.zarr"
    (old / "manifest.json").unlink()
    edit(old / "zarr.json", '"complete": true', '"complete": false')
    (old / "depth1/features/c/2/0").unlink()
    with pytest.raises(FeatureStoreError, match="not complete; run encode again"):
        open_store(tmp_path / "store", "phantom")
    encoder = Colours()
    encode([record], tmp_path / "store", encoder)
    assert encoder.seen == 50
    assert contents(tmp_path / "store") == contents(full)


def test_what_reached_the_disk_otherwise_than_it_was_written_is_not_published(
    record, full, tmp_path, monkeypatch
):
    """A disk that loses bits between the write and the check, and a rerun that mends it."""
    write = StoreWriter.write

    def losing(writer, chunk, features):
        write(writer, chunk, features)
        if (chunk.depth, chunk.index) == (1, 2):
            negate(chunk_path(writer.folder, 1, 2))

    monkeypatch.setattr(StoreWriter, "write", losing)
    events = encode([record], tmp_path)
    assert "did not reach the disk as they were written" in ends(events)["phantom"].message
    assert not store_path(tmp_path, record).exists()
    monkeypatch.undo()
    encode([record], tmp_path)
    assert contents(tmp_path) == contents(full)


def test_a_slide_that_another_process_encodes_is_left_to_it(record, full, tmp_path):
    with store_claims(tmp_path).take("phantom"):
        (event,) = encode([record], tmp_path)
    assert event.kind == "skipped"
    assert f"process {os.getpid()} on" in event.message
    assert not store_path(tmp_path, record).exists()
    encode([record], tmp_path)
    assert contents(tmp_path) == contents(full)


def test_a_process_that_lost_its_claim_writes_no_more(record, tmp_path):
    class Suspended(Colours):
        def __call__(self, patches):
            store_claims(tmp_path).path("phantom").write_text("{}")
            return super().__call__(patches)

    events = encode([record], tmp_path, Suspended())
    assert "are made by another process" in events[-1].message
    assert not store_path(tmp_path, record).exists()
    assert not (draft_path(store_path(tmp_path, record)) / "written.txt").exists()


def test_places_that_cannot_be_decoded_are_counted_and_not_tried_again(
    record, tmp_path, monkeypatch
):
    from napari_hagmil.errors import SlideReadError
    from napari_hagmil.features import sources

    def damaged(slide, regions, size, *, workers):
        for i, pixels in read(slide, regions, size, workers=workers):
            yield i, SlideReadError("broken") if regions[i].x < 1500 else pixels

    read = sources.read_patches
    monkeypatch.setattr(sources, "read_patches", damaged)
    events = encode([record], tmp_path, config=replace(CONFIG, chunk_rows=1))
    store = open_store(tmp_path, "phantom")
    west = store.nodes[0][:, 1] * store.grids[0].stride < 1500
    assert west.any()
    assert torch.isnan(store(0, store.nodes[0])).any(1).numpy().tolist() == west.tolist()
    assert ends(events)["phantom"].unread == store.n_unread > 0
    encoder = Colours()
    encode([record], tmp_path, encoder, replace(CONFIG, chunk_rows=1))
    assert encoder.seen == 0


def test_a_coarse_slide_is_kept_to_the_depth_that_it_has(slides_dir, tmp_path):
    slide = SlideRecord(slides_dir / "CMU-1-Small-Region.svs", "x", "p")
    events = encode([slide], tmp_path, config=replace(CONFIG, mpp=(1.0, 0.5, 0.25)))
    assert "no 40×" in events[0].message
    store = open_store(tmp_path, slide)
    assert store.mpp == (1.0, 0.5)
    assert len(store.nodes) == 2


def test_a_folder_of_something_else_is_never_replaced(record, tmp_path):
    mine = tmp_path / "phantom.zarr"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="is something else; move it"):
        encode([record], tmp_path)
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_a_missing_store_says_how_to_make_it(tmp_path):
    with pytest.raises(FeatureStoreError, match=r"features of none are not in .*; run encode"):
        open_store(tmp_path, "none")


def test_a_store_of_another_schema_is_refused(full, tmp_path):
    (tmp_path / "a.zarr").mkdir()
    facts = json.loads((full / "phantom.zarr" / "zarr.json").read_text())
    facts["attributes"]["schema"] = "napari-hagmil/features/9"
    (tmp_path / "a.zarr" / "zarr.json").write_text(json.dumps(facts))
    with pytest.raises(FeatureStoreError, match="features/9"):
        open_store(tmp_path, "a")


SLOW_RUN = """
    import sys, time
    from pathlib import Path
    sys.path[:0] = {tests!r}
    from test_store import CONFIG, Colours, encode
    from napari_hagmil.cohort import SlideRecord

    class Slow(Colours):
        def __call__(self, patches):
            time.sleep(0.05)
            return super().__call__(patches)

    encode([SlideRecord(Path({slide!r}), "tumor", "p1")], Path({store!r}), Slow())
"""


@pytest.mark.slow
def test_a_run_killed_twice_ends_with_the_same_bytes(record, full, tmp_path):
    path = store_path(tmp_path, record)
    script = textwrap.dedent(
        SLOW_RUN.format(tests=TESTS, slide=str(record.path), store=str(tmp_path))
    )
    draft = draft_path(path)
    for _ in range(2):
        before = len(StoreWriter(path).missing()) if draft.exists() else None
        run = subprocess.Popen([sys.executable, "-c", script])
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and run.poll() is None:
            time.sleep(0.02)
            if draft.exists() and len(StoreWriter(path).missing()) != before:
                break
        run.send_signal(signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL, "the run was over before it was killed"
        assert not path.exists()
    assert StoreWriter(path).missing()
    # A half-written chunk of the killed run lies about, and half a line of the list.
    (draft / "depth1" / "features" / "c" / "0").mkdir(parents=True, exist_ok=True)
    (draft / "depth1" / "features" / "c" / "0" / "0.abc.partial").write_bytes(b"half")
    with (draft / "written.txt").open("a") as file:
        file.write("\n0123456789abcdef dep")
    encode([record], tmp_path)
    assert contents(tmp_path) == contents(full)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Five small slides, and their features made in one go."""
    from napari_hagmil.phantom import PhantomConfig, write_phantom

    folder = tmp_path_factory.mktemp("cohort")
    records = []
    for seed in range(5):
        path = folder / f"s{seed}.tiff"
        write_phantom(path, PhantomConfig(seed=seed, size=2048, lesions=1))
        records.append(SlideRecord(path, "tumor", f"p{seed}"))
    encode(records, folder / "store")
    return records, folder / "store"


MANY = """
    import sys, time
    from pathlib import Path
    sys.path[:0] = {tests!r}
    from test_store import CONFIG, Colours, encode
    from napari_hagmil.cohort import SlideRecord

    class Slow(Colours):
        def __call__(self, patches):
            time.sleep(0.15)
            return super().__call__(patches)

    records = [SlideRecord(Path(slide), "tumor", "p") for slide in {slides!r}]
    for event in encode(records, Path({store!r}), Slow()):
        if event.kind not in ("laid out", "encoded"):
            print(event.kind, event.name, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(int(os.environ.get("HAGMIL_KILL_SEEDS", "1"))))
def test_processes_on_one_store_that_are_killed_at_random_leave_what_one_would(
    cohort, tmp_path, seed
):
    records, expected = cohort
    chance = random.Random(seed)
    script = textwrap.dedent(
        MANY.format(
            tests=TESTS,
            slides=[str(record.path) for record in records],
            store=str(tmp_path / "store"),
        )
    )

    def start():
        return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL)

    running = [start() for _ in range(2)]
    for _ in range(4):
        time.sleep(chance.uniform(0.5, 3))
        killed = running.pop(chance.randrange(len(running)))
        killed.kill()
        killed.wait()
        visible = {path.name for path in (tmp_path / "store").glob("*.zarr")}
        for name in visible:
            here, there = tmp_path / "store" / name, expected / name
            assert contents(here) == contents(there), f"{name} was put in place unfinished"
        running.append(start())
    assert {run.wait(120) for run in running} == {0}
    last = start()
    assert last.wait(120) == 0
    assert contents(tmp_path / "store") == contents(expected)
