from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_hagmil.attention import branch_outlines
from napari_hagmil.quadtree import PatchGrid, children

GRIDS = (PatchGrid(16, 2.0, (2, 2)), PatchGrid(16, 1.0, (4, 4)))
SHAPE = (64, 64)
NONE = np.empty((0, 2), np.int64)


def _stages():
    coarse = np.array([(0, 0), (0, 1), (1, 0)])
    followed, pinned = np.array([True, True, False]), np.array([False, True, False])
    fine = children(coarse[followed])[:-1]
    nothing = np.zeros(len(fine), bool)
    return (
        SimpleNamespace(depth=0, nodes=coarse, followed=followed, pinned=pinned, unread=NONE),
        SimpleNamespace(
            depth=1, nodes=fine, followed=nothing, pinned=nothing, unread=np.array([(1, 3)])
        ),
    )


def test_every_node_has_an_outline_that_says_what_became_of_it():
    outlines = branch_outlines(GRIDS, _stages(), slide_shape=SHAPE)
    assert outlines.status.tolist() == ["cut", "followed", "pinned", *["leaf"] * 7, "unread"]
    assert outlines.depth.tolist() == [0] * 3 + [1] * 8
    assert outlines.rectangles.shape == (11, 4, 2)


def test_without_an_inset_outlines_lie_on_pixel_edges():
    outlines = branch_outlines(GRIDS, _stages(), slide_shape=SHAPE, inset=0)
    followed = outlines.only("followed").rectangles[0]
    np.testing.assert_array_equal(
        followed, [(-0.5, -0.5), (-0.5, 31.5), (31.5, 31.5), (31.5, -0.5)]
    )


def test_children_keep_inside_their_parents_outline():
    outlines = branch_outlines(GRIDS, _stages(), slide_shape=SHAPE)
    parent = outlines.only("followed").rectangles[0]
    for child in outlines.only("leaf").rectangles[:4]:
        assert (child.min(axis=0) > parent.min(axis=0)).all()
        assert (child.max(axis=0) < parent.max(axis=0)).all()


def test_a_running_cascade_has_no_leaves_yet():
    assert "leaf" not in branch_outlines(GRIDS, _stages()[:1], slide_shape=SHAPE).status


def test_nothing_visited_gives_no_outline():
    outlines = branch_outlines((), (), slide_shape=SHAPE)
    assert outlines.rectangles.shape == (0, 4, 2)
    assert outlines.only("leaf").depth.shape == (0,)


def test_insets_must_leave_something_of_a_patch():
    with pytest.raises(ValueError, match="below half a patch"):
        branch_outlines(GRIDS, _stages(), slide_shape=SHAPE, inset=0.3)


@given(st.integers(1, 64), st.integers(1, 64), st.sampled_from([0, 0.02, 0.2]))
def test_no_outline_leaves_the_slide_and_what_lies_beyond_has_none(height, width, inset):
    outlines = branch_outlines(GRIDS, _stages(), slide_shape=(height, width), inset=inset)
    corners = outlines.rectangles
    assert (corners >= -0.5).all()
    assert (corners <= np.array([height, width]) - 0.5).all()
    assert (corners[:, 0] < corners[:, 2]).all()
    whole = branch_outlines(GRIDS, _stages(), slide_shape=SHAPE, inset=0)
    on_slide = (whole.rectangles[:, 0] < np.array([height, width]) - 0.5).all(axis=1)
    assert outlines.status.tolist() == whole.status[on_slide].tolist()
