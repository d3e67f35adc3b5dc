"""batch, run-one and status through the front door, on real slides."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading

import pyarrow.parquet as pq
import pytest
from batch_stubs import work

from json_schemas import require_schemas
from napari_hagmil.batch.attendant import Limits
from napari_hagmil.batch.folder import BatchSettings, open_run, prepare_run
from napari_hagmil.batch.pool import limits_of
from napari_hagmil.batch.run import work_through
from napari_hagmil.batch.runners import Cluster, DaskRunner
from napari_hagmil.batch.staging import StagedWork
from napari_hagmil.cli import main
from napari_hagmil.cohort import Cohort, SlideRecord
from napari_hagmil.errors import OutputError
from napari_hagmil.export.result_json import result_document
from napari_hagmil.ledger import check_manifest
from napari_hagmil.phantom import PhantomConfig, write_phantom
from napari_hagmil.pipeline import analyze_slide


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """Two phantoms, a slide without tissue's scale, and a file that is no slide."""
    folder = tmp_path_factory.mktemp("slides")
    for seed in (1, 2):
        write_phantom(folder / f"p{seed}.tiff", PhantomConfig(seed=seed, size=2048))
    (folder / "broken.svs").write_bytes(b"no slide" * 100)
    return folder


@pytest.fixture(scope="module")
def run(slides, tmp_path_factory):
    """A run of two processes over them."""
    out = tmp_path_factory.mktemp("out") / "run"
    command = [sys.executable, "-m", "napari_hagmil", "batch", str(slides), "--out", str(out)]
    command += ["--model", "demo", "--workers", "2", "--budget", "2", "--pool"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert ended.returncode == 3, ended.stderr
    assert "broken: unreadable" in ended.stdout
    return out


@pytest.mark.slow
def test_a_folder_without_labels_is_read_and_what_failed_is_told(run, slides):
    rows = {row["name"]: row for row in pq.read_table(run / "summary.parquet").to_pylist()}
    assert {name: row["state"] for name, row in rows.items()} == {
        "p1": "done", "p2": "done", "broken": "unreadable",
    }  # fmt: skip
    folder = open_run(run)
    for name in ("p1", "p2"):
        assert not check_manifest(folder.place(name))
        single = result_document(analyze_slide(slides / f"{name}.tiff", options=None))
        stored = json.loads((folder.place(name) / "result.json").read_text())
        assert stored["slide"] == json.loads(json.dumps(single["slide"]))
        assert rows[name]["class"] == stored["prediction"]["class"]
        assert rows[name]["p_tumor"] == stored["prediction"]["probabilities"][1]
        assert stored["settings"]["budget"] == [2, 2]
    assert require_schemas(run) == {"batch", "state", "result", "manifest"}
    page = (run / "report.html").read_text()
    assert page.index('"name": "broken"') < page.index('"name": "p2"')
    assert str(slides) not in page + (run / "summary.csv").read_text()


@pytest.mark.slow
def test_a_second_run_finds_nothing_to_do(run, slides, capsys):
    before = {path: path.stat().st_mtime_ns for path in (run / "slides").rglob("*")}
    command = ["batch", str(slides), "--out", str(run), "--budget", "2", "--json"]
    assert main(command) == 3
    answer = json.loads(capsys.readouterr().out)
    assert [row["state"] for row in answer["slides"]].count("done") == 2
    assert {path: path.stat().st_mtime_ns for path in (run / "slides").rglob("*")} == before


@pytest.mark.slow
def test_run_one_and_status_speak_by_their_exit_status_and_in_json(run, capsys):
    assert main(["run-one", str(run), "p1"]) == 0
    assert main(["run-one", str(run), "broken"]) == 3
    assert main(["run-one", str(run), "borken"]) == 1
    assert "did you mean broken?" in capsys.readouterr().err
    with open_run(run).claims.take("p2"):
        assert main(["run-one", str(run), "p2"]) == 4
        assert main(["status", str(run)]) == 0
    said = capsys.readouterr().out
    assert "  p2: process " in said
    assert "unreadable: copy or export the file again, then --retry unreadable\n  broken: " in said
    # Of --watch too the state stands there once: nothing is left to wait for.
    assert main(["status", str(run), "--watch"]) == 0
    assert capsys.readouterr().out.count("3 slides: 2 done, 1 unreadable\n") == 1
    assert main(["status", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["states"] == {"done": 2, "unreadable": 1}


def test_a_prepared_run_says_how_it_is_worked_through(slides, tmp_path, capsys):
    command = ["batch", str(slides), "--out", str(tmp_path / "run"), "--prepare"]
    assert main(command) == 0
    assert "run-one" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "run.json", "table.parquet",
    ]  # fmt: skip
    assert main([*command, "--only", "nobody"]) == 1


@pytest.mark.slow
def test_what_it_would_cost_is_told_and_binds_nobody(run, slides, tmp_path, capsys):
    command = ["batch", str(slides), "--json", "--dry-run"]
    new = [*command, "--out", str(tmp_path / "new"), "--budget", "3", "--only", "p1"]
    assert main(new) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["slides"] == ["p1"]
    assert said["cost"]["patches"] > 0
    assert not (tmp_path / "new").exists()
    # What --retry would try again is counted, and not tried.
    for more, due in ((["--retry", "unreadable"], ["broken"]), ([], [])):
        assert main([*command, "--out", str(run), "--budget", "2", *more]) == 0
        assert json.loads(capsys.readouterr().out)["slides"] == due
    assert open_run(run).outcome("broken").state == "unreadable"


@pytest.mark.slow
@pytest.mark.parametrize("processes", [False, True], ids=["threads", "nanny"])
def test_a_dask_cluster_does_what_processes_do(run, tmp_path, monkeypatch, processes):
    pytest.importorskip("distributed", reason="distributed is not installed")
    from distributed import LocalCluster

    shutil.copytree(run, tmp_path / "run")
    folder = open_run(tmp_path / "run")
    before = (folder.place("p1") / "manifest.json").read_bytes()
    folder.forget("p1")
    asked = []
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=processes, dashboard_address=":0",
        resources={"GPU": 1},
    ) as cluster:  # fmt: skip
        runner = DaskRunner(
            folder, 1, limits_of(2, None, None), Cluster(cluster.scheduler_address, {"GPU": 1}),
            StagedWork(tmp_path / "cache", 1e9),
        )  # fmt: skip
        submit = runner._client.submit
        monkeypatch.setattr(
            runner._client, "submit", lambda *args, **how: asked.append(how) or submit(*args, **how)
        )
        try:
            outcomes = list(work_through(folder, runner, ["p1"]))
        finally:
            runner.close()
    assert [(outcome.name, outcome.state) for outcome in outcomes] == [("p1", "done")]
    # Also from a copy of the slide the result is the same, to the byte.
    assert (folder.place("p1") / "manifest.json").read_bytes() == before
    assert folder.is_settled("p1")
    assert not list((tmp_path / "cache").iterdir())
    assert [how["resources"] for how in asked] == [{"GPU": 1}]


@pytest.mark.slow
def test_a_scheduler_that_goes_ends_the_run_in_one_sentence_and_blames_no_slide(tmp_path):
    pytest.importorskip("distributed", reason="distributed is not installed")
    import dask
    from distributed import LocalCluster

    (tmp_path / "hang.tiff").touch()
    record = SlideRecord(tmp_path / "hang.tiff", "", "p", name="hang")
    settings = BatchSettings("demo", "0" * 64)
    folder = prepare_run(tmp_path / "run", Cohort((record,), ()), settings)
    soon = dask.config.set({"distributed.comm.timeouts.connect": "2s"})  # 30 s by default
    local = LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0")
    with soon, local as cluster:
        runner = DaskRunner(folder, 1, Limits(), Cluster(cluster.scheduler_address), work)
        gone = threading.Timer(0.5, lambda: cluster.sync(cluster.scheduler.close))
        gone.start()
        try:
            with pytest.raises(OutputError, match="does not answer any more"):
                list(work_through(folder, runner, ["hang"]))
        finally:
            gone.join()
            runner.stop()
            runner.close()
    assert folder.outcome("hang") is None
