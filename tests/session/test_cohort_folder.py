"""A run's folder, or one of slides, read into a table; and the table of all decisions."""

import csv
import json
import shutil
from dataclasses import replace

import pytest

from napari_hagmil.batch.folder import BatchSettings, SlideOutcome, prepare_run
from napari_hagmil.batch.summary import latest_rows, summary_rows, write_summary
from napari_hagmil.cohort import Cohort, SlideRecord
from napari_hagmil.errors import CohortError, OutputError
from napari_hagmil.export.review import ReviewWish, write_review
from napari_hagmil.export.signature import Signature
from napari_hagmil.ledger import write_manifest
from napari_hagmil.review import Annotation, Conclusion, ReviewRegion, open_sitting
from napari_hagmil.session.cohort.decisions import write_decisions
from napari_hagmil.session.cohort.folder import open_cohort

FINGERPRINT = "f" * 32
REGION = ReviewRegion("r", ((0.0, 0.0), (0.0, 10.0), (10.0, 10.0), (10.0, 0.0)), score=90.0)


@pytest.fixture(autouse=True)
def own_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def settled(run, name, called="tumor", chances=(0.2, 0.8)):
    """What a done slide leaves in a run's folder."""
    place = run.place(name)
    place.mkdir(parents=True)
    document = {
        "state": "done",
        "slide": {"mpp": 0.25, "width": 9, "height": 9, "fingerprint": FINGERPRINT},
        "model": {"classes": ["normal", "tumor"]},
        "cost": {
            "patches_encoded": 1,
            "patches_exhaustive": 2,
            "finest_encoded": 3,
            "finest_tissue": 12,
        },
        "stages": [],
        "prediction": {"class": called, "probabilities": list(chances)},
    }
    (place / "result.json").write_text(json.dumps(document))
    write_manifest(place)
    run.note(SlideOutcome(name, "done", seconds=2.0))


@pytest.fixture
def run(tmp_path):
    """A run of three slides: one done, one unreadable, one that nobody has begun."""
    paths = [tmp_path / "slides" / f"{name}.svs" for name in ("a", "b", "c")]
    paths[0].parent.mkdir()
    for path in paths:
        path.touch()
    records = tuple(SlideRecord(path, "", "P1") for path in paths)
    made = prepare_run(tmp_path / "run", Cohort(records, ()), BatchSettings("demo", "0" * 64))
    settled(made, "a")
    made.note(SlideOutcome("b", "unreadable", "it is no slide"))
    return made


def read(folder):
    return {one.name: one for piece in folder.read() for one in piece}


def reviewed(path, reader="", **fields):
    sitting = open_sitting(path, FINGERPRINT, reader=reader)
    sitting.change("test", **fields)
    assert sitting.close()


def test_a_run_is_read_with_what_was_found_and_what_failed(run):
    folder = open_cohort(run.root)
    assert [(one.name, one.state) for one in folder.entries()] == [
        (name, "waiting") for name in "abc"
    ]
    found = read(folder)
    assert [found[name].state for name in "abc"] == ["done", "unreadable", "waiting"]
    assert (found["a"].called, found["a"].probability, found["a"].patient) == ("tumor", 0.8, "P1")
    assert found["a"].unseen == 0.75
    assert found["a"].has_result
    assert found["b"].reason == "it is no slide"
    assert not found["b"].has_result


def test_each_slide_says_how_its_patient_is_called(run):
    table = run.root / "patients.csv"
    table.write_text("patient,slides,state,called,p_normal,p_tumor\nP1,3,done,tumor,0.2,0.8\n")
    one = read(open_cohort(run.root))["c"]
    assert one.words("patient", "") == "P1: tumor 80 %"
    table.write_text("patient,slides,state,called,p_normal,p_tumor\nP1,3,unreadable,,,\n")
    assert read(open_cohort(run.root))["c"].words("patient", "") == "P1: not called"
    for said in (b"patient,called\nP1,tumor\n", b"\xff", b"called,p_a\nx,y\n"):
        table.write_bytes(said)
        assert read(open_cohort(run.root))["c"].words("patient", "") == "P1"


def test_a_summary_is_used_until_a_slide_is_done_again(run):
    write_summary(run, summary_rows(run))
    before = list(latest_rows(run))
    assert {row["name"]: row.get("class") for row in before}["a"] == "tumor"
    (run.place("a") / "result.json").write_text("{}")  # as old as the summary: not looked at
    assert list(latest_rows(run)) == before
    shutil.rmtree(run.place("a"))
    assert {row["name"]: row["state"] for row in latest_rows(run)}["a"] == "waiting"
    settled(run, "a", "normal", (0.9, 0.1))
    assert {row["name"]: row.get("class") for row in latest_rows(run)}["a"] == "normal"


def test_a_damaged_summary_or_result_hides_nothing_else(run):
    (run.root / "summary.parquet").write_bytes(b"no table")
    (run.place("a") / "result.json").write_text('{"state": "done", "cost": 3}')
    found = read(open_cohort(run.root))
    assert found["a"].called == ""
    assert found["b"].state == "unreadable"


def test_a_slide_at_work_is_running(run):
    with run.claims.take("c"):
        assert read(open_cohort(run.root))["c"].state == "running"


def test_a_folder_of_slides_is_a_cohort_without_results(tmp_path):
    for name in ("x.svs", "y.tiff"):
        (tmp_path / name).touch()
    found = read(open_cohort(tmp_path))
    assert [(one.state, one.has_result, one.can_be_read) for one in found.values()] == [
        ("", False, True)
    ] * 2


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda path: None, OutputError),
        (lambda path: path.mkdir(), CohortError),
        (lambda path: (path.mkdir(), (path / "run.json").write_text("{}")), OutputError),
    ],
    ids=["not there", "empty", "no run"],
)
def test_what_is_no_cohort_is_refused(tmp_path, make, error):
    make(tmp_path / "folder")
    with pytest.raises(error):
        open_cohort(tmp_path / "folder")


def test_moved_slides_are_found_by_name_unless_several_bear_it(run, tmp_path):
    folder = open_cohort(run.root)
    new = tmp_path / "archive"
    (new / "one").mkdir(parents=True)
    (new / "two").mkdir()
    (tmp_path / "slides" / "a.svs").rename(new / "one" / "a.svs")
    (tmp_path / "slides" / "b.svs").rename(new / "one" / "b.svs")
    (new / "two" / "b.svs").touch()
    assert [one.is_moved for one in read(folder).values()] == [True, True, False]
    assert folder.look_in(new) == 1
    found = read(folder)
    assert found["a"].path == new / "one" / "a.svs"
    assert [one.is_moved for one in found.values()] == [False, True, False]


def test_reviews_are_read_from_their_journals_and_again_when_they_grow(run, tmp_path):
    folder, path = open_cohort(run.root), tmp_path / "slides" / "a.svs"
    reviewed(path, regions=(REGION,))
    assert read(folder)["a"].words("review", "") == "1 of 1 undecided"
    reviewed(path, regions=(replace(REGION, decision="accepted"),))
    reviewed(path, "Ada", conclusion=Conclusion("normal"))
    found = read(folder)["a"]
    assert found.words("review", "") == "finished"
    assert found.words("review", "Ada") == "finished: normal"


def rows_of(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_all_decisions_of_all_readers_stand_in_one_table_with_a_single_exports_columns(
    run, tmp_path
):
    path = tmp_path / "slides" / "a.svs"
    regions = (replace(REGION, decision="rejected"),)
    reviewed(path, regions=regions)
    ruler = Annotation("l", "ruler", ((0.0, 0.0), (0.0, 8.0)), comment="=1+1")
    reviewed(path, "Ada", annotations=(ruler,), conclusion=Conclusion("normal"))
    entries = list(read(open_cohort(run.root)).values())
    count = write_decisions(tmp_path / "all.csv", entries, "Account")
    assert (count.slides, count.unreviewed, count.reviews) == (3, 2, 2)
    rows = rows_of(tmp_path / "all.csv")
    told = [(row["slide"], row["reviewer"], row["kind"], row["decision"]) for row in rows]
    assert told == [
        ("a.svs", "Account", "region", "rejected"),
        ("a.svs", "Ada", "ruler", ""),
        ("a.svs", "Ada", "conclusion", ""),
        ("b.svs", "", "unreviewed", ""),
        ("c.svs", "", "unreviewed", ""),
    ]
    assert rows[0]["area_um2"] == str(100 * 0.25**2)
    assert rows[1]["comment"] == "'=1+1"
    state = open_sitting(path, FINGERPRINT)
    state.close()
    wish = ReviewWish(accepted_only=False, formats=("csv",))
    signature = Signature(slide="a.svs", reviewer="Account")
    (single,) = write_review(tmp_path / "one", state.state, wish, mpp=0.25, signature=signature)
    assert [row | {"date": ""} for row in rows_of(single)] == [rows[0] | {"date": ""}]


def test_slides_with_one_files_name_are_told_apart_by_their_own(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / "s" / folder).mkdir(parents=True)
        (tmp_path / "s" / folder / "same.svs").touch()
    entries = open_cohort(tmp_path / "s").entries()
    write_decisions(tmp_path / "all.csv", entries, "")
    assert [row["slide"] for row in rows_of(tmp_path / "all.csv")] == ["x-same", "y-same"]
