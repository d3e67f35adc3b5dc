"""A sitting over a cohort, through real keys and clicks in a real window."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from napari_hagmil.batch.analysis import analyze_into
from napari_hagmil.batch.folder import BatchSettings, SlideOutcome, prepare_run
from napari_hagmil.batch.one import run_one
from napari_hagmil.cohort import Cohort, SlideRecord
from napari_hagmil.models import load_bundle
from napari_hagmil.phantom import PhantomConfig, write_phantom
from napari_hagmil.review import SignOff
from napari_hagmil.session.cohort.entry import CohortEntry
from napari_hagmil.widgets.cohort import thumbnails
from napari_hagmil.widgets.dock import Dock
from napari_hagmil.widgets.preferences import preference, set_preference
from napari_hagmil.widgets.review.dock import ReviewDock

pytestmark = pytest.mark.window


@pytest.fixture(scope="module")
def settled_run(tmp_path_factory, scratch_bundle):
    """A run of three slides, two of them done: analyzed once, their files are one."""
    root = tmp_path_factory.mktemp("cohort")
    paths = [root / "slides" / f"{name}.tiff" for name in ("one", "two", "broken")]
    paths[0].parent.mkdir()
    write_phantom(paths[0], PhantomConfig(seed=5, size=1024, lesions=1))
    os.link(paths[0], paths[1])
    paths[2].write_bytes(b"no slide")
    records = tuple(SlideRecord(path, "", "P1") for path in paths)
    settings = BatchSettings(str(scratch_bundle), load_bundle(scratch_bundle).sha256)
    run = prepare_run(root / "run", Cohort(records, ()), settings)
    assert run_one(run, "one", analyze_into).state == "done"
    shutil.copytree(run.place("one"), run.place("two"))
    run.note(SlideOutcome("two", "done"))
    assert run_one(run, "broken", analyze_into).state == "unreadable"
    return root


@pytest.fixture
def cohort(viewer, settled_run, wait_until):
    """The dock over the run; reviews of earlier tests are gone."""
    for reviews in (settled_run / "slides").glob("*.hagmil-review"):
        shutil.rmtree(reviews)
    before = preference("review", "reader", "")
    _, dock = viewer.window.add_plugin_dock_widget("napari-hagmil", "HAG-MIL cohort")
    dock.open(settled_run / "run")
    wait_until(lambda: dock.table.entries and not dock.reader.busy)
    yield dock
    cascade = dock.opening._dock
    wait_until(lambda: cascade is None or not (cascade._work.busy or cascade.cascade._choices.busy))
    for one in list(viewer.window.dock_widgets.values()):
        if isinstance(one, Dock):
            one.close()
    set_preference("review", "reader", before)


@pytest.fixture
def arrive(cohort, wait_until):
    """Wait until a slide is open with its result and its regions."""

    def wait(name):
        session = cohort.session
        wait_until(
            lambda: (
                cohort.opening.at == name
                and not cohort.opening._dock._work.busy
                and session.state == "done"
                and bool(session.sitting.state.regions)
            )
        )
        return session

    return wait


@pytest.fixture
def press(viewer, qapp):
    """Press a key over the canvas."""
    canvas = viewer.window._qt_window._qt_viewer.canvas.native

    def press_key(key, modifier=Qt.KeyboardModifier.NoModifier):
        canvas.setFocus()
        QTest.keyClick(canvas, key, modifier)
        qapp.processEvents()

    return press_key


def cells(dock, name, *headings):
    table = dock.table
    titles = [table.headerData(i, Qt.Orientation.Horizontal) for i in range(table.columnCount())]
    row = table.row_of(name)
    return [table.data(table.index(row, titles.index(heading))) for heading in headings]


def enter(dock, name):
    """Choose a row with the keyboard."""
    dock.view.show_current(name)
    dock.view.setFocus()
    QTest.keyClick(dock.view, Qt.Key.Key_Return)


def click(button):
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def conclude(dock):
    for one in dock.session.sitting.state.regions:
        dock.desk.canvas.review.choose(one.id)
        dock.desk.canvas.review.decide("accepted")


def shown(dock):
    return [one.name for one in dock.shown.entries()]


def test_slides_are_read_one_after_the_other_and_nothing_is_run(
    cohort, viewer, arrive, press, answers, wait_until, tmp_path
):
    assert cells(cohort, "broken", "State", "Review", "Patient") == ["✗ unreadable", "", "P1"]
    enter(cohort, "one")
    session = arrive("one")
    assert session.shown.restored
    assert session.prepared is None
    assert "Attention 40×" in [layer.name for layer in viewer.layers]
    n = len(session.sitting.state.regions)
    assert cells(cohort, "one", "Review", "Read by") == [f"{n} of {n} undecided", "all"]
    wait_until(lambda: session.ahead._slide is not None)
    ahead = session.ahead._slide

    press(Qt.Key.Key_PageDown)
    arrive("two")
    assert session.slide is ahead
    conclude(cohort)
    assert cells(cohort, "two", "Review") == ["finished"]
    # A slide that is signed off makes room for the next.
    cohort.desk.review.sign_off(SignOff("Dr A", "2026-05-04T12:00:00+00:00"))
    arrive("one")
    # What was said of the slide before is not said of this one.
    (review,) = viewer.window._qt_window.findChildren(ReviewDock)
    assert review.message.text() == ""
    conclude(cohort)
    assert review.message.text() == "Every region of the queue has a decision."
    press(Qt.Key.Key_PageDown)
    assert session.slide.name == "one.tiff"
    assert "Every slide" in cohort.message.text()
    press(Qt.Key.Key_PageUp)
    arrive("two")

    answers(tmp_path / "decisions")
    click(cohort.bar.export)
    wait_until(lambda: "Written to decisions.csv" in cohort.message.text())
    text = (tmp_path / "decisions.csv").read_text("utf-8-sig")
    assert text.count("accepted") == 2 * n
    assert "broken.tiff" in text


def test_each_reader_has_reviews_of_their_own_and_they_are_compared(
    cohort, arrive, answers, wait_until, tmp_path
):
    assert not cohort.bar.compare.isVisible()
    enter(cohort, "one")
    session = arrive("one")
    conclude(cohort)
    field = cohort.bar.reader.lineEdit()
    field.setFocus()
    QTest.keyClicks(field, "Ada")
    QTest.keyClick(field, Qt.Key.Key_Return)
    wait_until(lambda: session.sitting.journal.path.parent.name == "reader-Ada")
    arrive("one")
    assert all(one.decision == "unseen" for one in session.sitting.state.regions)
    n = len(session.sitting.state.regions)
    assert cells(cohort, "one", "Review", "Read by") == [f"{n} of {n} undecided", "all, Ada"]
    assert preference("review", "reader", "") == "Ada"
    assert "Reviews of Ada: 1 undecided" in cohort.status.text()
    conclude(cohort)
    answers(tmp_path / "agreed")
    click(cohort.bar.compare)
    wait_until(lambda: "everybody and Ada, 1 slide:" in cohort.message.text())
    assert f"{n} of {n} decisions are the same" in cohort.message.text()
    assert (tmp_path / "agreed" / "consensus" / "one.geojson").is_file()


def test_search_filters_and_sorting_show_what_they_say(cohort, qapp):
    assert shown(cohort) == ["one", "two", "broken"]
    cohort.bar.search.setText("BROK")
    assert shown(cohort) == ["broken"]
    cohort.bar.search.setText("nowhere")
    assert "No slide passes" in cohort.empty.text()
    cohort.bar.search.clear()
    box = cohort.bar.state
    box.setCurrentIndex(box.findData("done"))
    box.activated.emit(box.currentIndex())
    assert shown(cohort) == ["one", "two"]
    header = cohort.view.horizontalHeader()
    place = header.sectionViewportPosition(1) + 20
    for _ in range(2):
        QTest.mouseClick(
            header.viewport(),
            Qt.MouseButton.LeftButton,
            pos=QPoint(place, header.height() // 2),
        )
    assert shown(cohort) == ["two", "one"]


def test_what_is_wrong_is_said_in_one_sentence_and_the_window_stays_usable(
    cohort, settled_run, arrive, monkeypatch, wait_until, tmp_path
):
    enter(cohort, "broken")
    wait_until(lambda: "broken.tiff" in cohort.error.text())
    nodes = settled_run / "run" / "slides" / "two" / "nodes.parquet"
    whole = nodes.read_bytes()
    nodes.write_bytes(whole[:100])
    enter(cohort, "two")
    wait_until(lambda: "was changed since it was written (nodes.parquet" in cohort.error.text())
    nodes.write_bytes(whole)
    away = tmp_path / "archive"
    away.mkdir()
    (settled_run / "slides" / "one.tiff").rename(away / "one.tiff")
    try:
        enter(cohort, "one")
        assert "no longer in" in cohort.error.text()
        click(cohort.bar.refresh)
        wait_until(lambda: cohort.bar.find.isVisible())
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(away))
        click(cohort.bar.find)
        wait_until(lambda: not cohort.bar.find.isVisible())
        enter(cohort, "one")
        arrive("one")
        assert cohort.error.text() == ""
    finally:
        (away / "one.tiff").rename(settled_run / "slides" / "one.tiff")
    cohort.open(tmp_path / "nothing")
    wait_until(lambda: "The folder nothing is not there" in cohort.error.text())
    assert shown(cohort) == ["one", "two", "broken"]


def test_a_picture_that_was_read_before_the_result_gives_way_to_the_one_with_attention(
    qapp, monkeypatch, wait_until, tmp_path
):
    def picture(entry, side):
        return np.full((4, 4, 3), 250 if entry.result else 50, np.uint8)

    monkeypatch.setattr(thumbnails, "slide_picture", picture)
    pictures, plain = thumbnails.SlideThumbnails(), CohortEntry("a", tmp_path / "a.tiff")
    for entry, shade in ((plain, 50), (replace(plain, result=tmp_path), 250)):
        pictures.of(entry)
        wait_until(lambda: not pictures._work.busy)
        image = pictures.of(entry).pixmap(4, 4).toImage()
        assert image.pixelColor(2, 2).red() == shade
    pictures.close()


def test_before_a_folder_is_open_the_dock_says_what_to_do(viewer):
    _, dock = viewer.window.add_plugin_dock_widget("napari-hagmil", "HAG-MIL cohort")
    assert "Open the folder of a batch" in dock.empty.text()
    assert not dock.bar.next.isEnabled()
    dock.open_next()
    dock.close()
