"""What docks tell whichever tab is in front."""

import json

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from test_cascade_dock import dock, open_slide
from test_keyboard import drop

from napari_hagmil.review import open_sitting
from napari_hagmil.slide import open_slide as open_slide_file
from napari_hagmil.widgets.review.dock import ReviewDock

pytestmark = pytest.mark.window
__all__ = ["dock"]


@pytest.fixture
def review(dock, viewer, phantom, wait_until):
    """The review dock beside the other, over a slide that is made ready."""
    made = ReviewDock(viewer)
    viewer.window.add_dock_widget(made, name="HAG-MIL review", area="right")
    open_slide(dock, phantom, wait_until)
    wait_until(lambda: not dock._work.busy)
    yield made
    made.close()


def press(button):
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def at_once(*rows):
    """Show rows of work as soon as it begins, however short it is."""
    for row in rows:
        row._soon.setInterval(0)


def test_a_run_is_told_and_ended_on_every_tab_of_both_docks(dock, review, wait_until):
    mine, theirs = dock.strip.rows[0], review.strip.rows[0]
    at_once(mine, theirs)
    assert mine.isHidden()
    assert theirs.isHidden()
    seen = []

    def look(progress):
        if not theirs.isHidden() and theirs.task.total and not seen:
            seen.append((mine.bar.text(), theirs.bar.text(), mine.isHidden()))
            dock.tabs.setCurrentWidget(dock.cascade)  # which has a bar of its own
            seen.append(mine.isHidden())
            press(theirs.cancel)

    dock.cascade._relay.sent.connect(look)
    dock.cascade.run()
    assert theirs.task.what == "Running on phantom.tiff"
    wait_until(lambda: not dock._work.busy)
    (mine_said, theirs_said, mine_hidden), hidden_on_cascade = seen
    assert theirs_said.startswith("Running on phantom.tiff · 10×: ")
    assert mine_said == theirs_said
    assert not mine_hidden
    assert hidden_on_cascade
    assert dock.session.state == "cancelled"
    assert theirs.isHidden()


def test_an_import_is_told_and_can_be_cancelled(dock, review, viewer, tmp_path, wait_until):
    ring = [[10, 10], [20, 10], [20, 20], [10, 10]]
    area = {"type": "Polygon", "coordinates": [ring]}
    path = tmp_path / "many.geojson"
    path.write_text(json.dumps({"type": "GeometryCollection", "geometries": [area] * 20_000}))
    row = review.strip.rows[1]
    at_once(row)
    drop(review, path)
    wait_until(lambda: not row.isHidden())
    press(row.cancel)
    wait_until(lambda: not dock.desk.importer.busy)
    assert review.message.text() == "many.geojson was not imported: it was cancelled."
    assert review.review.state.annotations == ()
    assert row.isHidden()


def test_a_slide_that_another_window_reviews_says_so_when_it_opens(dock, phantom, wait_until):
    with open_slide_file(phantom) as slide:
        other = open_sitting(phantom, slide.fingerprint)
    other.begin()
    open_slide(dock, phantom, wait_until)
    assert dock.tabs.currentWidget() is dock.slide
    assert "another window" in dock.banner.words.text()
    assert dock.isAncestorOf(dock.banner)
    assert dock.banner.isVisible()
    press(dock.banner.button)
    assert not dock.banner.isVisible()
    assert dock.session.sitting.held_by is None
    other.close()
