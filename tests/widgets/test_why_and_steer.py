"""The Why and Steer tabs through the keys of a real window."""

import numpy as np
import pytest
from test_cascade_dock import click, dock, names, open_slide, run

pytestmark = pytest.mark.window
__all__ = ["dock"]


@pytest.fixture
def read(dock, phantom, tmp_path, wait_until):
    """A run on a copy of the phantom, for the review is kept beside the slide."""
    copy = tmp_path / "phantom.tiff"
    copy.write_bytes(phantom.read_bytes())
    open_slide(dock, copy, wait_until)
    run(dock, wait_until)
    return dock


def press(viewer, key):
    {str(one): function for one, function in viewer.keymap.items()}[key](viewer)


def point(dock, depth, node):
    centre = (np.array(node) + 0.5) * dock.session.grids[depth].stride
    event = type("Event", (), {"position": tuple(centre * dock.session.mpp)})
    for callback in dock.viewer.mouse_move_callbacks:
        callback(dock.viewer, event)
    return tuple(centre)


def cut(dock):
    stage = dock.session.stages[0]
    return stage.nodes[stage.attention.argmin()]


def test_a_held_place_stays_when_the_pointer_moves_on(read, viewer):
    point(read, 0, cut(read))
    told = read.pointer.label.text()
    assert "Cut: rank" in read.pointer.sentence.text()
    press(viewer, "W")
    assert "Held place" in names(viewer)
    point(read, 2, read.session.stages[2].nodes[0])
    assert read.pointer.label.text() == told
    press(viewer, "W")
    assert read.pointer.label.text() != told
    assert "Held place" not in names(viewer)


def test_the_place_is_shown_at_every_depth(read, wait_until):
    read.tabs.setCurrentWidget(read.why)
    point(read, 2, read.session.stages[2].nodes[0])
    strip = read.pointer.strip
    wait_until(lambda: all(leaf.picture is not None for leaf in strip.leaves))
    assert [leaf.label for leaf in strip.leaves] == ["10×", "20×", "40×"]
    assert [leaf.status for leaf in strip.leaves] == ["followed", "followed", "leaf"]
    assert strip.leaves[0].picture.std() > 5


def test_the_prediction_without_a_branch_is_told(read, viewer, wait_until):
    stage = read.session.stages[0]
    point(read, 0, stage.nodes[stage.attention.argmax()])
    press(viewer, "Shift+W")
    wait_until(lambda: not read._work.busy)
    assert read.why.without.answer.text().count("→") == 3


def test_a_place_that_was_not_looked_at_has_no_branch_to_take_away(read, viewer):
    point(read, 2, (0, 0))
    press(viewer, "Shift+W")
    assert "was not looked at" in read.why.without.note.text()


def test_a_branch_is_followed_by_key_and_the_next_run_shows_the_difference(
    read, viewer, wait_until
):
    node = cut(read)
    point(read, 0, node)
    press(viewer, "G")
    assert len(viewer.layers["Follow"].data) == 1
    assert read.steer.summary.text() == "1 branch to follow."
    click(read.steer.run_button)
    wait_until(lambda: not read._work.busy)
    assert (read.session.stages[0].nodes[read.session.stages[0].pinned] == node).all()
    assert "looked at +4 −0" in read.steer.changes.text()
    assert "Changed" in names(viewer)
    press(viewer, "G")
    assert read.session.sitting.state.pins == ()
    assert len(viewer.layers["Follow"].data) == 0


def test_a_place_is_left_out_by_key_and_comes_back_with_undo(read, viewer, wait_until):
    stage = read.session.stages[0]
    best = stage.nodes[stage.attention.argmax()]
    point(read, 0, best)
    press(viewer, "U")
    assert len(viewer.layers["Leave out"].data) == 1
    press(viewer, "Q")
    wait_until(lambda: not read._work.busy)
    assert read.session.stages[0].vetoed.tolist() == [best.tolist()]
    read.session.sitting.undo()
    assert len(viewer.layers["Leave out"].data) == 0
    assert read.session.steering.leave_out == ()


def test_what_is_drawn_is_left_out(read, viewer, wait_until):
    click(read.steer.draw_button)
    layer = viewer.layers["Leave out"]
    assert layer.mode == "add_polygon_lasso"
    layer.add_polygons(np.array([(0, 0), (0, 600), (600, 600), (600, 0)], float))
    wait_until(lambda: read.session.sitting.state.vetoes)
    (ring,) = read.session.steering.leave_out
    assert max(map(max, ring)) == pytest.approx(600 / 0.25)
    assert read.session.cost().depths[0].nodes < len(read.session.stages[0].nodes)


def test_a_second_look_tells_a_share_with_its_interval(read, viewer, wait_until):
    press(viewer, "Shift+G")
    wait_until(lambda: not read._work.busy)
    assert "95 % interval" in read.steer.answer.text() or "All" in read.steer.answer.text()
    assert "median of the followed ones" in read.steer.answer.text()


def test_steering_is_there_again_when_the_slide_is_opened_again(read, viewer, wait_until):
    point(read, 0, cut(read))
    press(viewer, "G")
    path = read.session.slide.path
    read.session.adopt(read.session.slide)
    open_slide(read, path, wait_until)
    assert len(viewer.layers["Follow"].data) == 1
