"""The tools of the hand, one after the other in one window, by real clicks, drags and keys."""

import numpy as np
import pytest
from napari.layers import Vectors
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from test_review_dock import CONTROL, SHIFT, click, dock, pointer, press

from napari_hagmil.export.annotations_reader import read_annotations
from napari_hagmil.export.review import ReviewWish, write_review
from napari_hagmil.polygons import area_of, shape_of
from napari_hagmil.widgets.review.hand.icons import FACES

pytestmark = pytest.mark.window
__all__ = ["dock", "pointer", "press"]

ALT, NONE = Qt.KeyboardModifier.AltModifier, Qt.KeyboardModifier.NoModifier
KEY = Qt.Key


@pytest.fixture
def hand(viewer, pointer, qapp):
    """Drag with the left button, a key held down or not; `let_go` False keeps it pressed."""
    canvas = viewer.window._qt_window._qt_viewer.canvas.native
    left = Qt.MouseButton.LeftButton

    def drag(*places, held=NONE, let_go=True):
        QTest.mouseMove(canvas, pointer.at(*places[0]))
        pointer.rest()
        QTest.mousePress(canvas, left, held, pointer.at(*places[0]))
        for place in places[1:]:
            move(canvas, pointer.at(*place), held)
        if let_go:
            QTest.mouseRelease(canvas, left, held, pointer.at(*places[-1]))
            pointer.rest()

    yield drag
    QTest.mouseRelease(canvas, left, pos=QPoint(5, 5))


def move(canvas, place, held):
    """Move with the left button down: QTest's own move knows neither buttons nor keys."""
    where = QPointF(place), QPointF(canvas.mapToGlobal(place))
    left = Qt.MouseButton.LeftButton
    QApplication.sendEvent(
        canvas,
        QMouseEvent(QMouseEvent.Type.MouseMove, *where, Qt.MouseButton.NoButton, left, held),
    )
    QApplication.processEvents()


def drawn(dock):
    return dock.review.state.annotations


def areas(dock):
    return [round(area_of(one.rings)) for one in drawn(dock)]


def walk(dock, viewer, press, pointer, hand):
    """Every tool once; yields after each what undo is to take back."""
    reach = 4 / viewer.scene.camera.zoom / 0.25  # a hand does not hit a pixel
    press(KEY.Key_B, ALT)
    sheet = viewer.layers.selection.active
    assert isinstance(sheet, Vectors)
    assert sheet.cursor == "circle"
    size = dock.tools.hand.size_px
    assert sheet.cursor_size * viewer.scene.camera.zoom == pytest.approx(size)
    press(KEY.Key_BracketRight)
    assert dock.tools.hand.size_px == dock.draw.size.value() == pytest.approx(1.25 * size)
    viewer.scene.camera.zoom *= 1.5
    assert sheet.cursor_size * viewer.scene.camera.zoom == pytest.approx(1.25 * size)
    viewer.scene.camera.zoom /= 1.5
    radius = dock.tools.hand.size_px / 2 / viewer.scene.camera.zoom / 0.25
    hand((2200, 2200), (2200, 2400), (2200, 2600))
    (one,) = drawn(dock)
    wanted = 400 * 2 * radius + np.pi * radius**2
    assert area_of(one.rings) == pytest.approx(wanted, rel=0.05)
    assert (one.kind, one.path_class) == ("freehand", "Tumor")
    yield "draw freehand"
    hand((2200, 2600), (2500, 2600))  # goes on with what is picked
    assert len(drawn(dock)) == 1
    assert areas(dock)[0] > wanted * 1.3
    yield "paint"
    for _ in range(4):
        press(KEY.Key_BracketLeft)
    hand((2200, 2400), (2200, 2401), held=ALT)
    assert len(drawn(dock)[0].holes) == 1
    yield "erase"
    press(KEY.Key_E, ALT)
    hand((2400, 2600), (2400, 2601))
    assert len(drawn(dock)[0].holes) == 2
    yield "erase"
    press(KEY.Key_F, ALT | SHIFT)
    assert drawn(dock)[0].holes == ()
    yield "fill holes"
    press(KEY.Key_E, ALT)  # puts it away
    assert not dock.tools.active
    press(KEY.Key_C, ALT)
    hand((2650, 2100), (2700, 2150), (2850, 2300))
    assert drawn(dock)[1].kind == "ellipse"
    assert areas(dock)[1] == pytest.approx(np.pi * 100**2, rel=0.15)
    yield "draw ellipse"
    press(KEY.Key_I, ALT)
    for place in [(2050, 2050), (2050, 2250), (2150, 2350)]:
        pointer.click(*place)
    press(KEY.Key_Return)
    pointer.rest()
    assert (drawn(dock)[2].kind, len(drawn(dock)[2].points)) == ("polyline", 3)
    yield "draw polyline"
    press(KEY.Key_S, ALT)
    pointer.click(2750, 2200)  # inside of the ellipse
    assert dock.tools.drawn.picked == (drawn(dock)[1].id,)
    assert [dock.draw.rows.annotations[i.row()].id for i in dock.draw.list.selectedIndexes()] == [
        drawn(dock)[1].id
    ]
    before = shape_of(drawn(dock)[1].rings).centroid
    hand((2750, 2200), (2760, 2250), (2750, 2400))
    after = shape_of(drawn(dock)[1].rings).centroid
    assert (after.x - before.x, after.y - before.y) == pytest.approx((0, 200), abs=reach)
    yield "move annotation"
    corner = drawn(dock)[1].points[0]
    hand(corner, (corner[0] + 20, corner[1] + 60), (corner[0] + 30, corner[1] + 80))
    assert drawn(dock)[1].kind == "polygon"
    assert areas(dock)[1] > np.pi * 100**2
    yield "edit annotations"
    press(KEY.Key_C, ALT | SHIFT)
    assert len(drawn(dock)) == 4
    yield "duplicate annotation"
    hand((2750, 2400), (2700, 2400), (2640, 2400))  # onto what the brush has painted
    yield "move annotation"
    pointer.click(2050, 2800)  # nothing is there
    assert dock.tools.drawn.picked == ()


def test_every_tool_of_the_hand_draws_and_each_stroke_is_undone_journaled_and_exported(
    dock, viewer, press, pointer, hand, tmp_path
):
    dock.review.set_drawing_class("Tumor")
    dock.review.choose("c", centre=True)
    dock.tabs.setCurrentWidget(dock.draw)
    states = [dock.review.state]
    done = []
    for action in walk(dock, viewer, press, pointer, hand):
        assert dock.review.sitting.undo_name == action
        done.append(action)
        states.append(dock.review.state)
    # The buttons do it to the rows that are selected in the list.
    dock.draw.list.selectAll()
    click(dock.draw.edits["lock"])
    assert all(one.locked for one in drawn(dock))
    locked = dock.review.state
    assert dock.tools.kind == "select"
    hand((2200, 2300), (2300, 2300), (2400, 2300))
    assert dock.review.state == locked
    assert "locked" in dock.message.text()
    dock.draw.list.selectAll()
    press(KEY.Key_Delete)
    assert dock.review.state == locked
    click(dock.draw.edits["lock"])
    click(dock.draw.edits["nest"])
    # What is in the making when Esc is pressed comes to nothing.
    before = dock.review.state
    for key in (KEY.Key_B, KEY.Key_E, KEY.Key_M):
        press(key, ALT)
        hand((2300, 2300), (2350, 2400), let_go=False)
        press(KEY.Key_Escape)
        pointer.rest()
        assert not dock.tools.active
        assert dock.review.state == before
    assert "Drawing" not in [layer.name for layer in viewer.layers]
    # The next day, in another program, and back by undo.
    path = dock.review.sitting.journal.path
    written = write_review(tmp_path / "case", before, ReviewWish(regions=False), mpp=0.25)
    found, _ = read_annotations(written[0])
    wanted = {round(area_of(one.rings), -1) for one in before.annotations if one.is_area}
    assert {round(area_of(one.rings), -1) for one in found if one.is_area} == wanted
    while dock.review.sitting.undo_name != done[-1]:
        press(KEY.Key_Z, CONTROL)
    for state in reversed(states[:-1]):
        press(KEY.Key_Z, CONTROL)
        assert dock.review.state.annotations == state.annotations
    assert path.exists()


def test_the_wand_takes_a_lesion_of_the_slide_and_a_drag_takes_more(
    dock, viewer, press, pointer, hand, phantom
):
    viewer.scene.camera.zoom = 0.5
    viewer.scene.camera.center = (0, 512, 512)
    pointer.rest()
    press(KEY.Key_M, ALT)
    glass = (30.0, 2000.0)
    hand(glass)
    (one,) = drawn(dock)
    assert one.kind == "polygon"
    size = area_of(one.rings)
    assert size > 100_000
    dock.tools.drawn.pick(())
    hand((2000.0, 2000.0), (2000.0, 2200.0), (2000.0, 2400.0))
    assert len(drawn(dock)) >= 1


def test_every_tool_and_every_edit_has_a_face_of_its_own():
    lines = {name: face() for name, face in FACES.items()}
    shown = {
        name: (path.elementCount(), filled.elementCount(), path.boundingRect().width())
        for name, (path, filled) in lines.items()
    }
    assert len(set(shown.values())) == len(shown)
