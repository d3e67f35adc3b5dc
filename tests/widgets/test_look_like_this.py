"""Places that look like one place, asked for by its key in a real window."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from test_cascade_dock import dock, names, open_slide, run
from test_why_and_steer import point, press

pytestmark = pytest.mark.window
__all__ = ["dock"]

MAP = "Looks like this 40×"


def free(dock):
    return not dock._work.busy


def ask(dock, viewer, wait_until):
    stage = dock.session.stages[2]
    node = stage.nodes[stage.attention.argmax()]
    point(dock, 2, node)
    press(viewer, "Alt+A")
    wait_until(lambda: free(dock) and dock.why.alike.list.count())
    return node


def test_the_most_alike_are_shown_gone_to_and_mapped_and_forgotten_with_the_slide(
    dock, viewer, phantom, wait_until
):
    section = dock.why.alike
    press(viewer, "Alt+A")
    assert "Run the cascade first" in section.note.text()
    open_slide(dock, phantom, wait_until)
    run(dock, wait_until)
    node = ask(dock, viewer, wait_until)
    assert dock.tabs.currentWidget() is dock.why
    assert section.example.node == tuple(node)
    shown = [float(section.list.item(k).text()) for k in range(section.list.count())]
    assert shown == sorted(shown, reverse=True)
    assert 0.5 < shown[0] <= 1

    wait_until(lambda: not section.list.item(0).icon().isNull())
    place = section.list.visualItemRect(section.list.item(0)).center()
    QTest.mouseClick(section.list.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(place))
    best = section._found.nodes[section._found.most_alike(1)]
    centre = dock.session.grids[2].centres(best)[0] * dock.session.mpp
    assert np.allclose(viewer.scene.camera.center[-2:], centre, atol=1e-3)

    section.on_map.setChecked(True)
    assert np.nanmax(viewer.layers[MAP].data) == pytest.approx(1)
    section.on_map.setChecked(False)
    assert MAP not in names(viewer)
    section.on_map.setChecked(True)
    dock.session.close_slide()
    assert MAP not in names(viewer)
    assert not section.list.count()

    # A result that was read back has its features in the cache, once its model is ready.
    open_slide(dock, phantom, wait_until)
    wait_until(lambda: dock.session.shown.restored and dock.session.prepared and free(dock))
    ask(dock, viewer, wait_until)
    assert [float(section.list.item(k).text()) for k in range(section.list.count())] == shown


def test_a_place_that_no_depth_has_looked_at_is_like_nothing(dock, viewer, phantom, wait_until):
    open_slide(dock, phantom, wait_until)
    run(dock, wait_until)
    point(dock, 2, (0, 0))
    press(viewer, "Alt+A")
    assert "has not looked at this place" in dock.why.alike.note.text()
    assert dock.why.alike.example is None
