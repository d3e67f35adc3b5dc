"""Esc leaves any tool and drops what is not finished; a finished shape gives the hand back."""

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from test_cascade_dock import dock as cascade_dock
from test_cascade_dock import open_slide as open_in
from test_review_dock import SHIFT, dock, pointer, press

from napari_hagmil.plugin.review_layers import REGIONS
from napari_hagmil.review import open_sitting
from napari_hagmil.widgets.preferences import set_preference

pytestmark = pytest.mark.window
__all__ = ["cascade_dock", "dock", "pointer", "press"]

ESC = Qt.Key.Key_Escape


@pytest.fixture
def begin(pointer, viewer, qapp):
    """Press the button and move, without letting go: a shape that a drag makes is begun."""
    canvas = viewer.window._qt_window._qt_viewer.canvas.native

    def drag(*places):
        QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=pointer.at(*places[0]))
        for place in places[1:]:
            QTest.mouseMove(canvas, pointer.at(*place), delay=5)
            qapp.processEvents()

    yield drag
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=QPoint(5, 5))


def test_esc_drops_what_is_begun_with_every_tool_and_leaves_it(
    dock, viewer, press, pointer, begin, wait_until
):
    dock.review.choose("c", centre=True)
    before = dock.review.state
    corners = [(2100, 2100), (2100, 2700), (2700, 2700)]
    for key in (Qt.Key.Key_S, Qt.Key.Key_O):  # a cut, a polygon: clicks
        press(key, SHIFT)
        for place in corners:
            pointer.click(*place)
        dock.tools.drawing._read_sketch()
        press(ESC)
        pointer.rest()
        assert not dock.tools.drawing.active
        assert dock.review.state == before
    for key in (Qt.Key.Key_R, Qt.Key.Key_F, Qt.Key.Key_B, Qt.Key.Key_E):  # drags
        press(key, SHIFT)
        assert dock.tools.drawing.active
        begin(*corners[::2])
        dock.tools.drawing._read_sketch()
        assert dock.review.sitting.sketch is not None
        press(ESC)
        pointer.rest()
        assert not dock.tools.drawing.active
        assert dock.review.state == before
    assert "Drawing" not in [layer.name for layer in viewer.layers]
    assert not any(button.isChecked() for button in dock.draw.tools.values())
    # What was given up does not come back with the slide on the next day.
    slide = dock.review.session.slide
    dock.review.session.close()
    again = open_sitting(slide.path, slide.fingerprint)
    assert again.state == before
    again.close()


def test_a_finished_shape_gives_the_hand_back_unless_the_tool_is_to_be_kept(
    dock, viewer, press, pointer
):
    dock.review.choose("c", centre=True)
    press(Qt.Key.Key_E, SHIFT)
    pointer.drag((2000, 2000), (2000, 2300), (2000, 2400))
    assert not dock.tools.drawing.active
    set_preference("review", "keep_tool", True)
    try:
        press(Qt.Key.Key_E, SHIFT)
        for row in (2200, 2400):
            pointer.drag((row, 2000), (row, 2300), (row, 2400))
        assert dock.tools.drawing.kind == "ruler"
    finally:
        set_preference("review", "keep_tool", False)
    press(ESC)
    assert not dock.tools.drawing.active
    assert len(dock.review.state.annotations) == 3


def test_another_class_recolours_the_outline_in_the_making_and_keeps_its_corners(
    dock, press, pointer
):
    dock.review.choose("c", centre=True)
    press(Qt.Key.Key_O, SHIFT)
    for place in [(2100, 2600), (2100, 2800)]:
        pointer.click(*place)
    dock.review.set_drawing_class("Stroma")
    pointer.click(2300, 2800)
    press(Qt.Key.Key_Return)
    pointer.rest()
    (drawn,) = dock.review.state.annotations
    assert (drawn.path_class, len(drawn.points)) == ("Stroma", 3)


def test_esc_leaves_naparis_own_tool_on_our_layers_and_changes_nothing(
    dock, viewer, press, pointer
):
    dock.review.choose("c", centre=True)
    before = dock.review.state
    layer = viewer.layers[REGIONS]
    viewer.layers.selection.active = layer
    layer.mode = "add_polygon"
    for place in [(2100, 2600), (2100, 2800), (2300, 2800)]:
        pointer.click(*place)
    press(ESC)
    pointer.rest()
    assert dock.review.state == before
    assert len(viewer.layers[REGIONS].data) == len(before.regions)
    assert viewer.layers[REGIONS].mode == "pan_zoom"


def test_every_button_of_the_regions_does_what_its_key_does(dock, viewer):
    for name, left in (("split", 4), ("redraw", 4), ("remove", 3), ("merge", 2)):
        dock.review.choose("c" if name != "merge" else "a")
        QTest.mouseClick(dock.queue.edits[name], Qt.MouseButton.LeftButton)
        assert dock.tools.drawing.active == (name in ("split", "redraw"))
        assert len(dock.review.state.regions) == left
        assert "Canvas" in type(viewer.window._qt_window.focusWidget()).__name__
        dock.tools.drawing.leave()


def test_esc_leaves_the_tools_of_steering_and_tissue(
    cascade_dock, viewer, phantom, press, pointer, wait_until
):
    dock = cascade_dock
    open_in(dock, phantom, wait_until)
    wait_until(lambda: not dock._work.busy)
    before = dock.session.sitting.state
    press(Qt.Key.Key_8, Qt.KeyboardModifier.AltModifier)
    pointer.click(1000, 1000)
    canvas = viewer.window._qt_window._qt_viewer.canvas.native
    # napari itself drops what has three corners or fewer.
    for place in [(1000, 3000), (2000, 3500), (3000, 3000), (3000, 1000), (2000, 700)]:
        QTest.mouseMove(canvas, pointer.at(*place))
        pointer.rest()
    (drawn,) = viewer.layers["Leave out"].data
    assert len(drawn) > 4
    press(ESC)
    QTest.qWait(200)
    assert len(viewer.layers["Leave out"].data) == 0
    press(Qt.Key.Key_7, Qt.KeyboardModifier.AltModifier)
    press(ESC)
    press(Qt.Key.Key_I, SHIFT)
    for place in [(1000, 1000), (1000, 3000), (3000, 3000)]:
        pointer.click(*place)
    assert viewer.layers["Tissue"].mode == "polygon"
    press(ESC)
    assert viewer.layers["Tissue"].mode == "pan_zoom"
    press(Qt.Key.Key_I, SHIFT)
    QTest.mouseDClick(canvas, Qt.MouseButton.LeftButton, pos=pointer.at(3500, 3500))
    QTest.qWait(400)
    assert dock.session.sitting.state == before
    assert {viewer.layers[name].mode for name in ("Leave out", "Follow")} == {"pan_zoom"}
    press(Qt.Key.Key_8, Qt.KeyboardModifier.AltModifier)
    pointer.drag((1000, 1000), (1000, 3000), (3000, 3000), (3000, 1000))
    QTest.qWait(250)
    assert len(dock.session.sitting.state.vetoes) == 1
    assert viewer.layers["Leave out"].mode == "pan_zoom"
