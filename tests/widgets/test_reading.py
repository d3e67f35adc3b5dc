"""The window as a slide is read in it: its room, its corners, and what makes way for the tissue."""

import numpy as np
import pytest
import zarr
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget
from test_cascade_dock import dock, open_slide, run

from napari_hagmil.cli import window
from napari_hagmil.plugin.review_layers import REGIONS
from napari_hagmil.plugin.writer import write_map
from napari_hagmil.widgets.cascade.camera import set_magnification
from napari_hagmil.widgets.focus import canvas_of
from napari_hagmil.widgets.preferences import preference, set_preference

pytestmark = pytest.mark.window
__all__ = ["dock"]

ALT, SHIFT = Qt.KeyboardModifier.AltModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture(autouse=True)
def as_declared():
    """What the user would have kept is kept for one test only."""
    names = ("napari_docks", "overview")
    before = {name: preference("display", name, name == "overview") for name in names}
    set_preference("display", "napari_docks", False)
    set_preference("display", "overview", True)
    yield
    for name, value in before.items():
        set_preference("display", name, value)


@pytest.fixture
def lists(viewer):
    """napari's own docks."""
    docks = viewer.window._qt_window.findChildren(QDockWidget)
    return [one for one in docks if one.objectName() in ("layer list", "layer controls")]


@pytest.fixture
def press(viewer):
    """Press a key over the canvas."""
    canvas = canvas_of(viewer.window._qt_window)

    def press_key(key, modifier=Qt.KeyboardModifier.NoModifier):
        canvas.setFocus()
        QTest.keyClick(canvas, key, modifier)
        QApplication.processEvents()

    return press_key


def visible(viewer):
    return [layer.name for layer in viewer.layers if layer.visible]


def test_view_opens_maximised_with_the_slide_on_more_than_two_thirds_of_the_window(
    viewer, phantom, lists, press, wait_until, monkeypatch
):
    def named(title):
        viewer.title = title
        return viewer

    monkeypatch.setattr("napari.Viewer", named)
    monkeypatch.setattr("napari.run", lambda: None)
    monkeypatch.setattr(window, "end_at_once", lambda: None)
    main, maximised = viewer.window._qt_window, []
    # No window manager is here to do it.
    monkeypatch.setattr(type(main), "showMaximized", lambda main: maximised.append(main))
    window.view(window.ViewOptions(phantom, None, None, False, None, pseudonymise=False))
    assert maximised == [main]
    (dock,) = (one for one in _ours(main) if one.NAME == "HAG-MIL")
    wait_until(lambda: dock.session.slide is not None and not dock._work.busy)
    assert viewer.title == "phantom.tiff · HAG-MIL · research use only"
    assert not any(one.isVisible() for one in lists)
    assert (main.width(), main.height()) == (1280, 800)
    assert np.prod(viewer.canvas.size) >= 0.7 * 1280 * 800
    dock.open_review()
    _in_the_corners_on_every_tab(viewer, dock.desk)
    assert np.prod(viewer.canvas.size) >= 0.7 * 1280 * 800
    _what_the_user_brings_back_is_kept(lists, press)
    dock.close()


def _ours(main):
    return [one.widget() for one in main.findChildren(QDockWidget) if hasattr(one.widget(), "NAME")]


def _in_the_corners_on_every_tab(viewer, desk):
    corners, canvas = desk.corners, canvas_of(viewer.window._qt_window)
    set_magnification(viewer, 20)
    corners.show_view()
    for name in ("slide", "cascade", "why", "steer", "queue", "draw", "conclusion", "export"):
        desk._go_to(name)
        QApplication.processEvents()
        for widget in (corners.navigator, corners.power):
            assert widget.isVisible()
            assert canvas.rect().contains(widget.geometry())
    assert corners.power.text() == "20×"
    assert corners.navigator.geometry().right() > 0.9 * canvas.width()
    assert viewer.canvas.overlays.scale_bar.visible


def _what_the_user_brings_back_is_kept(lists, press):
    press(Qt.Key.Key_N, ALT)
    assert all(one.isVisible() for one in lists)
    assert preference("display", "napari_docks", False)
    for one in lists:
        one.close()  # by its ×
    assert not preference("display", "napari_docks", True)
    press(Qt.Key.Key_O, ALT)
    assert not preference("display", "overview", True)


def test_one_key_takes_the_tint_then_the_outlines_and_brings_all_back_but_what_was_hidden(
    dock, viewer, phantom, press, wait_until
):
    open_slide(dock, phantom, wait_until)
    run(dock, wait_until)
    wait_until(lambda: REGIONS in viewer.layers)
    viewer.layers["Branches"].visible = False
    before = visible(viewer)
    assert before == ["phantom.tiff", "Attention 40×", REGIONS]
    press(Qt.Key.Key_H)
    assert visible(viewer) == ["phantom.tiff", REGIONS]
    assert "outlines only" in dock.desk.corners.power.text()
    press(Qt.Key.Key_H)
    assert visible(viewer) == ["phantom.tiff"]
    press(Qt.Key.Key_N)  # the regions are drawn anew, and stay away
    dock.review.remove()
    assert visible(viewer) == ["phantom.tiff"]
    press(Qt.Key.Key_O, SHIFT)  # who draws sees the outlines that are there
    assert {REGIONS, "Drawing"} <= set(visible(viewer))
    assert "Attention 40×" not in visible(viewer)
    press(Qt.Key.Key_Escape)
    for _ in range(2):
        press(Qt.Key.Key_H)
    assert [name for name in visible(viewer) if name != "Patches of the region"] == before
    press(Qt.Key.Key_H)
    press(Qt.Key.Key_U, SHIFT)  # who asks for a veil, sees it
    assert {"Never seen at high power", "Attention 40×"} <= set(visible(viewer))


def test_attention_fades_at_high_power_and_makes_way_for_the_region_in_hand(
    dock, viewer, phantom, press, wait_until, tmp_path
):
    open_slide(dock, phantom, wait_until)
    run(dock, wait_until)
    wait_until(lambda: REGIONS in viewer.layers)
    layer = viewer.layers["Attention 40×"]
    for magnification, opacity in ((2.5, 0.4), (10, 0.4), (20, 0.2), (40, 0.1), (80, 0.1)):
        set_magnification(viewer, magnification)
        assert layer.opacity == pytest.approx(opacity)
    dock.findings.rows[2].opacity.setValue(80)
    assert layer.opacity == pytest.approx(0.2)
    layer.opacity = 0.25  # napari's own slider, at this power
    set_magnification(viewer, 5)
    assert layer.opacity == pytest.approx(1.0)
    known = np.isfinite(layer.data)
    press(Qt.Key.Key_N)
    shown, ring = np.isfinite(layer.data), np.array(dock.review.region().polygon) * 0.25
    centres = np.argwhere(known & ~shown) * layer.scale + layer.translate
    assert ((centres > ring.min(0)) & (centres < ring.max(0))).all()
    assert 0 < len(centres) < known.sum()
    write_map(str(tmp_path / "map.zarr"), *layer.as_layer_data_tuple()[:2])
    saved = zarr.open(tmp_path / "map.zarr")["0"][:]
    assert np.array_equal(np.isfinite(saved), known)
    dock.review.choose("")
    assert np.array_equal(layer.data, saved, equal_nan=True)
