"""One rule of what is inside, for points and for rasters."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import Polygon

from napari_hagmil.polygons import Rings, area_of, contains, fill, mask_of, merged, shape_of

SQUARE = ((0.0, 0.0), (0.0, 10.0), (10.0, 10.0), (10.0, 0.0))
HOLE = ((3.0, 3.0), (3.0, 6.0), (6.0, 6.0), (6.0, 3.0))
#: Goes around its middle twice.
STAR = tuple((10 * np.sin(4 * np.pi * i / 5), 10 * np.cos(4 * np.pi * i / 5)) for i in range(5))
#: Two triangles that meet in one point.
BOW = ((0.0, 0.0), (10.0, 10.0), (0.0, 10.0), (10.0, 0.0))

#: A lattice that no line through whole numbers meets.
ROWS, COLUMNS = np.arange(24) + np.sqrt(2) - 1, np.arange(24) + np.sqrt(3) - 1

whole = st.integers(-5, 28).map(float)
rings = st.lists(st.tuples(whole, whole), min_size=3, max_size=8).map(tuple)


def winding_is_odd(ring, y, x):
    """The even-odd rule, point by point and side by side."""
    odd = False
    for (y0, x0), (y1, x1) in zip(ring, (*ring[1:], ring[0]), strict=True):
        if (y0 > y) != (y1 > y) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) < x:
            odd = not odd
    return odd


@settings(deadline=None, max_examples=100)
@given(rings)
def test_a_raster_holds_the_pixels_whose_centre_is_inside(ring):
    expected = [[winding_is_odd(ring, y, x) for x in COLUMNS] for y in ROWS]
    np.testing.assert_array_equal(fill([ring], ROWS, COLUMNS), expected)


@settings(deadline=None, max_examples=100)
@given(st.lists(rings, min_size=1, max_size=3), rings)
def test_points_and_rasters_agree_on_what_polygons_with_a_hole_enclose(outers, hole):
    polygons = [Rings(outers[0], (hole,)), *(Rings(ring) for ring in outers[1:])]
    places = np.stack(np.meshgrid(ROWS, COLUMNS, indexing="ij"), axis=-1).reshape(-1, 2)
    inside = contains(polygons, places)
    np.testing.assert_array_equal(fill(merged(polygons), ROWS, COLUMNS).ravel(), inside)
    expected = [
        (winding_is_odd(outers[0], y, x) and not winding_is_odd(hole, y, x))
        or any(winding_is_odd(ring, y, x) for ring in outers[1:])
        for y, x in places
    ]
    np.testing.assert_array_equal(inside, expected)


def test_a_ring_that_runs_its_sides_there_and_back_encloses_nothing():
    there_and_back = ((0.0, 0.0), (0.0, 2.0), (0.0, 0.0), (1.0, 0.0), (0.0, 2.0), (1.0, 0.0))
    assert shape_of(Rings(there_and_back)).area == 0
    assert not contains([Rings(there_and_back)], [(0.3, 0.5)]).any()


def test_the_edge_belongs_to_an_outline():
    places = [(0, 0), (0, 5), (10, 5), (5, 10), (10, 10), (-1e-9, 5), (5, 10 + 1e-9)]
    assert contains([Rings(SQUARE)], places).tolist() == [True] * 5 + [False] * 2


def test_the_edge_of_a_hole_belongs_to_the_polygon_and_its_inside_does_not():
    assert contains([(SQUARE, (HOLE,))], [(3, 4), (4, 4), (7, 7)]).tolist() == [True, False, True]


def test_a_ring_that_crosses_itself_encloses_by_the_even_odd_rule():
    assert contains([(STAR, ())], [(0, 0), (0, 7)]).tolist() == [False, True]
    assert contains([(BOW, ())], [(5, 1), (5, 9)]).all()
    assert not contains([(BOW, ())], [(2, 5), (8, 5)]).any()
    assert not fill([STAR], np.array([0.0]), np.array([0.0])).any()
    assert shape_of((BOW, ())).area == 50
    assert area_of((BOW, ())) == 25  # one piece: what a review keeps


def test_overlapping_polygons_are_a_union_and_not_a_hole():
    other = tuple((y + 5, x + 5) for y, x in SQUARE)
    assert contains([Rings(SQUARE), (other, ())], [(7, 7)]).all()
    (ring,) = merged([Rings(SQUARE), (other, ())])
    assert Polygon(ring).area == 175
    assert mask_of(merged([Rings(SQUARE), (other, ())]), (20, 20), 1.0)[7, 7]


def test_a_polygon_in_the_hole_of_another_is_inside():
    island = ((4.0, 4.0), (4.0, 5.0), (5.0, 5.0), (5.0, 4.0))
    together = merged([(SQUARE, (HOLE,)), (island, ())])
    assert len(together) == 3
    mask = mask_of(together, (12, 12), 0.5)
    assert mask[9, 9]
    assert not mask[7, 7]


def test_neighbours_share_no_pixel_and_leave_none_out():
    left, right = (((-0.5, x0), (-0.5, x0 + 8), (15.5, x0 + 8), (15.5, x0)) for x0 in (-0.5, 7.5))
    masks = [mask_of([ring], (16, 16), 5.0) for ring in (left, right)]
    assert (masks[0] ^ masks[1]).all()


def test_of_a_pixel_over_the_slides_edge_the_part_on_the_slide_counts():
    # 21 px at 4 px per pixel: the last row and column hold one row and column of the slide.
    slide = ((-0.5, -0.5), (-0.5, 20.5), (20.5, 20.5), (20.5, -0.5))
    assert mask_of([slide], (21, 21), 4.0).tolist() == [[True] * 6] * 6


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_without_polygons_nothing_is_inside(seed):
    places = np.random.default_rng(seed).random((5, 2))
    assert not contains([], places).any()
    assert contains([Rings(SQUARE)], np.empty((0, 2))).shape == (0,)
    assert not mask_of([], (30, 40), 7.0).any()


def test_far_from_the_slides_corner_a_pixel_still_decides():
    """As float32, which cv2 takes, places beyond 2²⁴ / 2 px are rounded to whole pixels."""
    far = tuple((y + 1e7 + 0.25, x + 1e7 + 0.25) for y, x in SQUARE)
    assert contains([(far, ())], [(1e7, 1e7 + 5), (1e7 + 0.5, 1e7 + 5)]).tolist() == [False, True]


@pytest.mark.parametrize("ring", [(), ((1.0, 1.0),), ((0.0, 0.0), (5.0, 5.0), (9.0, 9.0))])
def test_a_ring_without_an_area_encloses_nothing_between_pixels(ring):
    assert shape_of((ring, ())).area == 0
    assert merged([(ring, ())]) == ()
