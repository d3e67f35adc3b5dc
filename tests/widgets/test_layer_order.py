"""Our layers keep their order whatever comes and goes; the eye and the bin are the user's."""

import random

import numpy as np
import pytest
from napari.components import ViewerModel
from test_cascade_dock import dock, names, open_slide, run

from napari_hagmil.plugin.layers import KEY
from napari_hagmil.widgets.layer_order import LayerOrder, rank_of
from napari_hagmil.widgets.review.dock import ReviewDock

__all__ = ["dock"]

FACTS = (
    {"path": "slide.svs"}, {"depth": 0}, {"depth": 1}, {"depth": 2}, {"unseen": True},
    {"quality": True}, {"epithelium": True}, {"likeness": True}, {"tissue": True},
    {"branches": True}, {"unread": True}, {"vetoes": True}, {"pins": True},
    {"review": "Attention regions"}, {"review": "Annotations"}, {"held": True},
)  # fmt: skip


def add(viewer, facts):
    return viewer.add_image(np.zeros((4, 4)), metadata={KEY: facts} if facts else {})


@pytest.mark.parametrize("seed", range(5))
def test_in_whatever_order_layers_come_they_lie_in_one(seed):
    viewer = ViewerModel()
    order = LayerOrder(viewer)
    coming = [*FACTS, None, None]
    random.Random(seed).shuffle(coming)
    others = [layer for facts in coming if (layer := add(viewer, facts)).metadata == {}]
    ranks = [rank for layer in viewer.layers if (rank := rank_of(layer)) is not None]
    assert ranks == sorted(ranks)
    assert len(ranks) == len(FACTS)
    assert rank_of(viewer.layers[0]) == rank_of(add(ViewerModel(), {"path": ""}))
    assert [layer for layer in viewer.layers if layer in others] == others
    del order


def test_a_slide_that_replaces_another_lies_below_the_layers_of_the_user():
    viewer = ViewerModel()
    order = LayerOrder(viewer)
    first, mine = add(viewer, {"path": "a"}), add(viewer, None)
    veto = add(viewer, {"vetoes": True})
    viewer.layers.remove(first)
    second = add(viewer, {"path": "b"})
    assert list(viewer.layers) == [second, mine, veto]
    viewer.layers.move(2, 1)  # where the user moves a layer, it stays
    add(viewer, {"pins": True})
    assert list(viewer.layers)[:2] == [second, veto]
    del order


@pytest.mark.window
def test_a_slide_that_opens_again_has_what_steers_it_in_sight_and_what_is_deleted_returns(
    dock, viewer, phantom, wait_until
):
    review = ReviewDock(viewer)
    viewer.window.add_dock_widget(review, name="HAG-MIL review", area="right", tabify=True)
    open_slide(dock, phantom, wait_until)
    run(dock, wait_until)
    dock.steer.follow_at((1000.0, 1000.0))
    dock.steer.leave_out_at((3000.0, 3000.0))
    dock.switch.close()
    wait_until(lambda: not viewer.layers)
    viewer.add_points(np.zeros((1, 2)), name="mine")
    open_slide(dock, phantom, wait_until)
    wait_until(lambda: not dock._work.busy and "Branches" in names(viewer))
    there = names(viewer)
    assert there[:2] == ["phantom.tiff", "mine"]
    ranks = [rank for layer in viewer.layers if (rank := rank_of(layer)) is not None]
    assert ranks == sorted(ranks)
    assert there.index("Follow") < there.index("Attention regions")
    assert there.index("Branches") < there.index("Leave out")
    # The eye in napari's list of layers.
    viewer.layers["Branches"].visible = False
    viewer.layers["Attention 40×"].visible = False
    viewer.layers["Attention 20×"].visible = True
    assert not dock.why.overlays.boxes["branches"].isChecked()
    assert not dock.findings.rows[2].box.isChecked()
    assert dock.findings.rows[1].box.isChecked()
    for name in ("Leave out", "Attention regions", "Attention 10×"):
        viewer.layers.remove(name)
    run(dock, wait_until)
    assert sorted(names(viewer)) == sorted(
        {*there, "Changed"} if "Changed" in names(viewer) else there
    )
    ranks = [rank for layer in viewer.layers if (rank := rank_of(layer)) is not None]
    assert ranks == sorted(ranks)
    assert not viewer.layers["Branches"].visible
    assert not viewer.layers["Attention 40×"].visible
    review.close()
