"""A run's folder under processes that end as they like; the analysis is a stub here."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from batch_stubs import SeenGpu, work

from napari_hagmil.batch import analysis
from napari_hagmil.batch.analysis import analyze_into, overview
from napari_hagmil.batch.attendant import Limits
from napari_hagmil.batch.folder import BatchSettings, open_run, prepare_run
from napari_hagmil.batch.one import run_one, tidy
from napari_hagmil.batch.pool import Pool
from napari_hagmil.batch.run import retry, status_of, work_through
from napari_hagmil.batch.runners import LocalRunner, RunJob
from napari_hagmil.bundles import find_bundle
from napari_hagmil.cohort import Cohort
from napari_hagmil.cohort.cohort import SlideRecord
from napari_hagmil.errors import OutputError
from napari_hagmil.files import replacing
from napari_hagmil.ledger import STATE_RULES, STATES, Claims, check_manifest
from napari_hagmil.models import load_bundle
from napari_hagmil.phantom import PhantomConfig, write_phantom
from napari_hagmil.slide import open_slide

SETTINGS = BatchSettings("demo", "0" * 64)


def run_of(tmp_path, names):
    for name in names:
        (tmp_path / f"{name}.tiff").touch()
    records = tuple(
        SlideRecord(tmp_path / f"{n}.tiff", "", f"patient of {n}", name=n) for n in names
    )
    return prepare_run(tmp_path / "run", Cohort(records, ()), SETTINGS)


NO_LIMITS = Limits()


def carried_out(folder, limits=NO_LIMITS, workers=2):
    runner = LocalRunner(folder, workers, limits, work)
    try:
        return list(work_through(folder, runner, list(folder.records)))
    finally:
        runner.close()


def states(folder):
    return {name: folder.outcome(name).state for name in folder.records}


def test_every_state_has_a_rule_and_only_whole_folders_have_a_manifest():
    assert set(STATES) == set(STATE_RULES)
    assert {s for s, rule in STATE_RULES.items() if rule.has_manifest} == {
        "done", "no_tissue", "incomplete",
    }  # fmt: skip
    assert {s: r.exit_status for s, r in STATE_RULES.items()} == {
        "done": 0, "no_tissue": 3, "incomplete": 3, "missing_mpp": 3, "unreadable": 3, "failed": 3,
        "crashed": 3, "timeout": 3, "oom": 3, "skipped": 4,
    }  # fmt: skip
    assert all(rule.remedy for state, rule in STATE_RULES.items() if state != "done")


def test_a_slide_that_ends_its_process_costs_that_process_and_the_rest_is_done(tmp_path):
    names = ["a", "segfault", "b", "hang", "unreadable", "bug", "c", "once", "d"]
    folder = run_of(tmp_path, names)
    outcomes = carried_out(folder, Limits(seconds=3))
    assert states(folder) == {
        "a": "done", "segfault": "crashed", "b": "done", "hang": "timeout",
        "unreadable": "unreadable", "bug": "failed", "c": "done", "once": "done", "d": "done",
    }  # fmt: skip
    tries = [outcome.name for outcome in outcomes]
    assert {name: tries.count(name) for name in names} == {
        "a": 1, "segfault": 2, "b": 1, "hang": 2, "unreadable": 1, "bug": 2, "c": 1, "once": 2,
        "d": 1,
    }  # fmt: skip
    assert "SIGSEGV" in folder.outcome("segfault").reason
    assert "an error that nobody foresaw" in folder.outcome("bug").reason
    # Quarantined: nothing is tried again, until somebody asks; `run-one` would die of it here.
    assert carried_out(folder) == []
    assert run_one(folder, "segfault", work) == folder.outcome("segfault")
    assert retry(folder, names, ["unreadable"]) == 1
    assert [outcome.name for outcome in carried_out(folder)] == ["unreadable"]


def test_a_slide_that_hangs_ends_with_whoever_asked_for_it(tmp_path):
    folder = run_of(tmp_path, ["hang"])
    code = (
        "import sys; from pathlib import Path; from batch_stubs import work\n"
        "from napari_hagmil.batch.attendant import Limits\n"
        "from napari_hagmil.batch.folder import open_run\n"
        "from napari_hagmil.batch.runners import LocalRunner\n"
        "folder = open_run(Path(sys.argv[1]))\n"
        "list(LocalRunner(folder, 1, Limits(), work).outcomes(['hang']))\n"
    )
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    asker = subprocess.Popen(
        [sys.executable, "-c", code, str(folder.root)], env=os.environ | {"PYTHONPATH": path}
    )
    try:
        while not (held := folder.claims.path("hang")).exists():
            assert asker.poll() is None
            time.sleep(0.02)
        slide = psutil.Process(json.loads(held.read_text())["pid"])
    finally:
        asker.kill()
        asker.wait()
    with suppress(psutil.NoSuchProcess):
        slide.wait(60)
    claim = folder.claims.take("hang")
    assert claim is not None
    claim.release()


def test_a_slide_that_eats_memory_is_stopped(tmp_path):
    folder = run_of(tmp_path, ["greedy"])
    carried_out(folder, Limits(memory=600 * 2**20), workers=1)
    assert states(folder) == {"greedy": "oom"}
    assert "GiB" in folder.outcome("greedy").reason


@pytest.mark.parametrize(
    ("visible", "seen"), [(None, ["0", "1"]), ("4,7", ["4", "7"])], ids=["all", "some"]
)
def test_processes_share_out_the_gpus_that_are_there(tmp_path, monkeypatch, visible, seen):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    pool = Pool(SeenGpu(), 2, Limits(gpus=2))
    try:
        replies = pool.replies([(tmp_path, number, 2) for number in range(2)])
        assert sorted(reply for _, reply in replies) == seen
    finally:
        pool.close()


def test_nothing_half_written_is_left_or_seen(tmp_path):
    folder = run_of(tmp_path, ["a", "segfault", "bug", "a.b"])
    carried_out(folder)
    left = sorted(path.name for path in (folder.root / "slides").iterdir())
    assert left == ["a", "a.b"]
    assert all(not check_manifest(folder.place(name)) for name in left)
    assert not list((folder.root / "claims").iterdir())


MINE = [".a.host.7.0123456789ab", "..a.host.7.0123456789ab.89abcdef-7-01234567.tmp"]
THEIRS = [".a.b.host.7.0123456789ab", "..a.b.host.7.0123456789ab.89abcdef-7-01234567.tmp"]


def with_drafts(tmp_path):
    folder = run_of(tmp_path, ["a", "a.b"])
    for name in (*MINE, *THEIRS):
        (folder.root / "slides" / name).mkdir(parents=True)
    return folder


def drafts_of(folder):
    return sorted(path.name for path in (folder.root / "slides").glob(".*"))


def of_the_dead(folder, name):
    """A claim of a process that has ended."""
    path = folder.claims.path(name)
    with folder.claims.take(name) or nullcontext():
        said = json.loads(path.read_text())
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    path.write_text(json.dumps(said | {"pid": gone.pid, "token": "of the dead"}))


def test_what_a_killed_process_left_of_a_slide_goes_and_that_of_others_stays(tmp_path):
    folder = with_drafts(tmp_path)
    of_the_dead(folder, "a")
    assert run_one(folder, "a", work).state == "done"
    assert drafts_of(folder) == sorted(THEIRS)


def test_who_is_killed_while_he_tidies_up_leaves_it_to_the_next_one(tmp_path):
    folder = with_drafts(tmp_path)
    of_the_dead(folder, "a")
    left = drafts_of(folder)

    def killed():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.claims.take("a", tidy=killed)
    assert drafts_of(folder) == left
    run_one(folder, "a", work)
    assert drafts_of(folder) == sorted(THEIRS)


def test_a_run_begins_without_what_the_dead_have_left(tmp_path):
    folder = with_drafts(tmp_path)
    of_the_dead(folder, "a")
    with folder.claims.take("a.b"):
        tidy(folder)
        assert drafts_of(folder) == sorted(THEIRS)
        assert [path.name for path in folder.claims.folder.iterdir()] == ["a.b.json"]


def test_a_slide_costs_no_look_at_the_others(tmp_path, monkeypatch):
    """Of a million slides a listing takes longer than a slide."""
    folder = run_of(tmp_path, ["a", "b"])
    run_one(folder, "a", work)
    listed = []
    for name in ("scandir", "listdir"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda at=".", do=real: listed.append(str(at)) or do(at))
    assert run_one(folder, "b", work).state == "done"
    assert not [at for at in listed if at.endswith(("/slides", "/states", "/claims"))]


def test_a_slide_that_another_process_has_just_done_is_not_read_through_again(
    tmp_path, monkeypatch
):
    """With a hundred processes on a run each would read all files of all slides."""
    folder = run_of(tmp_path, ["a"])
    run_one(folder, "a", work)
    (folder.place("a") / "data.bin").write_bytes(b"not what was written")
    (outcome,) = RunJob(folder.root, work)()("a")
    assert outcome.state == "done"
    assert [outcome.name for outcome in carried_out(folder)] == ["a"], "a new run looks"
    assert folder.is_settled("a")


def test_a_name_as_long_as_a_file_system_takes_is_done(tmp_path):
    name = "名" * 83  # 249 bytes, 254 with its suffix.
    folder = run_of(tmp_path, [name])
    assert run_one(folder, name, work).state == "done"
    assert folder.is_settled(name)
    assert json.loads(folder.state_path(name).read_text())["name"] == name


def test_a_damaged_slide_is_found_by_its_contents_and_made_anew(tmp_path):
    folder = run_of(tmp_path, ["a", "b"])
    carried_out(folder)
    good = (folder.place("a") / "data.bin").read_bytes()
    (folder.place("a") / "data.bin").write_bytes(good[:-1] + b"?")
    assert [outcome.name for outcome in carried_out(folder)] == ["a"]
    assert (folder.place("a") / "data.bin").read_bytes() == good


def test_a_slide_that_somebody_has_is_left_to_him(tmp_path):
    folder = run_of(tmp_path, ["a"])
    with Claims(folder.root / "claims").take("a"):
        outcome = run_one(folder, "a", work)
        assert (outcome.state, outcome.exit_status) == ("skipped", 4)
        assert status_of(folder).running["a"].startswith(f"process {os.getpid()} on")
    assert run_one(folder, "a", work).state == "done"


def test_a_run_is_joined_under_the_same_settings_only(tmp_path):
    folder = run_of(tmp_path, ["a"])
    assert open_run(folder.root).settings == SETTINGS
    assert list(run_of(tmp_path, ["b"]).records) == ["a", "b"]
    with pytest.raises(OutputError, match="another mpp"):
        prepare_run(folder.root, Cohort((), ()), BatchSettings("demo", "0" * 64, mpp=0.5))
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="or empty"):
        prepare_run(tmp_path / "else", Cohort((), ()), SETTINGS)


def test_patients_and_paths_are_for_the_owner_and_names_may_be_any_bytes(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.tiff")
    record = SlideRecord(path, "", "patient 7", name="cafe")
    folder = prepare_run(tmp_path / "run", Cohort((record,), ()), SETTINGS)
    assert open_run(folder.root).records["cafe"].path == path
    mode = (folder.root / "table.parquet").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    assert b"patient 7" not in (folder.root / "run.json").read_bytes()


@pytest.mark.parametrize(
    "said", ["", "{", "[]", '{"schema": "x"}', '{"schema": "napari-hagmil/batch/1"}',
             '{"schema": "napari-hagmil/batch/1", "settings": {"model": 1, "model_sha256": []}}'],
)  # fmt: skip
def test_a_folder_that_is_no_run_is_refused_in_one_sentence(tmp_path, said):
    folder = run_of(tmp_path, ["a"])
    (folder.root / "run.json").write_text(said)
    with pytest.raises(OutputError, match="no folder of a batch"):
        open_run(folder.root)


def test_what_became_of_a_slide_is_told_by_its_files_and_not_by_its_note(tmp_path):
    folder = run_of(tmp_path, ["a", "bug"])
    carried_out(folder)
    note = folder.root / "states" / "bug.json"
    note.write_text(note.read_text().replace('"failed"', '"done"'))
    assert folder.outcome("bug") is None
    assert json.loads((folder.root / "states" / "a.json").read_text())["state"] == "done"
    (folder.place("a") / "manifest.json").unlink()
    assert folder.outcome("a") is None


@pytest.mark.parametrize(
    ("kind", "said"), [("full", "No space left"), ("readonly", "Read-only file system")]
)
def test_a_disk_that_fails_in_mid_run_ends_it_and_blames_no_slide(tmp_path, kind, said):
    names = [f"{kind}-{i}" for i in range(3)]
    folder = run_of(tmp_path, names)
    with pytest.raises(OutputError, match=f"the run run cannot be written \\({said}"):
        run_one(folder, names[0], work)
    assert [folder.outcome(name) for name in names] == [None] * 3
    assert not list((folder.root / "slides").glob(".*"))
    assert not list((folder.root / "claims").iterdir())


@pytest.mark.slow
def test_a_disk_that_really_is_full_and_then_has_room_gives_what_it_would_have_given(tmp_path):
    """A file system of 1.2 MB, made for this test: only the super-user may, and not everywhere."""
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", str(small)]
    if (
        sys.platform != "linux"
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("no file system can be mounted here")
    try:
        slide = tmp_path / "p.tiff"
        write_phantom(slide, PhantomConfig(seed=1, size=1024))
        cohort = Cohort((SlideRecord(slide, "", "p", name="p"),), ())
        settings = replace(SETTINGS, model_sha256=load_bundle(find_bundle("demo")).sha256)
        folder = prepare_run(small / "run", cohort, settings)
        with pytest.raises(OutputError, match="No space left"):
            run_one(folder, "p", analyze_into)
        assert folder.outcome("p") is None
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        assert run_one(folder, "p", analyze_into).state == "done"
        other = prepare_run(tmp_path / "run", cohort, settings)
        run_one(other, "p", analyze_into)
        manifests = [one.place("p") / "manifest.json" for one in (folder, other)]
        assert manifests[0].read_bytes() == manifests[1].read_bytes()
    finally:
        subprocess.run(["umount", str(small)], check=False)


def test_a_disk_that_is_read_only_ends_the_run_and_loses_nothing(tmp_path):
    """A file system made for this test, by the super-user."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if (
        sys.platform != "linux"
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("no file system can be mounted here")
    try:
        records = tuple(SlideRecord(tmp_path / f"{n}.tiff", "", "p", name=n) for n in "ab")
        folder = prepare_run(disk / "run", Cohort(records, ()), SETTINGS)
        run_one(folder, "a", work)
        before = sorted(disk.rglob("*"))
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(OutputError, match="Read-only file system"):
            run_one(folder, "b", work)
        assert sorted(disk.rglob("*")) == before
        assert run_one(folder, "a", work, trusting=True).state == "done"
        assert status_of(folder).states == {"done": 1, "waiting": 1}
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        assert run_one(folder, "b", work).state == "done"
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def test_a_slide_that_is_replaced_while_it_is_read_is_read_again(tmp_path, monkeypatch):
    slide = tmp_path / "p.tiff"
    write_phantom(slide, PhantomConfig(seed=1, size=1024))
    write_phantom(tmp_path / "new.tiff", PhantomConfig(seed=2, size=1024))
    cohort = Cohort((SlideRecord(slide, "", "p", name="p"),), ())
    sha256 = load_bundle(find_bundle("demo")).sha256
    folder = prepare_run(tmp_path / "run", cohort, replace(SETTINGS, model_sha256=sha256))

    def work(*args):
        with monkeypatch.context() as patch:
            patch.setattr(analysis, "overview", replaced)
            return analyze_into(*args)

    def replaced(slide):
        shutil.move(tmp_path / "new.tiff", slide.path)
        return overview(slide)

    outcome = run_one(folder, "p", work)
    assert (outcome.state, outcome.tries) == ("failed", 1)
    assert "was written to or replaced while it was read" in outcome.reason
    assert run_one(folder, "p", analyze_into).state == "done"
    said = json.loads((folder.place("p") / "result.json").read_text())
    with open_slide(slide) as now:
        assert said["slide"]["fingerprint"] == now.fingerprint


def test_who_is_killed_while_he_prepares_leaves_a_folder_that_can_be_prepared(
    tmp_path, monkeypatch
):
    """Whatever was written by then, the next one begins anew."""
    written = []

    def killed(path):
        written.append(path.name)
        raise KeyboardInterrupt

    for name in ("table.parquet", "run.json"):
        with monkeypatch.context() as patch:
            patch.setattr(
                "napari_hagmil.batch.folder.replacing",
                lambda path, name=name: killed(path) if path.name == name else replacing(path),
            )
            with pytest.raises(KeyboardInterrupt):
                run_of(tmp_path, ["a"])
        assert not (tmp_path / "run" / "run.json").exists()
    assert written == ["table.parquet", "run.json"]
    assert list(open_run(run_of(tmp_path, ["a"]).root).records) == ["a"]


def test_processes_that_add_slides_at_once_lose_none(tmp_path):
    names = [f"s{i}" for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: run_of(tmp_path, [name]), names))
    assert sorted(open_run(tmp_path / "run").records) == names
    assert [path.name for path in sorted((tmp_path / "run").iterdir())] == [
        "run.json", "table.parquet",
    ]  # fmt: skip
