"""The Slide tab: the overview, the magnification, the pixel size, the tissue, recent slides."""

import json
import shutil
from dataclasses import astuple

import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtTest import QTest
from test_cascade_dock import click, dock, names, open_slide, run
from test_why_and_steer import press

from napari_hagmil.session.recent import RecentSlides
from napari_hagmil.widgets.cascade.camera import view_rectangle

pytestmark = pytest.mark.window
__all__ = ["dock"]


@pytest.fixture
def opened(dock, phantom, tmp_path, wait_until):
    open_slide(dock, shutil.copy(phantom, tmp_path), wait_until)
    wait_until(lambda: not dock._work.busy)
    return dock


@pytest.mark.parametrize(("key", "times"), [("Alt+1", 1.25), ("Alt+4", 10), ("Alt+6", 40)])
def test_a_key_sets_the_magnification_and_the_screen_shows_it(opened, viewer, qapp, key, times):
    press(viewer, key)
    assert viewer.scene.camera.zoom == pytest.approx(times / 10)
    opened.slide.show_view()
    assert opened.slide.view_panel.magnification.currentText() == f"{times:g}×"


def test_a_magnification_can_be_typed_and_nonsense_changes_nothing(opened, viewer):
    box = opened.slide.view_panel.magnification
    box.lineEdit().setText("7,5x")
    box.lineEdit().editingFinished.emit()
    assert viewer.scene.camera.zoom == pytest.approx(0.75)
    box.lineEdit().setText("near")
    box.lineEdit().editingFinished.emit()
    assert viewer.scene.camera.zoom == pytest.approx(0.75)


def test_beyond_the_scan_the_dock_says_that_it_is_enlarged(opened, viewer):
    viewer.scene.camera.zoom = 12
    opened.slide.show_view()
    assert "beyond the scan (40×)" in opened.slide.view_panel.note.text()


def test_a_click_on_the_overview_goes_there_and_a_drag_takes_the_view_along(opened, viewer):
    press(viewer, "Alt+4")
    corners = opened.desk.corners
    navigator = corners.navigator
    corners.show_view()
    middle = QPoint(navigator.width() // 2, navigator.height() // 2)
    QTest.mouseClick(navigator, Qt.MouseButton.LeftButton, pos=middle)
    assert viewer.scene.camera.center[-2:] == pytest.approx((512, 512), abs=8)
    corners.show_view()
    shown = view_rectangle(viewer, 0.25)
    assert astuple(navigator.view) == pytest.approx(astuple(shown))
    assert shown.centre == pytest.approx((2048, 2048), abs=32)
    QTest.mousePress(navigator, Qt.MouseButton.LeftButton, pos=middle + QPoint(3, 0))
    assert viewer.scene.camera.center[-1] == pytest.approx(512, abs=8)
    QTest.mouseRelease(navigator, Qt.MouseButton.LeftButton, pos=middle)
    before = viewer.scene.camera.center[-2]
    QTest.keyClick(navigator, Qt.Key.Key_Down)
    assert viewer.scene.camera.center[-2] > before


def test_the_overview_is_tinted_by_the_attention(opened, wait_until):
    navigator = opened.desk.corners.navigator
    plain = navigator._shown
    run(opened, wait_until)
    assert (navigator._shown != plain).any(-1).mean() > 0.2


def test_a_corrected_pixel_size_is_used_undone_and_there_next_day(opened, wait_until):
    panel, path = opened.slide_panel, opened.session.slide.path
    panel.mpp_input.setValue(0.3)
    click(panel.mpp_button)
    wait_until(lambda: not opened._work.busy and opened.session.slide.mpp == 0.3)
    open_slide(opened, path, wait_until)
    wait_until(lambda: not opened._work.busy and opened.session.slide.mpp == 0.3)
    assert "set by you" in panel.facts.text()
    opened.session.sitting.undo()
    wait_until(lambda: not opened._work.busy and opened.session.slide.mpp == 0.25)
    assert "TIFF resolution" in panel.facts.text()


def test_a_correction_that_comes_with_another_change_of_the_review_is_used(opened, wait_until):
    opened.session.sitting.change("go on with an earlier review", mpp_override=0.3)
    wait_until(lambda: not opened._work.busy and opened.session.slide.mpp == 0.3)
    assert "set by you" in opened.slide_panel.facts.text()


def test_painted_tissue_changes_the_price_and_undo_brings_the_mask_back(opened, viewer, wait_until):
    panel = opened.slide.tissue_panel
    click(panel.buttons["erase"])
    layer = viewer.layers["Tissue"]
    assert layer.mode == "erase"
    before, price = layer.data.copy(), opened.session.cost().depths[0].nodes
    layer.brush_size = 60
    layer.paint((64, 64), 0)
    wait_until(lambda: opened.session.sitting.state.tissue is not None)
    wait_until(lambda: not opened._work.busy)
    assert "edited by you" in panel.facts.text()
    assert opened.session.cost().depths[0].nodes < price
    opened.session.sitting.undo()
    wait_until(lambda: not opened._work.busy and "by its stain" in panel.facts.text())
    assert np.array_equal(viewer.layers["Tissue"].data, before)


def test_tissue_is_imported_from_geojson_and_a_bad_file_is_one_sentence(
    opened, tmp_path, wait_until
):
    ring = [[0, 0], [2048, 0], [2048, 4096], [0, 4096], [0, 0]]
    path = tmp_path / "tissue.geojson"
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    opened.slide.import_tissue(path)
    wait_until(lambda: not opened._work.busy)
    values = opened.session.prepared.tissue.values
    assert values[:, : values.shape[1] // 2].all()
    assert not values[:, values.shape[1] // 2 :].any()
    path.write_text("no")
    opened.slide.import_tissue(path)
    assert "tissue.geojson" in opened.slide.tissue_panel.error.text()


def test_a_layer_of_another_plugin_becomes_the_tissue(opened, viewer, wait_until):
    mpp = opened.session.mpp
    values = np.zeros((64, 64), np.uint8)
    values[:, :32] = 3
    half = 4096 / 64
    shift = (half - 1) / 2 * mpp
    viewer.add_labels(values, name="theirs", scale=(half * mpp,) * 2, translate=(shift,) * 2,
                      units=("um", "um"))  # fmt: skip
    opened.slide.tissue_panel.buttons["layer"].click()
    wait_until(lambda: not opened._work.busy)
    found = opened.session.prepared.tissue.values
    assert found[:, : found.shape[1] // 2].all()
    assert not found[:, found.shape[1] // 2 :].any()
    viewer.layers.selection.active = viewer.layers["phantom.tiff"]
    opened.slide.tissue_panel.buttons["layer"].click()
    assert "Labels or Shapes layer" in opened.slide.tissue_panel.error.text()


def test_a_slide_that_is_dropped_on_the_dock_is_opened(dock, viewer, phantom, wait_until):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(phantom))])
    event = QDropEvent(
        QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    dock.dropEvent(event)
    wait_until(lambda: dock.session.slide is not None and not dock._work.busy)
    assert names(viewer) == ["phantom.tiff"]


def test_the_last_slides_are_offered_and_can_be_forgotten(opened):
    menu = opened.slide_panel.recent
    assert menu.actions()[0].text() == "phantom.tiff"
    menu.actions()[-1].trigger()
    assert menu.isEmpty()


def test_a_broken_list_of_recent_slides_is_an_empty_one(tmp_path):
    file = tmp_path / "recent.json"
    recent = RecentSlides(file)
    for name in ("a", "b", "a"):
        (tmp_path / name).touch()
        recent.add(tmp_path / name)
    assert [path.name for path in recent.paths()] == ["a", "b"]
    (tmp_path / "b").unlink()
    assert [path.name for path in recent.paths()] == ["a"]
    file.write_text("{")
    assert recent.paths() == []


def test_what_the_dock_tells_of_a_slide_names_no_patient(dock, slides_dir, tmp_path, wait_until):
    open_slide(dock, shutil.copy(slides_dir / "CMU-1-Small-Region.svs", tmp_path), wait_until)
    facts = dock.slide_panel.facts.text()
    assert "Aperio" in facts
    assert "not shown: " in facts
    assert "label" in facts


def sentences(dock):
    """What the dock says in the Slide tab and about the run."""
    return dock.slide_panel.warning.text(), dock.run_panel.error.text()


@pytest.mark.parametrize(
    ("name", "states", "true_mpp"),
    [
        ("CMU-1-wrong-mpp.jpeg.tiff", "0.00499 µm", 0.499),
        ("openslide-python-boxes.tiff", "352.8 µm", 0.25),
    ],
)
def test_an_implausible_pixel_size_is_asked_for_typed_and_the_cascade_runs(
    opened, viewer, slides_dir, tmp_path, wait_until, name, states, true_mpp
):
    panel = opened.slide_panel
    assert "mm² of tissue" in opened.slide.tissue_panel.facts.text()
    opened.open(shutil.copy(slides_dir / name, tmp_path))
    wait_until(lambda: not opened._work.busy and opened.session.slide.name == name)
    wait_until(lambda: not opened._work.busy)
    click(opened.run_panel.run_button)
    wait_until(lambda: not opened._work.busy)
    for said in sentences(opened):
        assert f"{name} states a pixel size of {states}" in said
        assert said.endswith("so it is not used; enter the µm per pixel in the Slide tab")
    # Nothing of the slide before is told of this one, nor what hangs on a pixel size.
    assert "mm² of tissue" not in opened.slide.tissue_panel.facts.text()
    opened.slide.show_view()
    assert opened.slide.view_panel.magnification.currentText() == "–"
    field = panel.mpp_input.lineEdit()
    field.selectAll()
    QTest.keyClicks(field, panel.mpp_input.locale().toString(true_mpp, "f", 3))
    click(panel.mpp_button)
    wait_until(lambda: not opened._work.busy and opened.session.slide.mpp == true_mpp)
    wait_until(lambda: not opened._work.busy)
    run(opened, wait_until)
    assert opened.session.state == "done"
    assert opened.session.result.slide.mpp == true_mpp
    assert sentences(opened)[1] == ""
    assert viewer.layers[0].scale.tolist() == [true_mpp] * 2


def test_a_fluorescence_slide_shows_its_channels_and_the_dock_says_what_the_model_wants(
    opened, viewer, slides_dir, wait_until
):
    name = "pathml-small_vectra.qptiff"
    opened.open(slides_dir / name)
    wait_until(lambda: not opened._work.busy and opened.session.slide.name == name)
    wait_until(lambda: not opened._work.busy)
    assert [layer.name for layer in viewer.layers if layer.name.startswith(name)] == [
        f"{name} · {channel}" for channel in ("DAPI", "FITC", "Cy3")
    ]
    # The overview is bright enough to find one's way, though the scan uses a tenth of its range.
    overview = opened.desk.corners.navigator._picture
    assert np.percentile(overview, 95) > 100
    says = "has 3 fluorescence channels, and the cascade needs RGB brightfield"
    assert says in opened.slide.tissue_panel.facts.text()
    click(opened.run_panel.run_button)
    wait_until(lambda: not opened._work.busy)
    assert says in opened.run_panel.error.text()
    assert opened.run_panel.run_button.isEnabled()
