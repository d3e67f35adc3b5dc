"""The dock through real clicks in a real window."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLabel

from napari_hagmil.cascade import Cost
from napari_hagmil.uncertainty import Uncertainty
from napari_hagmil.widgets.cascade.dock import CascadeDock

pytestmark = pytest.mark.window


@pytest.fixture
def dock(viewer, scratch_bundle, wait_until):
    made = CascadeDock(viewer)
    viewer.window.add_dock_widget(made, name="HAG-MIL", area="right")
    made.run_panel.add_model(str(scratch_bundle))
    yield made
    wait_until(lambda: not made._work.busy)
    made.close()


def pages(widget):
    tabs = widget.window().findChild(CascadeDock).tabs
    return [tabs.widget(i) for i in range(tabs.count())]


def click(button):
    page = next(p for p in pages(button) if p.isAncestorOf(button))
    page.window().findChild(CascadeDock).tabs.setCurrentWidget(page)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def open_slide(dock, path, wait_until):
    dock.open(path)
    wait_until(lambda: not dock._work.busy and dock.session.slide is not None)


def run(dock, wait_until):
    click(dock.run_panel.run_button)
    assert dock.session.state == "running"
    wait_until(lambda: not dock._work.busy)


def names(viewer):
    return [layer.name for layer in viewer.layers]


def test_before_a_slide_is_open_there_is_nothing_to_run(dock):
    assert not dock.run_panel.run_button.isEnabled()
    assert not dock.run_panel.cancel_button.isEnabled()
    assert dock.slide_panel.name.text() == "No slide is open."
    assert dock.cascade.findings.prediction.text() == "Open a slide first, in the Slide tab."


def test_clicking_run_brings_a_layer_per_depth_the_branches_and_the_regions_to_the_canvas(
    dock, viewer, phantom, wait_until
):
    open_slide(dock, phantom, wait_until)
    assert names(viewer) == ["phantom.tiff"]
    wait_until(lambda: viewer.layers[0].loaded)
    bare = viewer.screenshot(canvas_only=True, flash=False).astype(int)
    assert bare.std() > 10
    seen = []
    dock.session.stage_found.connect(lambda stage: seen.append(names(viewer)))
    run(dock, wait_until)
    assert dock.session.state == "done"
    assert sum("Attention" in name for name in seen[0]) <= 1
    assert names(viewer) == [
        "phantom.tiff",
        "Attention 10×",
        "Attention 20×",
        "Attention 40×",
        "Branches",
        "Attention regions",
    ]
    assert all([str(u) for u in layer.units] == ["micrometer"] * 2 for layer in viewer.layers)
    assert [layer.visible for layer in viewer.layers] == [True, False, False, True, True, True]
    assert "at 40×" in dock.findings.prediction.text()
    assert "patches with tissue looked at (" in dock.findings.cost.text()
    covered = viewer.screenshot(canvas_only=True, flash=False).astype(int)
    assert (np.abs(covered - bare).max(-1) > 20).mean() > 0.01


def test_running_again_with_a_larger_budget_encodes_only_new_branches(
    dock, viewer, phantom, wait_until
):
    open_slide(dock, phantom, wait_until)
    run(dock, wait_until)
    features = dock.session.prepared.features
    first = features.patches_encoded
    dock.run_panel.budgets[0].setValue(5)
    run(dock, wait_until)
    assert dock.session.prepared.features is features
    assert dock.session.stages[0].followed.sum() == 5
    assert 0 < features.patches_encoded - first < first
    assert names(viewer).count("Attention 10×") == 1


def test_a_slide_can_be_opened_and_read_in_one_go(dock, phantom, wait_until):
    dock.open(phantom, run=True)
    wait_until(lambda: dock.session.state == "done")
    assert len(dock.session.stages) == 3


def test_a_slide_opened_by_napari_is_taken_over(dock, viewer, phantom, wait_until):
    from napari_hagmil.plugin.reader import read_layers

    ((data, meta, _),) = read_layers(str(phantom))
    viewer.add_image(data, **meta)
    wait_until(lambda: dock.session.slide is not None and not dock._work.busy)
    assert names(viewer) == ["phantom.tiff"]
    assert dock.run_panel.run_button.isEnabled()


def test_cancel_keeps_what_was_found_and_the_next_run_starts_clean(
    dock, viewer, phantom, wait_until
):
    open_slide(dock, phantom, wait_until)
    dock.run_panel.budgets[0].setValue(40)
    dock.session.stage_found.connect(lambda stage: click(dock.run_panel.cancel_button))
    run(dock, wait_until)
    dock.session.stage_found.disconnect()
    assert dock.session.state == "cancelled"
    assert len(dock.session.stages) == 1
    assert "Attention 10×" in names(viewer)
    assert "Cancelled" in dock.findings.notes.text()


def test_the_pointer_is_answered_with_raw_attention_and_rank(dock, viewer, phantom, wait_until):
    open_slide(dock, phantom, wait_until)
    run(dock, wait_until)
    stage = dock.session.stages[0]
    best = int(stage.attention.argmax())
    centre = (stage.nodes[best] + 0.5) * dock.session.grids[0].stride
    (facts, *_) = dock.session.node_facts(*centre)
    assert facts.attention == pytest.approx(float(stage.attention[best]))
    assert (facts.rank, facts.score, facts.status) == (1, 100, "followed")

    class Event:
        position = tuple(0.25 * centre)

    for callback in viewer.mouse_move_callbacks:
        callback(viewer, Event)
    assert f"<td>{facts.attention:.3g}</td>" in dock.pointer.label.text()
    assert f"<td>1/{facts.n_nodes}" in dock.pointer.label.text()
    assert {f.status for f in dock.session.node_facts(1.0, 1.0)} == {"not visited"}


def test_a_broken_file_is_one_sentence_and_the_open_slide_stays(
    dock, viewer, phantom, tmp_path, wait_until
):
    open_slide(dock, phantom, wait_until)
    broken = tmp_path / "broken.svs"
    broken.write_bytes(phantom.read_bytes()[:700])
    dock.open(broken)
    wait_until(lambda: not dock._work.busy)
    assert "broken.svs" in dock.slide_panel.error.text()
    assert dock.session.slide.name == "phantom.tiff"
    assert dock.run_panel.run_button.isEnabled()


def test_a_slide_without_tissue_is_one_sentence(dock, tmp_path, wait_until):
    path = tmp_path / "glass.tiff"
    glass = np.full((2048, 2048, 3), 242, np.uint8)
    tifffile.imwrite(
        path, glass, photometric="rgb", tile=(256, 256), resolution=(40000, 40000),
        resolutionunit="CENTIMETER",
    )  # fmt: skip
    open_slide(dock, path, wait_until)
    run(dock, wait_until)
    assert "glass.tiff shows no tissue" in dock.run_panel.error.text()
    assert dock.session.state == "failed"
    assert dock.run_panel.run_button.isEnabled()


def test_a_slide_without_pixel_size_is_asked_for_it(dock, viewer, slides_dir, tmp_path, wait_until):
    path = shutil.copy(slides_dir / "histoprep-slide.jpeg", tmp_path)
    open_slide(dock, path, wait_until)
    assert dock.slide_panel.mpp_row.isVisibleTo(dock)
    click(dock.run_panel.run_button)
    wait_until(lambda: not dock._work.busy)
    assert "pixel size" in dock.run_panel.error.text()
    dock.slide_panel.mpp_input.setValue(0.5)
    click(dock.slide_panel.mpp_button)
    wait_until(lambda: not dock._work.busy)
    assert dock.session.slide.mpp == 0.5
    assert "set by you" in dock.slide_panel.facts.text()
    assert viewer.layers[0].scale.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("name", ["CMU-1-wrong-mpp.jpeg.tiff", "openslide-python-boxes.tiff"])
def test_an_implausible_pixel_size_is_named_and_asked_for(
    dock, slides_dir, tmp_path, wait_until, name
):
    open_slide(dock, shutil.copy(slides_dir / name, tmp_path), wait_until)
    assert dock.session.slide.mpp is None
    assert dock.slide_panel.mpp_row.isVisibleTo(dock)
    said = " ".join(label.text() for label in dock.slide_panel.findChildren(QLabel))
    assert "states a pixel size of" in said
    assert "outside the plausible" in said
    dock.slide_panel.mpp_input.setValue(0.499)
    click(dock.slide_panel.mpp_button)
    wait_until(lambda: not dock._work.busy)
    assert dock.session.slide.mpp == 0.499


def test_slides_with_and_without_pixel_size_can_follow_each_other(
    dock, viewer, phantom, slides_dir, wait_until, qapp
):
    for path in (phantom, slides_dir / "histoprep-slide.jpeg", phantom):
        open_slide(dock, path, wait_until)
        viewer.screenshot(canvas_only=True, flash=False)
        assert names(viewer) == [path.name]


def test_a_fluorescence_slide_is_shown_and_refused_in_one_sentence(
    dock, viewer, slides_dir, wait_until
):
    open_slide(dock, slides_dir / "pathml-small_vectra.qptiff", wait_until)
    assert len(viewer.layers) == 3
    run(dock, wait_until)
    assert "the cascade needs RGB brightfield" in dock.run_panel.error.text()


def test_cuda_where_there_is_none_is_one_sentence(dock, phantom, wait_until):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("the machine has a GPU")
    open_slide(dock, phantom, wait_until)
    dock.run_panel.device.setCurrentText("cuda")
    run(dock, wait_until)
    assert "'cuda' was asked for" in dock.run_panel.error.text()
    assert dock.session.state == "failed"
    assert dock.run_panel.run_button.isEnabled()


def test_a_depth_finer_than_the_slide_says_so_and_the_last_one_asks_for_no_number(
    dock, slides_dir, wait_until
):
    rows = dock.run_panel.rows
    open_slide(dock, slides_dir / "CMU-1-Small-Region.svs", wait_until)  # ends at 20×
    wait_until(lambda: rows[-1].price.text() == "not available: this slide ends at 20×")
    assert [row.spin.isEnabled() for row in rows[:2]] == [True, False]


def test_a_device_that_is_not_there_is_named_before_the_run(dock, wait_until):
    wait_until(lambda: not dock.cascade._choices.busy)
    panel = dock.run_panel
    absent = next((name for name, missing in panel._devices.items() if missing), None)
    assert absent is not None, "no machine has both CUDA and MPS"
    panel.device.setCurrentText(absent)
    assert f"'{absent}' was asked for" in panel.missing_device.text()
    panel.device.setCurrentText("cpu")
    assert not panel.missing_device.isVisible()


def test_findings_of_more_patches_than_have_tissue_are_no_share_above_one(dock):
    seconds = dict.fromkeys(("read", "encode", "model", "total"), 1.0)
    result = SimpleNamespace(
        cost=Cost(380, 300, 64, 48, 0, seconds),
        notes=(),
        state="done",
        unfit="",
        uncertainty=Uncertainty(),
    )
    dock.cascade.findings.show_result(result)
    words = dock.cascade.findings.cost.text()
    assert words.startswith("380 patches looked at: all 300 with tissue, and glass beside them")
    assert "%" not in words


def test_a_broken_bundle_is_one_sentence(dock, scratch_bundle, tmp_path):
    copy = tmp_path / "copy.hagmil"
    shutil.copytree(scratch_bundle, copy)
    (copy / "config.json").write_text("{}")
    dock.run_panel.add_model(str(copy))
    assert dock.run_panel.missing.text()
    assert dock.session.model_name == str(scratch_bundle)


def test_the_dock_fits_a_small_window(dock, viewer, phantom, wait_until):
    open_slide(dock, phantom, wait_until)
    run(dock, wait_until)
    assert dock.width() <= 420
    for page in pages(dock.run_panel):
        assert page.content.minimumSizeHint().width() <= page.viewport().width()
