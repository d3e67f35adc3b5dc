"""What a cancelled run, and a budget that is only tried, leave as it was."""

import pytest
from test_budget import settled
from test_cascade_dock import click, dock, names, open_slide, run

from napari_hagmil.widgets.review.dock import ReviewDock

pytestmark = pytest.mark.window
__all__ = ["dock"]


@pytest.fixture
def docks(dock, viewer, phantom, wait_until):
    """Both docks over a slide that is made ready."""
    review = ReviewDock(viewer)
    viewer.window.add_dock_widget(review, name="HAG-MIL review", area="right", tabify=True)
    open_slide(dock, phantom, wait_until)
    wait_until(lambda: not dock._work.busy)
    yield dock, review
    wait_until(lambda: not review.queue.thumbnails._work.busy)
    review.close()


def rested(dock):
    return settled(dock) and not dock._find_regions._hasPendingEmission


def everything(dock, review, viewer):
    """What the user sees of the result, and what the journal holds of it."""
    dock.session.sitting.journal.flush()
    return (
        names(viewer),
        [layer.visible for layer in viewer.layers],
        dock.findings.prediction.text(),
        [row.counts.text() for row in dock.findings.rows.values()],
        review.review.state,
        review.review.current,
        review.queue.facts.text(),
        dock.session.sitting.journal.path.read_bytes(),
    )


def cancel_at_the_next_patch(dock):
    """Press Cancel as soon as the run has begun to encode."""
    pressed = []

    def press(progress):
        if not pressed:
            pressed.append(progress.depth)
            click(dock.run_panel.cancel_button)

    dock.cascade._relay.sent.connect(press)
    return pressed


def test_a_cancelled_run_replaces_neither_findings_nor_layers_nor_queue(docks, viewer, wait_until):
    dock, review = docks
    run(dock, wait_until)
    wait_until(lambda: rested(dock))
    review.review.step(1)
    before = everything(dock, review, viewer)
    dock.run_panel.budgets[0].setValue(40)
    wait_until(lambda: rested(dock))
    assert everything(dock, review, viewer) == before
    pressed = cancel_at_the_next_patch(dock)
    run(dock, wait_until)
    wait_until(lambda: rested(dock))
    assert pressed
    assert dock.session.state == "cancelled"
    assert "complete one before it" in dock.findings.notes.text()
    assert everything(dock, review, viewer) == before


def test_the_first_run_shows_its_depths_but_fills_no_queue_when_it_is_cancelled(
    docks, viewer, wait_until
):
    dock, review = docks
    dock.session.stage_found.connect(lambda stage: click(dock.run_panel.cancel_button))
    run(dock, wait_until)
    wait_until(lambda: rested(dock))
    assert [stage.depth for stage in dock.session.stages] == [0]
    assert "Attention 10×" in names(viewer)
    headline = dock.findings.prediction
    assert headline.text() == "Unfinished: no class. The run ended after 10×."
    assert headline.property("ink") == "warning"
    review.review.find()
    assert review.review.state.regions == ()
    assert not review.queue.find.isEnabled()


def test_the_region_in_hand_stays_in_hand_when_regions_are_found_again(docks, wait_until):
    dock, review = docks
    run(dock, wait_until)
    wait_until(lambda: rested(dock))
    review.review.step(1)
    region = review.review.region()
    dock.run_panel.budgets[0].setValue(12)
    run(dock, wait_until)
    wait_until(lambda: rested(dock))
    assert dock.session.stages[0].followed.sum() == 12
    assert review.review.region() == region
    review.review.step(1)
    review.review.find()
    assert len({one.id for one in review.review.state.regions}) == len(review.review.state.regions)
