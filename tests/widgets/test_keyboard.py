"""Everything without a mouse: every control can be reached, and the canvas again."""

import shutil

import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QScrollBar,
)
from test_cascade_dock import dock, open_slide, run
from test_why_and_steer import press

from napari_hagmil.polygons import outline
from napari_hagmil.review import Annotation, ReviewRegion, open_sitting
from napari_hagmil.widgets.focus import focus_canvas, takes_focus
from napari_hagmil.widgets.reading.navigator import Navigator
from napari_hagmil.widgets.review.dock import ReviewDock

pytestmark = pytest.mark.window
__all__ = ["dock"]

CONTROLS = (
    QAbstractButton, QAbstractSlider, QAbstractSpinBox, QComboBox, QLineEdit, QAbstractItemView,
)  # fmt: skip
NAMES = ("slide", "cascade", "why", "steer", "queue", "draw", "conclusion", "export")
SQUARE = outline([(0, 0), (0, 100), (100, 100), (100, 0)])


@pytest.fixture
def docks(dock, viewer, phantom, tmp_path, wait_until):
    """Both docks, a slide open, and its journal in the test's own folder."""
    review = ReviewDock(viewer)
    viewer.window.add_dock_widget(review, name="HAG-MIL review", area="right", tabify=True)
    open_slide(dock, shutil.copy(phantom, tmp_path), wait_until)
    wait_until(lambda: not dock._work.busy)
    yield dock, review
    review.close()


def controls(page):
    """What people operate: not Qt's own parts of a control, nor scroll bars."""
    found = [one for kind in CONTROLS for one in page.findChildren(kind)]
    return [
        one
        for one in found
        if not isinstance(one, QScrollBar)
        and not one.objectName().startswith("qt_")
        and not isinstance(one.parentWidget(), QComboBox | QAbstractSpinBox)
        and not (isinstance(one, QAbstractItemView) and one.window() is not page.window())
    ]


def test_the_tab_key_reaches_every_control_of_both_docks(docks):
    checked = 0
    for widget in docks:
        for one in controls(widget):
            assert one.focusPolicy() & Qt.FocusPolicy.TabFocus, (type(one), one.objectName())
            checked += 1
    assert checked > 60


def rows_of(page, shown):
    """Controls in reading order: top to bottom, and within a line left to right."""
    places = {one: one.mapTo(page, one.rect().center()) for one in shown}
    lines = []
    for one in sorted(shown, key=lambda one: places[one].y()):
        if lines and places[one].y() - places[lines[-1][0]].y() < 10:
            lines[-1].append(one)
        else:
            lines.append([one])
    return [one for line in lines for one in sorted(line, key=lambda one: places[one].x())]


@pytest.fixture
def active(viewer):
    """The window as the active one: without a window manager Xvfb makes none so."""
    QApplication.setActiveWindow(viewer.window._qt_window)


def test_tab_walks_every_tab_in_reading_order_and_each_control_shows_the_focus(
    docks, active, qapp, wait_until
):
    dock, review = docks
    run(dock, wait_until)  # rows of findings come after the dock, and regions with the run
    review.review.choose(review.review.state.regions[0].id)
    review.review.change("draw", annotations=(Annotation("a", "polygon", SQUARE, "Tumor"),))
    review.draw.list.setCurrentIndex(review.draw.rows.index(0))
    for widget, names in ((dock, NAMES[:4]), (review, NAMES[4:])):
        for name in names:
            widget.go_to(name)
            qapp.processEvents()
            page = getattr(widget, name)
            shown = [*controls(page), *page.findChildren(Navigator)]
            shown += page.findChildren(QPlainTextEdit)
            wanted = [one for one in shown if takes_focus(one, page)]
            assert wanted
            walked = [qapp.focusWidget()]
            for _ in wanted[1:]:
                QTest.keyClick(qapp.focusWidget(), Qt.Key.Key_Tab)
                walked.append(qapp.focusWidget())
            assert walked == rows_of(page, wanted), name
            for one in walked:
                other = walked[walked.index(one) - 1]
                other.setFocus()
                qapp.processEvents()
                bare = one.grab().toImage()
                one.setFocus()
                qapp.processEvents()
                assert len(walked) == 1 or one.grab().toImage() != bare, (name, one)


def test_our_keys_work_wherever_a_click_or_enter_has_left_the_hand(docks, active, qapp, phantom):
    _, review = docks
    found = tuple(
        ReviewRegion(name, outline([(y, 0), (y, 300), (y + 300, 300), (y + 300, 0)]), score=90 - y)
        for y, name in enumerate("abcdefgh")
    )
    review.review.change("find regions", regions=found)
    review.go_to("queue")
    review.review.choose("a")
    press_c = review.queue.comment
    press_c.setFocus()
    QTest.keyClicks(press_c, "jk")
    QTest.keyClick(press_c, Qt.Key.Key_Return)
    qapp.processEvents()
    assert "Canvas" in type(qapp.focusWidget()).__name__
    assert review.review.state.regions[0].comment == "jk"
    for control in (
        qapp.focusWidget(), review.queue.list, review.queue.order, review.queue.score,
        review.queue.accept, review.tabs.tabBar(), review.queue.path_class,
    ):  # fmt: skip
        control.setFocus()
        before = review.review.current
        QTest.keyClick(control, Qt.Key.Key_K)
        assert review.review.region().decision == "unseen"
        assert review.review.current != before, control
        (decided,) = [one for one in review.review.state.regions if one.id == before]
        assert decided.decision == "accepted"


def test_a_key_goes_to_each_tab_and_from_there_back_to_the_canvas(docks, viewer, qapp):
    for number, name in enumerate(NAMES, start=2):
        widget = docks[number > 5]
        press(viewer, f"F{number}")
        qapp.processEvents()
        tab = getattr(widget, name)
        assert widget.tabs.currentWidget() is tab
        assert tab.isAncestorOf(widget.window().focusWidget())
        focus_canvas(widget)
        assert "Canvas" in type(widget.window().focusWidget()).__name__


def test_tissue_and_steering_tools_are_on_keys(docks, viewer):
    for key, mode in (("Shift+T", "paint"), ("Shift+Z", "erase"), ("Shift+I", "polygon")):
        press(viewer, key)
        assert viewer.layers["Tissue"].mode == mode
        assert viewer.layers.selection.active == viewer.layers["Tissue"]
    press(viewer, "Alt+7")
    assert (viewer.layers.selection.active.name, viewer.layers["Follow"].mode) == ("Follow", "add")
    press(viewer, "Alt+8")
    assert viewer.layers["Leave out"].mode == "add_polygon_lasso"


def drop(widget, path):
    """Drop a file."""
    urls = QMimeData()
    urls.setUrls([QUrl.fromLocalFile(str(path))])
    event = QDropEvent(
        QPointF(5, 5), Qt.DropAction.CopyAction, urls, Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    widget.dropEvent(event)


def test_a_dropped_geojson_comes_into_the_review_and_undo_takes_it_out(docks, tmp_path, wait_until):
    dock, review = docks
    review.review.change("draw polygon", annotations=(Annotation("a", "polygon", SQUARE, "Tumor"),))
    review.export.open_folder.value = False
    (path, *_) = review.export.write(tmp_path / "drawn")
    for number, widget in enumerate((dock, review), start=2):
        drop(widget, path)
        wait_until(lambda number=number: len(review.review.state.annotations) == number)
    assert review.review.state.annotations[-1].path_class == "Tumor"
    assert "1 annotation imported" in review.message.text()
    slide = dock.session.slide
    dock.session.sitting.journal.flush()
    before = review.review.state
    dock.session.close()
    again = open_sitting(slide.path, slide.fingerprint)
    assert again.state == before
    assert again.undo() == "import annotations"
    again.close()


def test_a_file_that_is_none_is_refused_where_it_was_dropped(docks, tmp_path, wait_until):
    dock, _ = docks
    path = tmp_path / "odd.geojson"
    path.write_text("{")
    drop(dock, path)
    error = dock.slide.slide_panel.error
    wait_until(lambda: "odd.geojson must be a readable GeoJSON file" in error.text())
    assert error.text() == dock.message.text()
    assert dock.session.slide is not None


def test_the_cheat_sheet_fits_a_small_window(docks, viewer):
    _, review = docks
    viewer.window._qt_window.resize(1280, 800)
    QTest.qWait(50)
    review.desk.show_keys()
    sheet = review.desk._sheet
    assert sheet.width() <= review.window().width()
    assert sheet.height() <= review.window().height()
    assert review.window().rect().contains(sheet.geometry())
