"""Faults in the window: what a run meets in its middle leaves the window usable."""

from __future__ import annotations

import shutil
import threading
import time
from functools import partial

import pytest
import torch
from test_cascade_dock import click, dock, names, open_slide, run

from napari_hagmil.errors import SlideReadError
from napari_hagmil.features import LazyFeatures
from napari_hagmil.widgets.cascade.dock import CascadeDock

pytestmark = pytest.mark.window

__all__ = ["dock"]

FAULTS = (
    (RuntimeError("worker broke"), "Unexpected RuntimeError: worker broke"),
    (MemoryError(), "The memory is too small for this; lower the budget"),
    (torch.OutOfMemoryError("CUDA out of memory"), "The memory is too small for this"),
    (torch.AcceleratorError("CUDA error: device lost"), "CUDA error: device lost"),
    (OSError(5, "Input/output error"), "Input/output error"),
)


@pytest.fixture
def at_depth_one(monkeypatch):
    """Something that happens in the worker when depth 1 is asked for, once."""
    ask, happens = LazyFeatures.__call__, []

    def asked(self, depth, nodes):
        if depth == 1 and happens:
            happens.pop()()
        return ask(self, depth, nodes)

    monkeypatch.setattr(LazyFeatures, "__call__", asked)
    return happens


def unfinished(dock):
    return dock.findings.prediction.text()


def test_a_worker_that_fails_leaves_its_overlay_no_class_and_a_window_that_runs_again(
    dock, viewer, phantom, wait_until, at_depth_one
):
    def fail_with(error):
        raise error

    open_slide(dock, phantom, wait_until)
    for error, said in FAULTS:
        at_depth_one.append(partial(fail_with, error))
        run(dock, wait_until)
        assert dock.session.state == "failed"
        assert said in dock.run_panel.error.text()
        wait_until(lambda: "Attention 10×" in names(viewer))
        assert unfinished(dock) == "Unfinished: no class. The run ended after 10×."
        assert dock.session.result is None
    run(dock, wait_until)
    assert dock.session.state == "done"
    assert dock.run_panel.error.text() == ""
    assert unfinished(dock).startswith(dock.session.result.prediction.predicted_class)


def test_a_failed_run_replaces_nothing_of_a_complete_one(
    dock, viewer, phantom, wait_until, at_depth_one
):
    open_slide(dock, phantom, wait_until)
    run(dock, wait_until)
    wait_until(lambda: "Attention 40×" in names(viewer))
    before = unfinished(dock), dock.session.result, names(viewer)

    def fail():
        raise SlideReadError("the slide", "is gone", remedy="bring it back")

    at_depth_one.append(fail)
    dock.run_panel.budgets[0].setValue(9)
    wait_until(lambda: not dock._work.busy)
    run(dock, wait_until)
    assert not at_depth_one
    assert dock.session.state == "failed"
    assert (unfinished(dock), dock.session.result, names(viewer)) == before


def test_layers_renamed_reordered_and_deleted_in_mid_run_cost_nothing_but_themselves(
    dock, viewer, phantom, wait_until, at_depth_one
):
    open_slide(dock, phantom, wait_until)
    go = threading.Event()
    at_depth_one.append(lambda: go.wait(30))
    click(dock.run_panel.run_button)
    wait_until(lambda: "Attention 10×" in names(viewer))
    viewer.layers["Attention 10×"].name = "mine"
    viewer.layers.move(0, len(viewer.layers))
    viewer.layers.remove("Branches")
    go.set()
    wait_until(lambda: not dock._work.busy)
    assert dock.session.state == "done"
    wait_until(lambda: {"mine", "Attention 40×", "Branches"} <= set(names(viewer)))
    for layer in list(viewer.layers):
        if layer.name != phantom.name:
            viewer.layers.remove(layer)
    dock.run_panel.budgets[0].setValue(9)
    wait_until(lambda: not dock._work.busy)
    run(dock, wait_until)
    assert dock.session.state == "done"
    wait_until(lambda: "Branches" in names(viewer))


def test_a_slide_whose_file_goes_in_mid_run_is_told_and_another_can_be_opened(
    dock, viewer, phantom, wait_until, at_depth_one, tmp_path
):
    path = tmp_path / "gone.tiff"
    shutil.copy(phantom, path)
    open_slide(dock, path, wait_until)
    at_depth_one.append(path.unlink)
    run(dock, wait_until)
    assert dock.session.state in ("done", "failed")
    told = dock.findings.notes.text() + dock.run_panel.error.text()
    assert "The slide's file changed while it was open" in told
    open_slide(dock, phantom, wait_until)
    run(dock, wait_until)
    assert dock.session.state == "done"


@pytest.mark.parametrize("stuck", [False, True], ids=["at a patch", "in a long read"])
def test_closing_in_mid_run_takes_less_than_two_seconds_and_leaves_no_draft(
    viewer, scratch_bundle, phantom, wait_until, at_depth_one, stuck
):
    made = CascadeDock(viewer)
    viewer.window.add_dock_widget(made, name="HAG-MIL", area="right")
    made.run_panel.add_model(str(scratch_bundle))
    open_slide(made, phantom, wait_until)
    inside = threading.Event()

    def read():
        inside.set()
        if stuck:
            time.sleep(6)  # a disk that answers late; nothing can end it

    at_depth_one.append(read)
    click(made.run_panel.run_button)
    wait_until(inside.is_set)
    started = time.perf_counter()
    made.close()
    took = time.perf_counter() - started
    assert took < 2
    wait_until(lambda: not made._work.busy)
    left = [path.name for path in phantom.parent.rglob("*") if path.name.startswith(".")]
    assert [name for name in left if "part" in name or "draft" in name] == []
