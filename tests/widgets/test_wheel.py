"""The wheel over the docks: pages scroll, and no control turns that the hand did not go to."""

import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import (
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QFileDialog,
    QScrollBar,
    QSlider,
    QTabBar,
)
from test_cascade_dock import dock, open_slide, run

from napari_hagmil.widgets.cascade.run.budget_row import BudgetRow
from napari_hagmil.widgets.review.dock import ReviewDock

pytestmark = pytest.mark.window
__all__ = ["dock"]


def turn(widget, by):
    """Turn the wheel over a widget: what the innermost one ignores goes on to the parents.

    Qt itself passes on only the events of a device. Returns the widget that took it.
    """
    at = widget.rect().center()
    one = widget.childAt(at) or widget
    while one is not None:
        place = QPointF(one.mapFromGlobal(widget.mapToGlobal(at)))
        event = QWheelEvent(
            place, one.mapToGlobal(place), QPoint(), QPoint(0, 120 * by),
            Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(one, event)
        if event.isAccepted() or one.isWindow():
            return one
        one = one.parentWidget()
    return None


def controls(page):
    """Everything that a wheel could turn."""
    kinds = (QAbstractSpinBox, QAbstractSlider, QComboBox, QTabBar)
    return [
        one for kind in kinds for one in page.findChildren(kind) if not isinstance(one, QScrollBar)
    ]


def reading(control):
    if isinstance(control, QAbstractSpinBox | QAbstractSlider):
        return control.value()
    return control.currentIndex()


@pytest.fixture
def docks(dock, viewer, wait_until):
    """Both docks."""
    review = ReviewDock(viewer)
    viewer.window.add_dock_widget(review, name="HAG-MIL review", area="right", tabify=True)
    yield dock, review
    wait_until(lambda: not review.queue.thumbnails._work.busy)
    review.close()


def test_a_turn_of_the_wheel_over_any_control_changes_nothing(
    docks, phantom, monkeypatch, wait_until
):
    open_slide(docks[0], phantom, wait_until)
    run(docks[0], wait_until)  # rows of findings come after the dock
    asked = []
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *args: asked.append(args) or "")
    begun = []
    docks[0].session.started.connect(lambda: begun.append(1))
    checked = 0
    for widget in docks:
        widget.parentWidget().raise_()
        for control in controls(widget):
            before = reading(control)
            for by in (1, -1, -1, -1, 1):
                assert turn(control, by) is not control
            assert reading(control) == before, (type(control), control.toolTip())
            checked += 1
    assert checked > 25
    assert docks[0].cascade.findings.rows[0].opacity in controls(docks[0])
    QApplication.processEvents()
    assert asked == begun == []


def test_the_page_scrolls_under_the_wheel_whatever_lies_there(docks, wait_until):
    dock, _ = docks
    dock.parentWidget().raise_()
    dock.tabs.setCurrentWidget(dock.cascade)
    dock.cascade.content.setMinimumHeight(2000)
    wait_until(lambda: dock.cascade.verticalScrollBar().maximum() > 500)
    bar = dock.cascade.verticalScrollBar()
    for control in (dock.run_panel.model, dock.run_panel.rows[0].slider, dock.run_panel.budgets[0]):
        bar.setValue(0)
        turn(control, -1)
        assert bar.value() > 0


def test_the_wheel_turns_a_number_that_has_the_focus(docks, viewer):
    dock, _ = docks
    dock.tabs.setCurrentWidget(dock.cascade)
    QApplication.setActiveWindow(viewer.window._qt_window)
    dock.run_panel.live.setChecked(False)
    box = dock.run_panel.budgets[0]
    box.setFocus()
    before = box.value()
    turn(box, 1)
    assert box.value() == before + 1


def test_the_tabs_of_docks_that_share_a_place_do_not_turn(docks, viewer):
    window = viewer.window._qt_window
    bars = [one for one in window.children() if isinstance(one, QTabBar) and one.count() > 1]
    assert bars
    for bar in bars:
        assert turn(bar, 1) is not bar


def test_a_control_that_is_added_to_a_page_later_is_guarded_too(docks, viewer):
    dock, _ = docks
    row = BudgetRow("10×", 8)
    dock.cascade.add(row)
    QApplication.processEvents()
    before = row.spin.value()
    for slider in row.findChildren(QSlider):
        turn(slider, 1)
    turn(row.spin, 1)
    assert row.spin.value() == before
