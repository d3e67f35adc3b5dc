import time
import tracemalloc
from functools import partial

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_hagmil.attention import AttentionMap, attention_map
from napari_hagmil.attention import find_regions as find_grouped
from napari_hagmil.attention.rings import label_areas, trace_rings
from napari_hagmil.polygons import signed_area
from napari_hagmil.quadtree import PatchGrid

#: A slide that ends nowhere near.
FAR = (10**6, 10**6)

#: Without a gap: what it draws around is exactly the patches that stand out.
find_regions = partial(find_grouped, gap_um=0)

masks = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def _map(values, stride=10.0, origin=(0.0, 0.0)):
    return AttentionMap(np.asarray(values, np.float32), stride, origin)


def _filled(rings, shape):
    """Even-odd fill of rings given in raster corners, sampled at pixel centres."""
    row, column = np.mgrid[: shape[0], : shape[1]] + 0.5
    inside = np.zeros(shape, bool)
    for ring in rings:
        for (y0, x0), (y1, x1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            if x0 == x1:
                inside ^= (row > min(y0, y1)) & (row < max(y0, y1)) & (column < x0)
    return inside


@given(masks)
def test_the_rings_of_an_area_fill_exactly_its_pixels(mask):
    labels = label_areas(mask)
    for label, rings in trace_rings(labels):
        np.testing.assert_array_equal(_filled(rings, mask.shape), labels == label)


@given(masks)
def test_rings_never_pass_a_corner_twice_and_holes_run_the_other_way(mask):
    for _, (outer, *holes) in trace_rings(label_areas(mask)):
        assert signed_area(outer) > 0
        assert all(signed_area(hole) < 0 for hole in holes)
        for ring in (outer, *holes):
            assert len(np.unique(ring, axis=0)) == len(ring)


@given(masks, st.sampled_from([1.0, 2.0002, 0.7]))
def test_regions_tile_the_high_nodes_exactly(mask, downsample):
    grid = PatchGrid(224, downsample, mask.shape)
    nodes = np.argwhere(np.ones(mask.shape)).astype(np.int64)
    regions = find_regions(
        attention_map(grid, nodes, mask.ravel()),
        slide_shape=FAR,
        mpp=0.5,
        quantile=max(1 - mask.mean(), 1e-6),
    )
    if mask.all() or not mask.any():
        assert regions == []
        return
    y0, x0, y1, x1 = grid.edges(nodes[mask.ravel()]).T
    expected = float(((y1 - y0) * (x1 - x0)).sum() * 0.25)
    assert sum(region.area_um2 for region in regions) == pytest.approx(expected, rel=1e-12)
    assert sum(region.n_nodes for region in regions) == mask.sum()


def test_a_region_lies_on_the_pixel_edges_of_its_patches():
    (region,) = find_regions(
        _map([[1, 2], [3, 9]], stride=10.0, origin=(20.0, 30.0)),
        slide_shape=FAR,
        mpp=0.5,
        quantile=0.9,
    )
    assert region.bounds == (29.5, 39.5, 39.5, 49.5)
    assert region.peak == (34.5, 44.5)
    assert region.area_um2 == 25.0
    assert region.score == 100.0


def test_a_hole_stays_a_hole():
    values = np.ones((5, 5))
    values[1:4, 1:4] = 5
    values[2, 2] = np.nan
    (region,) = find_regions(_map(values), slide_shape=FAR, mpp=1.0, quantile=0.7)
    assert len(region.holes) == 1
    assert region.area_um2 == 800


@given(
    masks,
    st.sampled_from([1.0, 2.0002, 0.7]),
    st.tuples(st.integers(1, 1700), st.integers(1, 1700)),
    st.booleans(),
)
def test_regions_end_at_the_slides_edge_and_so_does_their_area(mask, downsample, shape, crop):
    """Patches at the edge reach over it, and children of such patches lie beyond it."""
    grid = PatchGrid(224, downsample, mask.shape)
    nodes = np.argwhere(np.ones(mask.shape)).astype(np.int64)
    regions = find_regions(
        attention_map(grid, nodes, mask.ravel(), crop=crop),
        slide_shape=shape,
        mpp=0.5,
        quantile=max(1 - mask.mean(), 1e-6),
    )
    for region in regions:
        for ring in (region.polygon, *region.holes):
            assert (ring >= -0.5).all()
            assert (ring <= np.subtract(shape, 0.5)).all()
        assert all(-0.5 < at < side - 0.5 for at, side in zip(region.peak, shape, strict=True))
        assert region.area_um2 > 0
    if mask.any() and not mask.all():
        y0, x0, y1, x1 = grid.edges_on(nodes[mask.ravel()], shape).T
        expected = float(((y1 - y0) * (x1 - x0)).sum() * 0.25)
        assert sum(region.area_um2 for region in regions) == pytest.approx(expected, rel=1e-12)


def test_a_region_at_the_edge_is_cut_there():
    """A slide of 4443 × 3567 px had one that reached to y = 3584."""
    grid = PatchGrid(224, 4.0, (4, 5))
    nodes = np.array([(3, 4), (3, 3), (0, 0)])
    (region,) = find_regions(
        attention_map(grid, nodes, [9, 9, 1]), slide_shape=(3567, 4443), mpp=1.0, quantile=0.5
    )
    assert region.bounds == (2687.5, 2687.5, 3566.5, 4442.5)
    assert region.area_um2 == (3567 - 2688) * (4443 - 2688)


def test_corners_alone_do_not_connect():
    values = [[9, 1, 1], [1, 9, 1], [1, 1, 1]]
    assert len(find_regions(_map(values), slide_shape=FAR, mpp=1.0, quantile=0.8)) == 2


def test_the_best_region_comes_first():
    values = np.arange(100.0).reshape(10, 10)
    values[0, 0] = 1000
    regions = find_regions(_map(values), slide_shape=FAR, mpp=1.0)
    scores = [region.score for region in regions]
    assert scores == sorted(scores, reverse=True)
    assert regions[0].bounds[:2] == (-0.5, -0.5)


def test_attention_and_its_percentiles_give_the_same_regions():
    attention = np.random.default_rng(3).random((20, 20)) ** 9
    percentiles = 100 * (attention.ravel().argsort().argsort().reshape(20, 20) + 1) / 400
    for a, b in zip(
        find_regions(_map(attention), slide_shape=FAR, mpp=1),
        find_regions(_map(percentiles), slide_shape=FAR, mpp=1),
        strict=True,
    ):
        np.testing.assert_array_equal(a.polygon, b.polygon)
        assert a.score == b.score


@pytest.mark.parametrize("values", [np.ones((4, 4)), np.full((4, 4), np.nan), np.empty((0, 0))])
def test_where_nothing_stands_out_there_is_no_region(values):
    assert find_regions(_map(values), slide_shape=FAR, mpp=1.0) == []


def test_the_quantile_must_be_a_share():
    with pytest.raises(ValueError, match="quantile of attention regions"):
        find_regions(_map([[1, 2]]), slide_shape=FAR, mpp=1.0, quantile=90)


def test_ten_thousand_nodes_take_a_blink():
    noise = cv2.GaussianBlur(np.random.default_rng(0).random((100, 100)), (0, 0), 1.5)
    amap = _map(noise)
    find_grouped(amap, slide_shape=FAR, mpp=2.0)
    start = time.process_time()
    regions = find_grouped(amap, slide_shape=FAR, mpp=2.0)
    assert regions
    # A tenth of this is usual; the bound only catches a quadratic slip.
    assert time.process_time() - start < 0.3


def test_outlines_of_a_large_raster_take_memory_by_their_edges_alone():
    mask = np.zeros((2000, 2000), bool)
    mask[500:1500, 300:900] = True
    labels = label_areas(mask)
    tracemalloc.start()
    try:
        trace_rings(labels)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * labels.nbytes


def test_the_peak_of_a_region_is_the_centre_of_its_highest_node():
    values = np.zeros((6, 8))
    values[1, 1:4] = (0.5, 0.6, 0.9)  # the highest is neither first nor lowest
    values[4, 5:8] = (0.7, 0.95, 0.6)
    found = find_regions(_map(values), quantile=0.88, mpp=1.0, slide_shape=FAR)
    assert {region.peak for region in found} == {(14.5, 34.5), (44.5, 64.5)}
