"""A result is there again when its slide is opened again."""

import shutil
import time

import pytest
from test_budget import settled
from test_cascade_dock import click, dock, names, open_slide, run
from test_keyboard import drop

from napari_hagmil.session.runs.keeping import kept

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


def test_a_folder_of_an_analysis_is_shown_when_it_is_dropped_on_its_slide(
    closed, viewer, phantom, tmp_path, wait_until
):
    dock, seen = closed
    open_slide(dock, phantom, wait_until)
    wait_until(lambda: settled(dock))
    folder = kept(dock.session.sitting, dock.session.slide.fingerprint)
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
