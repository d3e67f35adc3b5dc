"""encode, evaluate and predict by several processes: what one process writes, and no less safe."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from verb_stubs import NeverUp, VerbStub

from napari_hagmil.batch.attendant import Limits
from napari_hagmil.batch.cohort_jobs import over_cohort
from napari_hagmil.batch.encoding import encode_by_processes
from napari_hagmil.batch.pool import Pool
from napari_hagmil.cli import main
from napari_hagmil.cohort import SlideRecord
from napari_hagmil.errors import EncoderError, OutputError, ProcessError
from napari_hagmil.evaluation.evaluate import SlideFailure
from napari_hagmil.features.layout import feature_tree
from napari_hagmil.features.store import store_path
from napari_hagmil.features.store_metadata import FeatureKey
from napari_hagmil.features.store_writer import StoreWriter
from napari_hagmil.ledger import check_manifest, read_manifest
from napari_hagmil.models import BundleConfig, CascadeModel, IATConfig, save_bundle
from napari_hagmil.models.config import EncoderFacts
from napari_hagmil.phantom import PhantomConfig, write_phantom
from napari_hagmil.quadtree import PatchGrid, Quadtree, children, z_order

ENCODER = EncoderFacts("made-up", "0", 2)
STAGE = IATConfig(n_features=2, widths=(8,), n_classes=2, heads=2)


def slides(tmp_path, *names):
    return [SlideRecord(tmp_path / name, "", "p", name=name) for name in names]


@pytest.fixture
def pool(request):
    pool = Pool(VerbStub(request.param), 2, Limits(seconds=2))
    yield pool
    pool.close()


@pytest.mark.parametrize("pool", ["encode"], indirect=True)
def test_a_slide_that_ends_its_process_is_encoded_by_nobody_and_the_rest_is(tmp_path, pool):
    records = slides(tmp_path, "a", "segfault", "hang", "once", "b")
    events = list(encode_by_processes(records, pool))
    ends = {event.name: event for event in events if event.kind not in ("laid out", "encoded")}
    assert {name: event.state for name, event in ends.items()} == {
        "a": "done", "segfault": "crashed", "hang": "timeout", "once": "done", "b": "done",
    }  # fmt: skip
    assert "SIGSEGV" in ends["segfault"].message
    begun = [event.name for event in events if event.kind == "encoded"]
    assert {name: begun.count(name) for name in ("a", "segfault", "hang", "once")} == {
        "a": 1, "segfault": 2, "hang": 2, "once": 2,
    }  # fmt: skip


@pytest.mark.parametrize("pool", ["evaluate"], indirect=True)
def test_the_order_is_that_of_the_cohort_also_where_a_process_ended(tmp_path, pool):
    found = list(over_cohort(slides(tmp_path, "a", "segfault", "once", "b"), pool))
    assert [one if isinstance(one, str) else one.record.name for one in found] == [
        "a", "segfault", "once", "b",
    ]  # fmt: skip
    assert isinstance(found[1], SlideFailure)
    assert found[1].state == "crashed"


@pytest.mark.parametrize("pool", ["encode"], indirect=True)
def test_what_would_fail_for_every_slide_ends_the_run_in_its_own_sentence(tmp_path, pool):
    with pytest.raises(OutputError, match="the disk is full; make room"):
        list(encode_by_processes(slides(tmp_path, "disk", "a"), pool))


def test_processes_that_do_not_start_end_the_run_and_no_slide_is_blamed(tmp_path):
    for broken, kind, says in (
        (NeverUp("killed"), ProcessError, "do not start: its process ended by SIGKILL"),
        (NeverUp("no encoder"), EncoderError, "is not here"),
    ):
        pool = Pool(broken, 1, Limits())
        with pytest.raises(kind, match=says):
            list(encode_by_processes(slides(tmp_path, "a"), pool))
        pool.close()


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_encode_by_two_processes_fills_the_store_that_one_fills(tmp_path, capsys):
    (tmp_path / "slides").mkdir()
    for seed in (1, 2, 3):
        config = PhantomConfig(seed=seed, size=1024)
        write_phantom(tmp_path / "slides" / f"p{seed}.tiff", config)
    (tmp_path / "slides" / "broken.svs").write_bytes(b"no slide" * 100)
    words = ["encode", str(tmp_path / "slides"), "--depths", "1,0.5", "--device", "cpu"]
    assert main([*words, "--store", str(tmp_path / "one")]) == 3
    assert main([*words, "--store", str(tmp_path / "two"), "--workers", "2"]) == 3
    assert "[1/4] broken: unreadable" in capsys.readouterr().out
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert len(list((tmp_path / "two").glob("*.zarr"))) == 3


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Six slides of three patients in a store, their table, and a model that was never trained."""
    folder = tmp_path_factory.mktemp("cohort")
    rng = np.random.default_rng(0)
    for i in range(6):
        fill(store_path(folder / "store", f"s{i}"), rng)
    lines = [f"s{i}.svs,s{i},{('normal', 'tumor')[i % 2]},p{i // 2}" for i in range(6)]
    (folder / "cohort.csv").write_text("slide,name,label,patient\n" + "\n".join(lines) + "\n")
    config = BundleConfig(
        name="untrained", encoder=ENCODER, patch_size=32, mpp=(1.0, 0.5),
        classes=("normal", "tumor"), stages=(STAGE, STAGE), budget=(2,),
    )  # fmt: skip
    torch.manual_seed(0)
    save_bundle(CascadeModel(config), folder / "a.hagmil")
    return folder


def fill(path, rng):
    nodes = np.argwhere(np.ones((4, 4), bool))
    nodes = nodes[z_order(nodes)]
    grids = (PatchGrid(32, 4.0, (4, 4)), PatchGrid(32, 2.0, (8, 8)))
    tree = feature_tree(Quadtree(grids, (nodes, children(nodes))))
    writer = StoreWriter.begin(path, FeatureKey("f", "tiff", 0.25, ENCODER, 32, (1.0, 0.5)), tree)
    for chunk in writer.missing():
        rows = rng.normal(size=(len(chunk.nodes), 2)).astype(np.float32)
        writer.write(chunk, torch.from_numpy(rows))
    writer.finish()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "more"),
    [("predict", []), ("evaluate", ["--chance", "3", "--patients", "bag"])],
    ids=["predict", "evaluate"],
)
def test_two_processes_find_what_one_finds(cohort, tmp_path, monkeypatch, verb, more):
    words = [verb, str(cohort / "cohort.csv"), "--store", str(cohort / "store"), *more]
    words += ["--model", str(cohort / "a.hagmil"), "--device", "cpu"]
    # As many as each of the two processes has: a result says how many there were.
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    for out, own in (("one", []), ("two", ["--workers", "2"])):
        assert main([*words, "--out", str(tmp_path / out), *own]) == 0
        assert check_manifest(tmp_path / out) == {}
    one, two = (read_manifest(tmp_path / out).files for out in ("one", "two"))
    seconds = {"predictions.csv", "report.md"} if verb == "evaluate" else set()
    assert {place for place in one if one[place] != two[place]} <= seconds
    assert one.keys() == two.keys()
