"""Exporting through the real dialogs: negative slides, names with dots, files that exist."""

import csv
import json
import shutil

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from test_review_dock import FOUND, click

from napari_hagmil.slide import open_slide
from napari_hagmil.widgets.review.dock import ReviewDock

pytestmark = pytest.mark.window


@pytest.fixture
def dock(viewer, phantom, wait_until):
    """The review dock at its Export tab, over a slide with a dot in its name."""
    made = ReviewDock(viewer)
    viewer.window.add_dock_widget(made, name="HAG-MIL review", area="right")
    path = phantom.with_name("S12.3.tiff")
    shutil.copy(phantom, path)
    made.review.session.adopt(open_slide(path))
    made.review.change("find regions", regions=FOUND)
    made.export.open_folder.value = False
    made.tabs.setCurrentWidget(made.export)
    yield made
    wait_until(lambda: not made.queue.thumbnails._work.busy)
    made.close()
    made.review.session.close()


def reject_all(dock):
    for one in FOUND:
        dock.review.choose(one.id)
        dock.review.decide("rejected")


def conclude(dock):
    dock.tabs.setCurrentWidget(dock.conclusion)
    QTest.keyClicks(dock.conclusion.path_class.lineEdit(), "normal")
    dock.tabs.setCurrentWidget(dock.export)


def test_a_negative_slide_is_exported_with_its_conclusion(dock, answers, phantom):
    reject_all(dock)
    assert not dock.export.button.isEnabled()
    assert "write a conclusion" in dock.export.summary.text()
    conclude(dock)
    assert dock.export.summary.text() == "Will be written: the conclusion."
    dock.export.formats["csv"].value = True
    dock.export.reviewer.selectAll()
    QTest.keyClicks(dock.export.reviewer, "Dr. Ito")
    target = phantom.parent / "out" / "S12.3-review"
    target.parent.mkdir()
    answers(target)
    click(dock.export.button)
    table = target.parent / "S12.3-review.csv"
    rows = list(csv.DictReader(table.read_text("utf-8-sig").splitlines()))
    assert [(one["kind"], one["class"], one["slide"]) for one in rows] == [
        ("conclusion", "normal", "S12.3.tiff")
    ]
    said = json.loads((target.parent / "S12.3-review.geojson").read_text())
    assert said["features"] == []
    assert said["review"]["conclusion"] == {"class": "normal"}
    assert said["review"]["reviewer"] == "Dr. Ito"


def test_a_format_that_cannot_hold_the_conclusion_says_so(dock):
    reject_all(dock)
    conclude(dock)
    dock.export.formats["geojson"].value = False
    dock.export.formats["asap"].value = True
    assert not dock.export.button.isEnabled()
    assert "cannot hold a conclusion" in dock.export.summary.text()


def test_files_that_exist_are_replaced_only_when_the_user_says_so(dock, answers, phantom):
    dock.review.choose("a")
    dock.review.decide("accepted")
    old = phantom.parent / "S12.3-review.geojson"
    old.write_text("mine")
    other = phantom.parent / "S12.3-second"
    asked = answers(phantom.parent / "S12.3-review", "Choose another name…", other)
    click(dock.export.button)
    assert asked[0] == str(phantom.parent / "S12.3-review")
    assert asked[1].startswith("S12.3-review.geojson is already there.")
    assert old.read_text() == "mine"
    assert other.with_name("S12.3-second.geojson").exists()
    answers(phantom.parent / "S12.3-review", "Replace")
    click(dock.export.button)
    assert len(json.loads(old.read_text())["features"]) == 1


def test_enter_on_the_question_replaces_nothing(dock, answers, phantom, qapp):
    dock.review.choose("a")
    dock.review.decide("accepted")
    old = phantom.parent / "S12.3-review.geojson"
    old.write_text("mine")
    answers(phantom.parent / "S12.3-review", Qt.Key.Key_Return)
    click(dock.export.button)
    assert old.read_text() == "mine"


def test_finish_asks_what_is_missing_then_writes_all_files_and_replaces_none_unasked(
    dock, answers, phantom
):
    panel = dock.conclusion.sign_off
    dock.tabs.setCurrentWidget(dock.conclusion)
    target = phantom.parent / "done" / "S12.3-review"
    target.parent.mkdir()
    taken = target.parent / "S12.3-review.pdf"
    taken.write_text("another")
    finished = []
    dock.review.finished.connect(lambda: finished.append(1))
    asked = answers("Go back")
    click(panel.button)
    assert "There is no conclusion on the slide and 4 regions have no decision." in asked[0]
    assert list(target.parent.iterdir()) == [taken]
    answers("Finish all the same", target, "Choose another name…", target, "Replace")
    click(panel.button)
    assert sorted(one.suffix for one in target.parent.iterdir()) == [
        ".csv", ".geojson", ".html", ".pdf",
    ]  # fmt: skip
    assert taken.read_bytes().startswith(b"%PDF")
    assert taken.read_bytes().count(b"/Type /Page\n") >= 1
    assert finished == [1]
    assert panel.state.text().startswith("Signed off by ")
    assert dock.review.sitting.undo_name == "finish"
    dock.review.undo()
    assert panel.state.text() == ""
