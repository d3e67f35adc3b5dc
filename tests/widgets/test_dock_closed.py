"""The × of a dock: nothing is left bound or doubled, and a dock that opens shows what is there."""

import pytest
from qtpy.QtCore import QEvent, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget, QPushButton
from test_review_dock import SHIFT, press

from napari_hagmil.review import open_sitting
from napari_hagmil.session import session_of

pytestmark = pytest.mark.window
__all__ = ["press"]

DOCKS = ("HAG-MIL", "HAG-MIL review")


@pytest.fixture
def bring(viewer, scratch_bundle):
    """Open a dock as the menu does."""
    before = dict(viewer.keymap)

    def open_dock(name):
        _, widget = viewer.window.add_plugin_dock_widget("napari-hagmil", name)
        QApplication.processEvents()
        return widget

    yield open_dock
    for name in DOCKS:
        close(viewer, name)
    assert dict(viewer.keymap) == before
    session_of(viewer).close()


def frame_of(viewer, name):
    docks = viewer.window._qt_window.findChildren(QDockWidget)
    return next((one for one in docks if one.objectName() == f"{name} (napari-hagmil)"), None)


def close(viewer, name):
    """Click the × of a dock."""
    frame = frame_of(viewer, name)
    if frame is not None:
        cross = frame.findChild(QPushButton, "QTitleBarCloseButton")
        QTest.mouseClick(cross, Qt.MouseButton.LeftButton)
        QApplication.processEvents()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def names(viewer):
    return sorted(layer.name for layer in viewer.layers)


def test_a_closed_dock_opens_again_with_the_slide_the_findings_and_the_plan_as_they_were(
    viewer, bring, phantom, scratch_bundle, wait_until, press
):
    dock = bring("HAG-MIL")
    dock.run_panel.add_model(str(scratch_bundle))
    dock.open(phantom)
    wait_until(lambda: not dock._work.busy and dock.session.slide is not None)
    dock.run_panel.budgets[0].setValue(3)
    QTest.mouseClick(dock.run_panel.run_button, Qt.MouseButton.LeftButton)
    wait_until(lambda: dock.session.state == "done" and not dock._work.busy)
    dock.steer.follow_at((1000.0, 1000.0))
    session, said = dock.session, dock.findings.prediction.text()
    before, found = names(viewer), dock.session.result
    n_keys = len(viewer.keymap)

    close(viewer, "HAG-MIL")
    assert session_of(viewer) is session
    assert session.slide is not None
    assert len(viewer.keymap) == 0
    assert names(viewer) == [name for name in before if name != "Follow"]

    dock = bring("HAG-MIL")
    wait_until(lambda: not dock._work.busy)
    assert dock.session is session
    assert names(viewer) == before
    assert len(viewer.keymap) == n_keys
    assert dock.slide_panel.name.text() == "phantom.tiff"
    assert dock.findings.prediction.text() == said
    assert dock.run_panel.chosen_model() == str(scratch_bundle)
    assert dock.run_panel.budgets[0].value() == session.budget[0] == 3
    assert dock.session.result is found
    assert dock.run_panel.run_button.isEnabled()
    assert "1 branch to follow" in dock.steer.summary.text()
    # The slide's layer is the session's: deleting it closes the slide still.
    viewer.layers.remove("phantom.tiff")
    wait_until(lambda: session.slide is None)


def test_a_key_opens_the_dock_that_it_needs_beside_the_other(
    viewer, bring, phantom, wait_until, press
):
    dock = bring("HAG-MIL")
    window = viewer.window._qt_window
    for key, name in ((Qt.Key.Key_F7, "HAG-MIL review"), (Qt.Key.Key_F3, "HAG-MIL")):
        close(viewer, name)
        press(key)
        assert frame_of(viewer, name).isVisible()
        QApplication.processEvents()
        (other,) = [one for one in DOCKS if one != name]
        assert window.tabifiedDockWidgets(frame_of(viewer, other)) == [frame_of(viewer, name)]
    close(viewer, "HAG-MIL review")
    press(Qt.Key.Key_F1)
    (sheet,) = [one for one in window.children() if one.objectName() == "hagmil-cheat-sheet"]
    assert sheet.isVisible()
    sheet.hide()
    dock = bring("HAG-MIL")
    dock.open(phantom)
    wait_until(lambda: not dock._work.busy and dock.session.slide is not None)
    press(Qt.Key.Key_O, SHIFT)
    assert dock.desk.canvas.tools.drawing.kind == "polygon"
    press(Qt.Key.Key_C, SHIFT)
    assert frame_of(viewer, "HAG-MIL review").isVisible()
    close(viewer, "HAG-MIL review")
    bring("HAG-MIL review")  # by the menu, which does not ask for a shared place
    QApplication.processEvents()
    assert frame_of(viewer, "HAG-MIL") in window.tabifiedDockWidgets(
        frame_of(viewer, "HAG-MIL review")
    )


def test_a_dock_that_is_closed_in_mid_run_ends_the_run_and_can_run_again(
    viewer, bring, phantom, scratch_bundle, wait_until
):
    dock = bring("HAG-MIL")
    dock.run_panel.add_model(str(scratch_bundle))
    dock.open(phantom)
    wait_until(lambda: not dock._work.busy and dock.session.slide is not None)
    dock.run()
    assert dock.session.state == "running"
    close(viewer, "HAG-MIL")
    assert session_of(viewer).state == "cancelled"
    dock = bring("HAG-MIL")
    wait_until(lambda: not dock._work.busy)
    dock.run()
    wait_until(lambda: dock.session.state == "done")


def test_a_window_that_closes_closes_its_slide_and_its_review(qapp, bring, viewer, phantom):
    import napari

    other = napari.Viewer(show=True)
    _, dock = other.window.add_plugin_dock_widget("napari-hagmil", "HAG-MIL review")
    from napari_hagmil.slide import open_slide

    qapp.processEvents()
    session = dock.review.session
    session.adopt(open_slide(phantom))
    fingerprint = session.slide.fingerprint
    session.sitting.change("follow a branch", pins=((1.0, 2.0),))
    assert open_sitting(phantom, fingerprint).held_by is not None
    del dock
    other.close()
    del other
    qapp.processEvents()
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert session.slide is None
    again = open_sitting(phantom, fingerprint)
    assert (again.held_by, again.state.pins) == (None, ((1.0, 2.0),))
