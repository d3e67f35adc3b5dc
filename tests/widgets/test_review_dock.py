"""The review through real clicks and keys in a real window."""

import json
import re
import time
from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QShortcut
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_hagmil.plugin.review_layers import (
    ANNOTATIONS,
    DECISION_COLORS,
    PATCHES,
    POINTS,
    REGIONS,
)
from napari_hagmil.polygons import outline
from napari_hagmil.review import Annotation, ReviewPatch, ReviewRegion, ReviewState, open_sitting
from napari_hagmil.review.patches import decision_of
from napari_hagmil.slide import open_slide
from napari_hagmil.widgets.keys import HAGMIL_KEYS, TAB_KEYS
from napari_hagmil.widgets.review.dock import ReviewDock
from napari_hagmil.widgets.review.keys import CLASS_KEYS, REVIEW_KEYS
from napari_hagmil.widgets.review.sync import LayerSync

pytestmark = pytest.mark.window

SHIFT, CONTROL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


def box(y, x, size=400.0):
    return outline([(y, x), (y, x + size), (y + size, x + size), (y + size, x)])


FOUND = (
    ReviewRegion("a", box(200, 200), score=97.0, depth=2, provenance="demo at 40×"),
    ReviewRegion("b", box(200, 700), score=90.0, depth=2, provenance="demo at 40×"),
    ReviewRegion("c", box(2000, 2000, 900), score=80.0, depth=2, provenance="demo at 40×"),
    ReviewRegion("d", box(3000, 500), score=70.0, depth=2, provenance="demo at 40×"),
)


@pytest.fixture
def dock(viewer, phantom, wait_until):
    made = ReviewDock(viewer)
    viewer.window.add_dock_widget(made, name="HAG-MIL review", area="right")
    slide = open_slide(phantom)
    levels = slide.view_levels()
    viewer.add_image(
        levels, rgb=True, multiscale=True, scale=(0.25, 0.25), units=("um", "um"),
        metadata={"napari_hagmil": {"path": str(phantom)}}, name="slide",
    )  # fmt: skip
    made.review.session.adopt(slide)
    made.review.change("find regions", regions=FOUND)
    QApplication.processEvents()
    yield made
    wait_until(lambda: not made.queue.thumbnails._work.busy)
    made.close()
    made.review.session.close()


@pytest.fixture
def press(viewer, qapp):
    """Press a key over the canvas."""
    canvas = viewer.window._qt_window._qt_viewer.canvas.native

    def press_key(key, modifier=Qt.KeyboardModifier.NoModifier):
        canvas.setFocus()
        QTest.keyClick(canvas, key, modifier)
        qapp.processEvents()

    return press_key


@pytest.fixture
def pointer(viewer, qapp):
    """Where on the canvas a level-0 pixel is, and the mouse."""
    canvas = viewer.window._qt_window._qt_viewer.canvas.native

    class Pointer:
        def at(self, y, x):
            camera = viewer.scene.camera
            height, width = viewer.canvas.size
            cy, cx = camera.center[-2:]
            return QPoint(
                round(width / 2 + (0.25 * x - cx) * camera.zoom),
                round(height / 2 + (0.25 * y - cy) * camera.zoom),
            )

        def drag(self, *places):
            QTest.mouseMove(canvas, self.at(*places[0]))
            QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=self.at(*places[0]))
            for place in places[1:]:
                QTest.mouseMove(canvas, self.at(*place), delay=5)
                qapp.processEvents()
            QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=self.at(*places[-1]))
            self.rest()

        def click(self, y, x):
            QTest.mouseMove(canvas, self.at(y, x))
            # The move goes through the display, and the click, which does not, would overtake it.
            # Where the pointer was there before, nothing comes.
            there, near = np.array([y, x]) * 0.25, 2 / viewer.scene.camera.zoom
            until = time.monotonic() + 1
            while np.abs(viewer.cursor.position - there).max() > near and time.monotonic() < until:
                self.rest()
            QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=self.at(y, x))
            self.rest()

        def rest(self):
            for _ in range(5):
                qapp.processEvents()
                QTest.qWait(10)

    return Pointer()


def decisions(dock):
    return {one.id: one.decision for one in dock.review.state.regions}


def click(button):
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def test_keys_step_decide_and_go_on_and_undo_takes_it_back(dock, viewer, press):
    press(Qt.Key.Key_N)
    assert dock.review.current == "a"
    assert viewer.scene.camera.center[-2:] == pytest.approx((100, 100))
    press(Qt.Key.Key_K)
    assert dock.review.current == "b"
    press(Qt.Key.Key_J)
    assert decisions(dock) == {"a": "accepted", "b": "rejected", "c": "unseen", "d": "unseen"}
    assert dock.review.current == "c"
    assert viewer.scene.camera.center[-2:] == pytest.approx((612.5, 612.5))
    press(Qt.Key.Key_N, SHIFT)
    assert dock.review.current == "b"
    press(Qt.Key.Key_Z, CONTROL)
    assert decisions(dock)["b"] == "unseen"
    assert "reject region" in dock.message.text()
    press(Qt.Key.Key_Z, CONTROL | SHIFT)
    assert decisions(dock)["b"] == "rejected"
    colors = viewer.layers[REGIONS].edge_color
    wanted = [int(DECISION_COLORS["accepted"][i : i + 2], 16) / 255 for i in (1, 3, 5)]
    assert colors[0][:3] == pytest.approx(wanted, abs=0.01)
    widths = viewer.layers[REGIONS].edge_width
    assert widths[1] == max(widths)
    assert [b.text() for b in dock.queue.decisions.values()] == [
        "○ 2 unseen",
        "✓ 1 accepted",
        "✗ 1 rejected",
    ]


def test_the_next_region_comes_at_the_same_magnification_and_one_key_goes_closer(
    dock, viewer, press
):
    viewer.scene.camera.zoom = 1.0
    press(Qt.Key.Key_N)
    assert viewer.scene.camera.zoom == 1.0
    press(Qt.Key.Key_9, Qt.KeyboardModifier.AltModifier)
    assert viewer.scene.camera.zoom == pytest.approx(4.0)
    press(Qt.Key.Key_N)
    assert viewer.scene.camera.zoom == pytest.approx(4.0)
    press(Qt.Key.Key_9, Qt.KeyboardModifier.AltModifier)
    assert viewer.scene.camera.zoom == pytest.approx(1.0)
    viewer.scene.camera.zoom = 0.05
    press(Qt.Key.Key_N)
    # 225 µm would be 11 px: too small to be found.
    assert viewer.scene.camera.zoom > 0.5


def test_single_patches_are_decided_with_the_pointer_and_in_the_strip(dock, viewer, press, pointer):
    boxes = [(2000.0, 2000.0 + 300 * i, 2900.0, 2300.0 + 300 * i) for i in range(3)]
    patches = tuple(ReviewPatch(one, 99.0) for one in boxes)
    regions = tuple(replace(one, patches=patches if one.id == "c" else ()) for one in FOUND)
    dock.review.change("find regions", regions=regions)
    dock.review.choose("c", centre=True)
    assert dock.queue.patches.isVisible()
    assert len(viewer.layers[PATCHES].data) == 3
    pointer.click(2500, 2450)
    press(Qt.Key.Key_J, Qt.KeyboardModifier.AltModifier)
    assert [one.decision for one in dock.review.region().patches] == [
        "unseen", "rejected", "unseen",
    ]  # fmt: skip
    assert "3 patches, 1 decided alone" in dock.queue.patches.title.text()
    dock.queue.patches.list.item(2).setSelected(True)
    click(dock.queue.patches.buttons["accepted"])
    press(Qt.Key.Key_J)
    (region,) = (one for one in dock.review.state.regions if one.id == "c")
    assert [decision_of(region, one) for one in region.patches] == [
        "rejected", "rejected", "accepted",
    ]  # fmt: skip
    assert not dock.queue.patches.isVisible()
    assert len(viewer.layers[PATCHES].data) == 0
    dock.review.choose("c")
    colors = np.round(viewer.layers[PATCHES].border_color[:, :3] * 255).astype(int).tolist()
    wanted = [
        [int(DECISION_COLORS[name][i : i + 2], 16) for i in (1, 3, 5)]
        for name in ("rejected", "rejected", "accepted")
    ]
    assert colors == wanted


def test_buttons_do_the_same_and_nothing_else_moves_the_view(dock, viewer):
    before = tuple(viewer.scene.camera.center), viewer.scene.camera.zoom
    dock.queue.list.setCurrentRow(1)
    assert dock.review.current == "b"
    dock.review.comment("a gland")
    dock.review.reclassify("Stroma")
    assert (tuple(viewer.scene.camera.center), viewer.scene.camera.zoom) == before
    click(dock.queue.accept)
    assert decisions(dock)["b"] == "accepted"
    assert (tuple(viewer.scene.camera.center), viewer.scene.camera.zoom) != before


def test_what_was_decided_is_there_on_the_next_day(dock, phantom, press):
    press(Qt.Key.Key_N)
    press(Qt.Key.Key_2, CONTROL)
    press(Qt.Key.Key_K)
    press(Qt.Key.Key_C, SHIFT)
    assert dock.window().focusWidget() is dock.queue.comment
    QTest.keyClicks(dock.queue.comment, "mitoses?")
    fingerprint = dock.review.session.slide.fingerprint
    state = dock.review.state
    dock.review.session.close()
    again = open_sitting(phantom, fingerprint)
    assert again.state == state
    first = again.state.regions[0]
    assert (first.path_class, first.decision) == ("Stroma", "accepted")
    assert again.state.regions[1].comment == "mitoses?"
    assert again.undo() == "comment"
    assert again.state.regions[1].comment == ""
    again.close()


def test_regions_that_are_the_first_layer_of_a_window_have_thin_outlines():
    viewer = ViewerModel()
    layers = LayerSync(viewer, lambda *edit: None)
    viewer.scene.camera.zoom = 0.02  # as the slide before has left it
    layers.show(ReviewState(regions=FOUND), 0.25, "")
    assert viewer.scene.camera.zoom > 0.1
    widths = np.asarray(viewer.layers[REGIONS].edge_width) * viewer.scene.camera.zoom
    assert (widths < 6).all()
    layers.close()


def test_merge_split_and_redraw_with_keys_and_the_pointer(dock, viewer, press, pointer):
    press(Qt.Key.Key_N)
    press(Qt.Key.Key_M, SHIFT)
    (merged, *rest) = dock.review.state.regions
    assert [one.id for one in rest] == ["c", "d"]
    assert merged.provenance == "merged"
    assert dock.review.current == merged.id
    dock.review.choose("c", centre=True)
    press(Qt.Key.Key_S, SHIFT)
    assert dock.tools.drawing.active
    pointer.click(1950, 2400)
    pointer.click(2950, 2450)
    press(Qt.Key.Key_Return)
    pointer.rest()
    parts = [one for one in dock.review.state.regions if one.provenance == "split"]
    assert len(parts) == 2
    assert not dock.tools.drawing.active
    dock.review.choose("d", centre=True)
    press(Qt.Key.Key_R, SHIFT)
    pointer.drag(*[(3200 + 300 * np.sin(a), 700 + 300 * np.cos(a)) for a in np.linspace(0, 6, 25)])
    (redrawn,) = [one for one in dock.review.state.regions if one.id == "d"]
    assert redrawn.provenance == "redrawn"
    assert len(redrawn.polygon) > 6
    assert "Drawing" not in [layer.name for layer in viewer.layers]
    assert [viewer.layers[REGIONS].features["id"].tolist()] == [
        [one.id for one in dock.review.state.regions]
    ]


def test_annotations_of_every_kind_are_drawn_measured_and_listed(dock, viewer, press, pointer):
    dock.review.set_drawing_class("Tumor")
    dock.review.choose("c", centre=True)
    press(Qt.Key.Key_E, SHIFT)
    pointer.drag((2000, 2000), (2000, 2300), (2000, 2400))
    press(Qt.Key.Key_B, SHIFT)
    pointer.drag((2100, 2100), (2300, 2300), (2500, 2500))
    press(Qt.Key.Key_X, SHIFT)
    pointer.click(2600, 2600)
    assert dock.tools.drawing.kind == "point"
    press(Qt.Key.Key_O, SHIFT)
    for place in [(2100, 2600), (2100, 2800), (2300, 2800)]:
        pointer.click(*place)
    press(Qt.Key.Key_Return)
    pointer.rest()
    drawn = dock.review.state.annotations
    assert [one.kind for one in drawn] == ["ruler", "rectangle", "point", "polygon"]
    assert {one.path_class for one in drawn} == {"Tumor"}
    assert drawn[0].points[1][1] - drawn[0].points[0][1] == pytest.approx(400, abs=8)
    rows = [dock.draw.rows.index(i).data() for i in range(4)]
    assert re.fullmatch(r"ruler · Tumor · (9\d\.\d|10\d) µm", rows[0])
    assert "mm²" in rows[1]
    assert {ANNOTATIONS, POINTS} <= {layer.name for layer in viewer.layers}
    assert not dock.tools.drawing.active
    dock.draw.list.setCurrentIndex(dock.draw.rows.index(0))
    click(dock.draw.delete)
    assert len(dock.review.state.annotations) == 3
    press(Qt.Key.Key_Z, CONTROL)
    assert dock.review.state.annotations == drawn


def test_an_outline_in_the_making_is_in_the_journal_within_a_second(dock, press, pointer):
    dock.review.choose("c", centre=True)
    press(Qt.Key.Key_O, SHIFT)
    for place in [(2100, 2600), (2100, 2800), (2300, 2800)]:
        pointer.click(*place)
    QTest.qWait(900)
    text = dock.review.sitting.journal.path.read_text()
    last = json.loads(text.splitlines()[-1])
    assert last["kind"] == "sketch"
    assert len(last["annotation"]["points"]) >= 3
    assert dock.review.state.annotations == ()


def test_a_corner_moved_with_naparis_own_tool_is_a_change_that_can_be_undone(dock, viewer):
    layer = viewer.layers[REGIONS]
    corners = [np.array(shape) for shape in layer.data]
    corners[3][0] -= 50
    layer.data = corners
    moved = dock.review.state.regions[3]
    assert moved.polygon[0] == pytest.approx((2800, 300))
    assert moved.provenance == "redrawn"
    dock.review.undo()
    assert dock.review.state.regions == FOUND
    assert viewer.layers[REGIONS].data[3][0] == pytest.approx((750, 125))


def test_a_click_on_a_region_takes_it_in_hand_and_the_view_stays(dock, viewer, pointer):
    before = tuple(viewer.scene.camera.center)
    pointer.click(2400, 2400)
    assert dock.review.current == "c"
    assert tuple(viewer.scene.camera.center) == before


def test_filters_narrow_the_queue_and_n_stays_within(dock, press):
    dock.queue.score.setValue(85)
    assert dock.queue.list.count() == 2
    press(Qt.Key.Key_N)
    press(Qt.Key.Key_N)
    press(Qt.Key.Key_N)
    assert dock.review.current == "a"
    dock.review.decide("accepted")
    click(dock.queue.decisions["accepted"])
    assert [one.id for one in dock.review.queue()] == ["b"]
    dock.queue.score.setValue(0)
    dock.queue.area.setValue(0.05)
    assert [one.id for one in dock.review.queue()] == ["c"]


def test_side_by_side_shows_the_bare_slide_at_the_right_and_moves_along(
    dock, viewer, press, wait_until
):
    dock.review.choose("c", centre=True)
    press(Qt.Key.Key_Y, SHIFT)
    wait_until(lambda: all(layer.loaded for layer in viewer.layers))
    dock.review.choose("a", centre=True)
    QTest.qWait(300)
    picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    half = picture.shape[1] // 2
    left, right = picture[:, : half - 4], picture[:, half + 4 :]
    orange = np.abs(picture - np.array([255, 92, 26])).max(-1) < 40
    assert orange[:, :half].sum() > 300
    assert orange[:, half:].sum() < 30
    n = min(left.shape[1], right.shape[1])
    same = np.abs(left[:, :n] - right[:, -n:]).max(-1) < 40
    assert same.mean() > 0.8
    viewer.add_points(np.zeros((1, 2)))
    assert viewer.canvas.grid.stride == -(len(viewer.layers) - 1)
    press(Qt.Key.Key_Y, SHIFT)
    assert not viewer.canvas.grid.enabled
    assert "slide (bare)" not in [layer.name for layer in viewer.layers]


def test_the_cheat_sheet_comes_and_goes_and_names_every_key(dock, press):
    press(Qt.Key.Key_F1)
    assert dock.desk._sheet.isVisible()
    QTest.keyClick(dock.desk._sheet, Qt.Key.Key_Space)
    assert not dock.desk._sheet.isVisible()
    # A shortcut needs an active window, which Xvfb without a window manager does not give.
    (question,) = [one for one in dock.window().findChildren(QShortcut) if one.key() == "?"]
    question.activated.emit()
    assert dock.desk._sheet.isVisible()
    sheet = dock.desk._sheet.layout().itemAt(0).widget().text()
    for action in [*HAGMIL_KEYS.values(), *REVIEW_KEYS.values(), *TAB_KEYS.values()]:
        assert action.label.replace("&", "&amp;") in sheet


def test_no_key_is_in_two_tables_and_all_are_free_again_when_the_dock_closes(viewer):
    tables = [*REVIEW_KEYS.values(), *CLASS_KEYS.values(), *TAB_KEYS.values()]
    mine = len(tables)
    tables += HAGMIL_KEYS.values()
    keys = [action.key for action in tables]
    assert len(keys) == len(set(keys))
    before = dict(viewer.keymap)
    dock = ReviewDock(viewer)
    bound = set(viewer.keymap) - set(before)
    assert len(bound) == mine
    dock.close()
    assert dict(viewer.keymap) == before


def test_a_review_in_another_window_is_said_and_can_be_taken_over(dock, phantom, viewer):
    fingerprint = dock.review.session.slide.fingerprint
    dock.review.session.close()
    other = open_sitting(phantom, fingerprint)
    dock.review.session.adopt(open_slide(phantom))
    assert "another window" in dock.banner.words.text()
    dock.review.choose("a")
    dock.review.decide("accepted")
    assert "another window" in dock.message.text()
    assert decisions(dock)["a"] == "unseen"
    click(dock.banner.button)
    assert not dock.banner.isVisibleTo(dock)
    dock.review.decide("accepted")
    assert decisions(dock)["a"] == "accepted"
    other.close()


def test_the_conclusion_is_typed_and_one_undo_takes_it_back(dock):
    dock.tabs.setCurrentWidget(dock.conclusion)
    QTest.keyClicks(dock.conclusion.path_class.lineEdit(), "tumor")
    QTest.keyClicks(dock.conclusion.text, "sure")
    said = dock.review.state.conclusion
    assert (said.path_class, said.text) == ("tumor", "sure")
    dock.review.undo()
    assert dock.review.state.conclusion.path_class == ""
    assert dock.conclusion.text.toPlainText() == ""


def test_the_accepted_regions_are_exported_in_all_formats(dock, tmp_path):
    dock.review.choose("a")
    dock.review.decide("accepted")
    ruler = Annotation("r", "ruler", outline([(0, 0), (0, 100)]), "Tumor")
    dock.review.change("draw ruler", annotations=(ruler,))
    for check_box in dock.export.formats:
        check_box.value = True
    dock.export.open_folder.value = False
    assert dock.export.summary.text() == "Will be written: 1 region and 1 annotation."
    written = dock.export.write(tmp_path / "case")
    names = ["case.geojson", "case.csv", "case.xml", "case.mask.tiff"]
    assert [one.name for one in written] == names
    features = json.loads(written[0].read_text())["features"]
    assert [one["geometry"]["type"] for one in features] == ["Polygon", "LineString"]
    assert str(tmp_path) in dock.export.message.text()
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert dock.export.write(blocked / "case") == []
    assert "cannot be written" in dock.export.error.text()


def test_every_tab_fits_a_small_window(dock, viewer):
    for i in range(dock.tabs.count()):
        dock.tabs.setCurrentIndex(i)
        QApplication.processEvents()
        assert dock.width() <= 420
        assert dock.minimumSizeHint().width() <= 420
        assert dock.minimumSizeHint().height() <= 720
