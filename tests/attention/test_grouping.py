"""Which patches make one region: those of a branch, and those with a small gap between them."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_hagmil.attention import AttentionMap, attention_map, find_regions
from napari_hagmil.attention.grouping import GAP_UM, group_places
from napari_hagmil.quadtree import PatchGrid

FAR = (10**6, 10**6)

masks = arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14)), fill=st.just(False))


def _map(shape, side=56.0, first=(0, 0)):
    """A map of `side` µm a node at 1 µm per pixel, the first of them at an address."""
    return AttentionMap(np.zeros(shape, np.float32), side, (first[0] * side, first[1] * side))


def _expected(mask, first, block, reach):
    """Groups of the chosen pixels by brute force: parents at most `reach` others apart."""
    places = np.argwhere(mask)
    parents = (places + first) // block
    group = list(range(len(parents)))
    for i, one in enumerate(parents):
        for j, other in enumerate(parents[:i]):
            if np.abs(one - other).max() <= reach + 1:
                group = [group[j] if g == group[i] else g for g in group]
    return places, group


@given(
    masks,
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.sampled_from([(56.0, 2, 1), (112.0, 1, 1), (224.0, 1, 0), (28.0, 2, 2)]),
)
def test_groups_are_what_the_rule_says_and_each_is_one_area(mask, first, scale):
    side, block, reach = scale
    labels = group_places(mask, _map(mask.shape, side, first), mpp=1.0, gap_um=GAP_UM)
    places, group = _expected(mask, first, block, reach)
    found = labels[tuple(places.T)]
    assert (found > 0).all()
    pairs = {(a, b) for a, b in zip(group, found.tolist(), strict=True)}
    assert len(pairs) == len(set(group)) == len(set(found.tolist()))
    for label in range(1, labels.max() + 1):
        area = (labels == label).astype(np.uint8)
        assert cv2.connectedComponents(area, connectivity=4)[0] == 2


def test_a_region_holds_its_patches_and_the_gap_between_them_highest_first():
    grid = PatchGrid(224, 1.0, (8, 40))
    nodes = np.array([(0, 0), (0, 1), (0, 4), (0, 5), (0, 30), *((7, c) for c in range(15))])
    attention = np.array([5.0, 9, 8, 7, 6, *([1.0] * 15)])
    near, far = find_regions(
        attention_map(grid, nodes, attention), mpp=0.25, slide_shape=FAR, quantile=0.75
    )
    # Two nodes are one parent of 112 µm; one parent lies between the two, and is part of it.
    assert near.bounds == (-0.5, -0.5, 447.5, 6 * 224 - 0.5)
    assert [patch.box[1] for patch in near.patches] == [223.5, 895.5, 1119.5, -0.5]
    assert (near.score, near.n_nodes) == (100.0, 4)
    assert near.peak == (111.5, 335.5)
    assert [patch.box for patch in far.patches] == [(-0.5, 6719.5, 223.5, 6943.5)]


@pytest.mark.parametrize("apart_um", [224, 336, 500])
def test_patches_farther_apart_than_the_gap_are_two_regions(apart_um):
    columns = 2 + round(apart_um / 56)
    values = np.ones((20, 40), np.float32)
    values[4:6, 0:2] = values[4:6, columns : columns + 2] = 5
    found = find_regions(
        AttentionMap(values, 56.0), mpp=1.0, slide_shape=FAR, quantile=1 - 8 / values.size
    )
    assert len(found) == 2
