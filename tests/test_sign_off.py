"""Finishing a slide: every file or none, with or without regions and analysis."""

import csv
import json

import pytest

from napari_hagmil.errors import OutputError
from napari_hagmil.export.signature import Signature
from napari_hagmil.files import move_together
from napari_hagmil.polygons import outline
from napari_hagmil.review import Conclusion, ReviewRegion, SignOff, open_sitting
from napari_hagmil.session import Review, Session
from napari_hagmil.session.sign_off import sign_off_files, still_open, write_sign_off
from napari_hagmil.slide import open_slide

BOX = outline([(200, 200), (200, 600), (600, 600), (600, 200)])


@pytest.fixture
def session(phantom, tmp_path):
    path = tmp_path / "phantom.tiff"
    path.write_bytes(phantom.read_bytes())
    made = Session()
    made.adopt(open_slide(path))
    yield made
    made.close()


def sign(session):
    return Signature(session.slide.name, session.slide.fingerprint, "Dr A")


def print_pdf(page, path):
    assert "Dr A" in page
    path.write_bytes(b"%PDF")


def test_a_negative_slide_without_an_analysis_is_finished(session, tmp_path):
    session.sitting.change("conclude", conclusion=Conclusion("normal", "nothing seen"))
    written = write_sign_off(session, tmp_path / "out" / "case.1", sign(session), print_pdf)
    assert [one.name for one in written] == [
        "case.1.html", "case.1.pdf", "case.1.csv", "case.1.geojson",
    ]  # fmt: skip
    assert sorted((tmp_path / "out").iterdir()) == sorted(written)
    page = written[0].read_text(encoding="utf-8")
    assert "No analysis was run" in page
    assert "nothing seen" in page
    rows = list(csv.DictReader(written[2].read_text(encoding="utf-8-sig").splitlines()))
    assert [(one["reviewer"], one["kind"], one["class"]) for one in rows] == [
        ("Dr A", "conclusion", "normal")
    ]
    said = json.loads(written[3].read_text(encoding="utf-8"))
    assert said["features"] == []
    assert said["review"]["conclusion"] == {"class": "normal", "text": "nothing seen"}


def test_all_files_are_written_or_none_and_what_was_there_stays(session, tmp_path):
    session.sitting.change("find regions", regions=(ReviewRegion("a", BOX, score=90.0),))
    path = tmp_path / "case"
    for one in sign_off_files(path):
        one.write_text("before")

    def full_disk(page, to):
        raise OutputError("case.pdf", "cannot be written", remedy="make room")

    with pytest.raises(OutputError):
        write_sign_off(session, path, sign(session), full_disk)
    assert {one.read_text() for one in sign_off_files(path)} == {"before"}
    written = write_sign_off(session, path, sign(session), print_pdf)
    assert "○ no decision" in written[0].read_text(encoding="utf-8")
    assert sorted(one.name for one in tmp_path.glob("*case*")) == [
        "case.csv", "case.geojson", "case.html", "case.pdf",
    ]  # fmt: skip


def test_when_one_file_cannot_be_moved_the_others_are_as_before(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("before")
    drafts = [tmp_path / "draft1", tmp_path / "draft2"]
    for one in drafts:
        one.write_text("after")
    with pytest.raises(OSError, match=r"no|No|cannot"):
        move_together([(drafts[0], old), (drafts[1], new), (tmp_path / "gone", tmp_path / "x")])
    assert old.read_text() == "before"
    assert not new.exists()
    assert [one.name for one in tmp_path.iterdir()] == ["old"]
    old.write_text("draft")
    move_together([(old, new)])
    assert new.read_text() == "draft"


def test_what_may_have_been_forgotten_is_said(session):
    assert still_open(session.sitting.state) == "There is no conclusion on the slide."
    session.sitting.change("find regions", regions=(ReviewRegion("a", BOX),))
    assert still_open(session.sitting.state) == (
        "There is no conclusion on the slide and 1 region has no decision."
    )


def test_the_sign_off_is_in_the_journal_and_undone_and_the_next_slide_may_come(session):
    review, heard = Review(session), []
    review.finished.connect(lambda: heard.append("finished"))
    signed = SignOff("Dr A", "2026-05-04T12:00:00+00:00")
    review.sign_off(signed)
    assert heard == ["finished"]
    path, fingerprint = session.slide.path, session.slide.fingerprint
    session.sitting.close()
    again = open_sitting(path, fingerprint)
    assert again.state.signed == signed
    assert again.undo() == "finish"
    assert again.state.signed is None
    again.close()
