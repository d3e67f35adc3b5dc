"""From one slide to another, and to none: whichever way the user asks for it."""

import shutil

import numpy as np
import pytest
from qtpy.QtTest import QTest
from test_cascade_dock import click, dock, names, open_slide, run
from test_keyboard import drop

from napari_hagmil.plugin.reader import read_layers
from napari_hagmil.widgets.cascade.slide import switch
from napari_hagmil.widgets.review.dock import ReviewDock

pytestmark = pytest.mark.window
__all__ = ["dock"]


@pytest.fixture
def other(phantom):
    """A second slide."""
    return shutil.copy(phantom, phantom.with_name("other.tiff"))


@pytest.fixture
def opened(dock, phantom, wait_until):
    """The dock over the first slide, made ready."""
    open_slide(dock, phantom, wait_until)
    wait_until(lambda: not dock._work.busy)
    return dock


def add_as_napari_does(viewer, path):
    """As File ▸ Open and a drop on the canvas: the plugin's reader gives the layers."""
    ((data, meta, _),) = read_layers(str(path))
    viewer.add_image(data, **meta)


def is_open(dock, name):
    return not dock._work.busy and dock.session.slide and dock.session.slide.name == name


def start_a_run(dock):
    """Start a run, and end it only by force: it waits at its first patch."""
    click(dock.run_panel.run_button)
    assert dock.session.state == "running"


def test_a_second_slide_opened_by_napari_becomes_the_open_slide(opened, viewer, other, wait_until):
    run(opened, wait_until)
    viewer.add_points(np.zeros((1, 2)), name="mine", units=("um", "um"))
    add_as_napari_does(viewer, other)
    wait_until(lambda: is_open(opened, "other.tiff"))
    assert opened.slide_panel.name.text() == "other.tiff"
    assert opened.session.result is None
    assert opened.findings.prediction.text().startswith("Run the cascade")
    assert "phantom.tiff" not in names(viewer)
    assert names(viewer).count("other.tiff") == 1
    assert not [name for name in names(viewer) if "Attention" in name]
    assert "mine" in names(viewer)


def test_the_same_slide_opened_again_is_no_second_layer(opened, viewer, phantom, wait_until):
    sitting = opened.session.sitting
    add_as_napari_does(viewer, phantom)
    wait_until(lambda: names(viewer) == ["phantom.tiff"])
    assert opened.session.sitting is sitting


@pytest.mark.parametrize("way", ["dropped on the dock", "opened by napari"])
def test_in_the_middle_of_a_run_another_slide_is_asked_for(
    opened, viewer, other, wait_until, answers, way
):
    def bring():
        if way == "opened by napari":
            add_as_napari_does(viewer, other)
        else:
            drop(opened, other)

    asked = answers("Stay on phantom.tiff")
    start_a_run(opened)
    bring()
    wait_until(lambda: asked and "other.tiff" not in names(viewer))
    assert asked[0].startswith("A run is under way on phantom.tiff.")
    wait_until(lambda: not opened._work.busy)
    assert opened.session.state == "done"
    opened.run_panel.budgets[0].setValue(40)
    asked = answers("Open other.tiff")
    start_a_run(opened)
    bring()
    wait_until(lambda: is_open(opened, "other.tiff"))
    assert len(asked) == 1
    assert names(viewer) == ["other.tiff"]
    assert opened.session.result is None


def test_a_run_that_ends_while_the_question_is_shown_opens_nothing_by_itself(
    opened, viewer, other, wait_until, monkeypatch
):
    def slowly(parent, question):
        wait_until(lambda: not opened._work.busy)
        viewer.add_points(np.zeros((1, 2)), name="mine", units=("um", "um"))
        QTest.qWait(100)
        return False

    monkeypatch.setattr(switch, "ask", slowly)
    start_a_run(opened)
    add_as_napari_does(viewer, other)
    wait_until(lambda: "mine" in names(viewer) and "other.tiff" not in names(viewer))
    QTest.qWait(100)
    assert not opened._work.busy
    assert opened.session.slide.name == "phantom.tiff"
    assert opened.session.state == "done"


def test_a_drawing_that_is_not_finished_is_asked_for(opened, viewer, other, wait_until, answers):
    review = ReviewDock(viewer)
    viewer.window.add_dock_widget(review, name="HAG-MIL review", area="right", tabify=True)
    review.tools.draw("polygon")
    asked = answers("Stay on phantom.tiff", "Open other.tiff")
    drop(opened, other)
    assert asked[0].startswith("A drawing is not finished on phantom.tiff.")
    assert opened.session.slide.name == "phantom.tiff"
    drop(opened, other)
    wait_until(lambda: is_open(opened, "other.tiff"))
    assert not review.tools.drawing.active
    review.close()


def test_a_slide_can_be_closed_and_opened_again(opened, viewer, phantom, wait_until):
    run(opened, wait_until)
    fingerprint = opened.session.slide.fingerprint
    click(opened.slide_panel.close_button)
    wait_until(lambda: opened.session.slide is None)
    assert names(viewer) == []
    assert opened.slide_panel.name.text() == "No slide is open."
    assert not opened.slide_panel.close_button.isVisibleTo(opened)
    assert not opened.run_panel.run_button.isEnabled()
    assert opened.findings.prediction.text() == "Open a slide first, in the Slide tab."
    assert opened.steer.summary.text() == "Open a slide to steer."
    assert opened.session.sitting is None
    open_slide(opened, phantom, wait_until)
    wait_until(lambda: not opened._work.busy)
    assert opened.session.slide.fingerprint == fingerprint
    run(opened, wait_until)


def test_deleting_the_slides_layer_closes_the_slide(opened, viewer, wait_until):
    run(opened, wait_until)
    viewer.layers.remove(viewer.layers["phantom.tiff"])
    wait_until(lambda: opened.session.slide is None)
    assert names(viewer) == []
    assert opened.slide_panel.name.text() == "No slide is open."


def test_deleting_it_during_a_run_ends_the_run(opened, viewer, wait_until):
    opened.run_panel.budgets[0].setValue(40)
    start_a_run(opened)
    viewer.layers.remove(viewer.layers["phantom.tiff"])
    wait_until(lambda: opened.session.slide is None)
    assert (names(viewer), opened.session.state) == ([], "empty")
