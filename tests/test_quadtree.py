from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from napari_hagmil.quadtree import (
    PatchGrid,
    build_quadtree,
    children,
    coverage,
    parents,
    z_order,
)


@dataclass
class Mask:
    values: np.ndarray
    downsample: float


nodes = npst.arrays(
    np.int64, st.tuples(st.integers(1, 40), st.just(2)), elements=st.integers(0, 4000)
)
downsamples = st.floats(0.8, 37.0, allow_nan=False)


@given(nodes)
def test_parents_invert_children(some):
    assert (parents(children(some)) == np.repeat(some, 4, axis=0)).all()


@given(nodes)
def test_child_c_of_node_i_stands_at_4i_plus_c(some):
    rows = children(some)
    assert len(rows) == 4 * len(some)
    for c, offset in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        assert (rows[c::4] == 2 * some + offset).all()


@given(nodes, st.integers(1, 512), downsamples)
def test_children_tile_their_parent_exactly_whatever_the_downsample(some, patch_size, downsample):
    coarse = PatchGrid(patch_size, 2 * downsample, (8000, 8000))
    fine = PatchGrid(patch_size, downsample, (16000, 16000))
    y0, x0, y1, x1 = coarse.edges(some).T
    quads = fine.edges(children(some)).reshape(-1, 4, 4)
    assert (quads[:, [0, 1], 0] == y0[:, None]).all()
    assert (quads[:, [2, 3], 2] == y1[:, None]).all()
    assert (quads[:, [0, 2], 1] == x0[:, None]).all()
    assert (quads[:, [1, 3], 3] == x1[:, None]).all()
    assert (quads[:, 0, 2] == quads[:, 2, 0]).all()
    assert (quads[:, 0, 3] == quads[:, 1, 1]).all()


@given(nodes)
def test_z_order_lists_the_children_of_a_node_together(some):
    unique = np.unique(some, axis=0)
    ordered = unique[z_order(unique)]
    below = children(ordered)
    assert (below[z_order(below)] == below).all()


@settings(max_examples=40)
@given(
    npst.arrays(bool, st.tuples(st.integers(1, 30), st.integers(1, 30))),
    st.integers(1, 64),
    st.floats(1.0, 40.0),
)
def test_coverage_adds_up_to_the_area_of_the_mask(values, patch_size, downsample):
    mask = Mask(values, downsample)
    shape = tuple(int(np.ceil(s * downsample / patch_size)) + 1 for s in values.shape)
    grid = PatchGrid(patch_size, 1.0, shape)
    share = coverage(mask, grid)
    assert share.sum() * patch_size**2 == pytest.approx(values.sum() * downsample**2)
    assert share.min() >= -1e-9
    assert share.max() <= 1 + 1e-9


def test_grids_cover_the_slide_and_double_from_depth_to_depth():
    mask = Mask(np.ones((40, 30), bool), 32.0)
    tree = build_quadtree(
        mask, slide_shape=(1280, 960), patch_size=100, downsamples=(4.0, 2.0, 1.0)
    )
    assert [grid.shape for grid in tree.grids] == [(4, 3), (8, 6), (16, 12)]
    edges = tree.grids[0].edges(tree.nodes[0])
    assert (edges.max(0)[2:] >= (1280, 960)).all()


def test_only_nodes_with_tissue_are_kept():
    values = np.zeros((64, 64), bool)
    values[10:20, 40:60] = True
    tree = build_quadtree(
        Mask(values, 16.0), slide_shape=(1024, 1024), patch_size=64, downsamples=(2.0, 1.0)
    )
    for grid, kept in zip(tree.grids, tree.nodes, strict=True):
        for node in kept:
            region = grid.region(node)
            window = values[
                region.y // 16 : -(-region.stop[0] // 16), region.x // 16 : -(-region.stop[1] // 16)
            ]
            assert window.any()
    assert {tuple(n) for n in parents(tree.nodes[1])} <= {tuple(n) for n in tree.nodes[0]}


def test_an_empty_mask_gives_an_empty_tree():
    tree = build_quadtree(
        Mask(np.zeros((8, 8), bool), 8.0), slide_shape=(64, 64), patch_size=16, downsamples=(1.0,)
    )
    assert [len(kept) for kept in tree.nodes] == [0]


def test_downsamples_that_do_not_halve_are_refused():
    with pytest.raises(ValueError, match="halve from depth to depth"):
        build_quadtree(
            Mask(np.ones((8, 8), bool), 8.0),
            slide_shape=(64, 64),
            patch_size=16,
            downsamples=(3.0, 1.0),
        )


class TestPatchesThatOthersCut:
    """Grids whose patches overlap, or start between a quadtree's lines."""

    GRID = PatchGrid(256, 2.0, (12, 12), span=4, origin=(40.0, 8.0))

    def test_lie_where_their_edges_say(self):
        assert self.GRID.stride == 128
        assert self.GRID.edges(np.array([[0, 0], [3, 1]])).tolist() == [
            [40, 8, 552, 520],
            [424, 136, 936, 648],
        ]
        assert self.GRID.centres(np.array([[0, 0]])).tolist() == [[40 + 255.5, 8 + 255.5]]

    def test_hold_the_points_between_their_edges_and_no_others(self):
        nodes = np.array([[0, 0], [3, 0]])
        held = [self.GRID.holding(nodes, (y, 8)).tolist() for y in (39.4, 40, 424, 551, 552)]
        assert held == [[False] * 2, [True, False], [True] * 2, [True] * 2, [False, True]]

    def test_are_drawn_there_as_the_mean_of_those_that_overlap(self):
        from napari_hagmil.attention import attention_map, value_at

        amap = attention_map(self.GRID, np.array([[0, 0], [3, 0]]), [1.0, 3.0])
        found = [value_at(amap, y, 8) for y in (39, 40, 423, 424, 551, 552, 935, 936)]
        assert np.array_equal(found, [np.nan, 1, 1, 2, 2, 3, 3, np.nan], equal_nan=True)
