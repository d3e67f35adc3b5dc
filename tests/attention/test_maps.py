import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_hagmil.attention import attention_map, value_at
from napari_hagmil.quadtree import PatchGrid

downsamples = st.sampled_from([1.0, 4.0, 2.0002, 3.9993, 0.7])
node_sets = arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))).map(
    lambda mask: (mask.shape, np.argwhere(mask).astype(np.int64))
)


@given(node_sets, downsamples, st.booleans())
def test_the_value_at_a_nodes_centre_and_corners_is_its_attention(case, downsample, crop):
    shape, nodes = case
    grid = PatchGrid(224, downsample, shape)
    attention = np.arange(len(nodes), dtype=np.float32)
    amap = attention_map(grid, nodes, attention, crop=crop)
    for (y0, x0, y1, x1), value in zip(grid.edges(nodes), attention, strict=True):
        assert value_at(amap, (y0 + y1 - 1) / 2, (x0 + x1 - 1) / 2) == value
        assert value_at(amap, y0, x0) == value_at(amap, y1 - 1, x1 - 1) == value


@given(node_sets)
def test_only_visited_nodes_have_a_value(case):
    shape, nodes = case
    amap = attention_map(PatchGrid(8, 1.0, shape), nodes, np.ones(len(nodes)), crop=False)
    assert amap.values.shape == shape
    assert np.isfinite(amap.values).sum() == len(nodes)


def test_a_cropped_map_starts_at_the_first_node():
    amap = attention_map(PatchGrid(10, 2.0, (8, 8)), np.array([(2, 5), (4, 3)]), [1, 2])
    assert amap.values.shape == (3, 3)
    assert amap.origin == (40.0, 60.0)
    assert amap.first_node == (2, 3)


def test_places_outside_the_map_have_no_value():
    amap = attention_map(PatchGrid(10, 1.0, (4, 4)), np.array([(0, 0)]), [1.0])
    assert value_at(amap, -0.5, 9.4) == 1.0
    assert all(np.isnan(value_at(amap, *at)) for at in [(-0.6, 0), (0, 9.5), (1e9, -1e9)])


def test_no_nodes_make_an_empty_map():
    amap = attention_map(PatchGrid(10, 1.0, (4, 4)), np.empty((0, 2), np.int64), [])
    assert amap.values.shape == (0, 0)
    assert np.isnan(value_at(amap, 0, 0))


def test_values_and_nodes_must_be_as_many():
    with pytest.raises(ValueError, match="one value per node"):
        attention_map(PatchGrid(10, 1.0, (4, 4)), np.array([(0, 0)]), [1, 2])


@pytest.mark.parametrize("node", [(4, 0), (0, -1)])
def test_nodes_must_lie_in_their_grid(node):
    with pytest.raises(ValueError, match="must lie in their grid of 4×4"):
        attention_map(PatchGrid(10, 1.0, (4, 4)), np.array([node]), [1])
