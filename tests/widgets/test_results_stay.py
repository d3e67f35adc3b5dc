"""A result is there again when its slide is opened again."""

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from test_budget import settled
from test_cascade_dock import click, dock, names, open_slide, run
from test_keyboard import drop

from napari_hagmil.cli.analyze import run_and_write
from napari_hagmil.export.analysis import FILES
from napari_hagmil.pipeline import analyze_slide
from napari_hagmil.plugin.reader import read_layers
from napari_hagmil.prepare import Options
from napari_hagmil.review import open_sitting
from napari_hagmil.session.recent import RecentBundles
from napari_hagmil.session.runs.keeping import keep, kept
from napari_hagmil.slide import open_slide as open_slide_file
from napari_hagmil.widgets.cascade.dock import CascadeDock

pytestmark = pytest.mark.window
__all__ = ["dock"]


@pytest.fixture
def closed(dock, viewer, phantom, wait_until):
    """The dock after a run and two decisions, its slide closed; and what was seen before."""
    open_slide(dock, phantom, wait_until)
    dock.run_panel.budgets[0].setValue(5)
    run(dock, wait_until)
    wait_until(lambda: settled(dock) and not dock._find_regions._hasPendingEmission)
    dock.review.step(1)
    dock.review.decide("accepted")
    seen = everything(dock, viewer)
    click(dock.slide_panel.close_button)
    wait_until(lambda: dock.session.slide is None)
    return dock, seen


def everything(dock, viewer):
    stages = dock.session.stages
    place = (stages[2].nodes[0] + 0.5) * dock.session.grids[2].stride
    attention = viewer.layers["Attention 40×"].data
    return (
        sorted(names(viewer)),
        dock.findings.prediction.text(),
        [spin.value() for spin in dock.run_panel.budgets],
        [(one.status, one.rank, one.score) for one in dock.session.node_facts(*place)],
        attention[attention == attention].tolist(),
        [(one.id, one.decision) for one in dock.review.state.regions],
        dock.review.current,
    )


def test_attention_class_budget_and_place_in_the_queue_are_there_within_a_second(
    closed, viewer, phantom, wait_until
):
    dock, seen = closed
    dock.run_panel.budgets[0].setValue(2)
    happened = []
    dock.session.slide_changed.connect(lambda slide: happened.append(time.thread_time()))
    dock.session.finished.connect(lambda result: happened.append(time.thread_time()))
    open_slide(dock, phantom, wait_until)
    journal = dock.session.sitting.journal.path.read_bytes()
    wait_until(lambda: settled(dock) and len(happened) == 2)
    assert happened[1] - happened[0] < 1  # of this thread: other work on the machine is not ours
    assert everything(dock, viewer) == seen
    assert dock.session.sitting.journal.path.read_bytes() == journal
    assert dock.findings.rows[0].counts.text().endswith("5 followed</b>")
    assert dock.findings.rows[0].verdict.text().endswith("%")  # and no seconds
    run(dock, wait_until)
    assert dock.session.questions() is not None


def test_a_result_of_other_weights_is_offered_and_not_shown(
    closed, viewer, phantom, tmp_path, wait_until, scratch_bundle
):
    dock, seen = closed
    dock.session.model_name = "demo"
    open_slide(dock, phantom, wait_until)
    wait_until(lambda: settled(dock))
    assert dock.session.result is None
    assert dock.findings.offer_button.text() == "Show the last result, of scratch"
    click(dock.findings.offer_button)
    assert dock.findings.prediction.text() == seen[1]
    assert not dock.findings.offer_button.isVisibleTo(dock)


def test_a_new_window_has_the_model_and_the_plan_that_the_result_was_found_with(
    viewer, phantom, wait_until, scratch_bundle
):
    with open_slide_file(phantom) as slide:
        options = Options(budget=(5, 3), device="cpu", last_depth=1)
        result = analyze_slide(slide, scratch_bundle, options=options)
        keep(open_sitting(phantom, slide.fingerprint), result)
    RecentBundles().add(scratch_bundle)
    dock = CascadeDock(viewer)
    viewer.window.add_dock_widget(dock, name="HAG-MIL", area="right")
    assert dock.run_panel.model.currentText() == "demo"
    open_slide(dock, phantom, wait_until)
    wait_until(lambda: settled(dock))
    assert dock.run_panel.model.currentText() == "scratch"
    assert dock.run_panel.down_to.currentText() == "20×"
    assert [spin.value() for spin in dock.run_panel.budgets] == [5, 3]
    assert dock.session.result.state == "done"
    click(dock.slide_panel.close_button)
    open_slide(dock, shutil.copy(phantom, phantom.with_name("other.tiff")), wait_until)
    wait_until(lambda: settled(dock))
    assert dock.run_panel.down_to.currentText() == "40×"
    assert [spin.value() for spin in dock.run_panel.budgets] == [4, 6]
    dock.close()


def test_a_result_of_what_the_file_held_before_is_offered_and_says_so(closed, phantom, wait_until):
    dock, seen = closed
    changed = shutil.copy(phantom, phantom.with_name("new"))
    with changed.open("ab") as file:
        file.write(b"0")
    changed.replace(phantom)
    open_slide(dock, phantom, wait_until)
    wait_until(lambda: settled(dock))
    assert dock.session.result is None
    assert "from before the file has changed" in dock.findings.offer_button.text()
    click(dock.findings.offer_button)
    assert dock.findings.prediction.text() == seen[1]
    assert dock.findings.notes.text().startswith("The file has changed since this result")


def test_undo_and_redo_of_a_pixel_size_bring_back_the_result_of_each(dock, phantom, wait_until):
    def of(mpp):
        return settled(dock) and dock.session.slide.mpp == mpp

    open_slide(dock, phantom, wait_until)
    run(dock, wait_until)
    first = dock.findings.prediction.text(), dock.findings.rows[0].counts.text().split(" · ")[0]
    dock.slide_panel.mpp_input.setValue(0.32)
    click(dock.slide_panel.mpp_button)
    wait_until(lambda: of(0.32))
    assert dock.session.result is None
    run(dock, wait_until)
    second = dock.session.result.cost.patches_exhaustive
    wait_until(lambda: not dock._find_regions._hasPendingEmission)
    while dock.session.sitting.state.mpp_override is not None:
        dock.review.undo()
    wait_until(lambda: of(0.25))
    shown = dock.findings.prediction.text(), dock.findings.rows[0].counts.text().split(" · ")[0]
    assert shown == first
    dock.review.redo()
    wait_until(lambda: of(0.32))
    assert dock.session.result.cost.patches_exhaustive == second
    assert dock.session.result.slide.mpp == 0.32


def test_a_folder_of_an_analysis_is_shown_when_it_is_dropped_on_its_slide(
    closed, viewer, phantom, tmp_path, wait_until
):
    dock, seen = closed
    open_slide(dock, phantom, wait_until)
    wait_until(lambda: settled(dock))
    folder = kept(dock.session.sitting, dock.session.slide)
    analysis = folder.rename(tmp_path / "analysis")
    click(dock.slide_panel.close_button)
    wait_until(lambda: dock.session.slide is None)
    drop(dock, analysis)
    assert "is of another slide" in dock.run_panel.error.text()
    other = shutil.copy(phantom, phantom.with_name("other.tiff"))
    open_slide(dock, other, wait_until)
    wait_until(lambda: settled(dock))
    assert dock.session.result is None
    drop(dock, analysis)
    assert dock.findings.prediction.text() == seen[1]
    assert len(dock.review.state.regions) > 0


def test_the_window_writes_what_analyze_writes(
    dock, phantom, tmp_path, wait_until, answers, scratch_bundle
):
    by_command = tmp_path / "command"
    with open_slide_file(phantom) as slide:
        run_and_write(slide, str(scratch_bundle), Options(device="cpu"), by_command)
    open_slide(dock, phantom, wait_until)
    dock.run_panel.device.setCurrentText("cpu")
    run(dock, wait_until)
    asked = answers(tmp_path / "window", tmp_path / "window", "Replace")
    for _ in range(2):
        click(dock.findings.save_button)
        wait_until(lambda: not dock._work.busy)
    assert [Path(one).name for one in asked[:2]] == ["phantom-analysis"] * 2
    assert "manifest.json" in asked[2]
    assert f"Written to {tmp_path / 'window'}." in dock.findings.notes.text()
    folders = tmp_path / "window", by_command
    for name in FILES:
        assert all((folder / name).exists() for folder in folders), name
    documents = [json.loads((folder / "result.json").read_text()) for folder in folders]
    for one in documents:
        one["cost"] = {key: one["cost"][key] for key in one["cost"] if "patches" in key}
        del one["start"]
        del one["settings"]["threads"]  # the window leaves a core to itself
    assert rounded(documents[0]) == rounded(documents[1])
    order = [("depth", "ascending"), ("row", "ascending"), ("column", "ascending")]
    tables = [pq.read_table(folder / "nodes.parquet").sort_by(order) for folder in folders]
    assert tables[0].schema == tables[1].schema
    for name in ("depth", "row", "column", "y", "x", "height", "width", "status"):
        assert tables[0][name].equals(tables[1][name]), name
    np.testing.assert_allclose(*(one["attention"].to_numpy() for one in tables), rtol=1e-3)


def rounded(value):
    """JSON with its numbers as far as two runs on one machine agree."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return float(f"{value:.3g}") if isinstance(value, float) else value


def test_a_folder_of_an_analysis_that_napari_opens_becomes_the_result(
    closed, viewer, phantom, tmp_path, wait_until
):
    dock, seen = closed
    open_slide(dock, phantom, wait_until)
    wait_until(lambda: settled(dock))
    kept(dock.session.sitting, dock.session.slide).rename(tmp_path / "analysis")
    click(dock.slide_panel.close_button)
    wait_until(lambda: dock.session.slide is None)
    open_slide(dock, phantom, wait_until)
    wait_until(lambda: settled(dock))
    assert dock.session.result is None
    for data, meta, kind in read_layers(str(tmp_path / "analysis")):
        getattr(viewer, f"add_{kind}")(data, **meta)
    wait_until(lambda: dock.session.result is not None)
    assert everything(dock, viewer) == seen
