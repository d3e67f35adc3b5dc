"""Regions with holes: the hole is never part of the region, whatever is done to it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import Polygon, unary_union

from napari_hagmil.errors import AnnotationError
from napari_hagmil.polygons import area_of, outline, polygon_of, without_holes
from napari_hagmil.review import ReviewRegion, ReviewState
from napari_hagmil.review.edit import merge, redraw, region_at, split
from napari_hagmil.review.measure import region_area_um2


def box(y, x, height=100.0, width=100.0):
    return ((y, x), (y, x + width), (y + height, x + width), (y + height, x))


RING = ReviewRegion("a", box(0, 0), (box(40, 40, 20, 20),))


def area(region):
    return region_area_um2(region, 1.0)


def test_a_hole_is_subtracted_from_the_area_and_a_click_in_it_meets_nothing():
    state = ReviewState(regions=(RING,))
    assert region_area_um2(RING, 0.5) == pytest.approx((100 * 100 - 400) * 0.25)
    assert region_at(state, (10, 10)) == "a"
    assert region_at(state, (50, 50)) == ""


def test_a_hole_that_reaches_over_the_edge_takes_out_what_it_covers():
    assert area_of((box(0, 0), (box(40, 90, 20, 30),))) == pytest.approx(10_000 - 200)


def test_an_outline_that_is_all_hole_encloses_nothing():
    with pytest.raises(AnnotationError, match="must enclose something"):
        polygon_of((box(0, 0), (box(-1, -1, 102, 102),)))


@pytest.mark.parametrize(
    ("drawn", "left"),
    [
        (box(20, 20, 60, 60), 3600 - 400),
        (box(50, 20, 30, 60), 1800 - 200),
        (box(0, 0, 30, 30), 900),
    ],
    ids=["around the hole", "through the hole", "beside the hole"],
)
def test_a_redrawn_region_leaves_out_what_its_hole_covers(drawn, left):
    (again,) = redraw(ReviewState(regions=(RING,)), "a", drawn).fields["regions"]
    assert area(again) == pytest.approx(left)


def test_a_split_through_a_hole_gives_parts_that_cover_the_region_and_not_the_hole():
    fields = split(ReviewState(regions=(RING,)), "a", ((50.0, -5.0), (50.0, 105.0))).fields
    assert sum(map(area, fields["regions"])) == pytest.approx(9600)
    assert [one.holes for one in fields["regions"]] == [(), ()]


def test_a_hole_narrower_than_the_gap_stays_open_when_regions_merge():
    far = ReviewRegion("b", box(0, 160))
    fields = merge(ReviewState(regions=(RING, far)), ["a", "b"]).fields
    (whole,) = fields["regions"]
    assert not polygon_of((whole.polygon, whole.holes)).contains(Polygon(box(45, 45, 10, 10)))
    assert region_at(ReviewState(regions=(whole,)), (50, 50)) == ""


@pytest.mark.parametrize("apart", [0.0, 1.0, 30.0, 4000.0])
def test_regions_that_face_each_other_with_corners_merge_too(apart):
    corner = ReviewRegion("b", box(100 + apart, 100 + apart))
    third = ReviewRegion("c", box(200 + 2 * apart, 200 + 2 * apart))
    fields = merge(ReviewState(regions=(RING, corner, third)), ["a", "b", "c"]).fields
    (whole,) = fields["regions"]
    assert 29_600 - 1 <= area(whole) <= 29_600 + 6 * (apart + 1) ** 2
    for part in (corner, third):
        middle = tuple(np.mean(part.polygon, axis=0))
        assert region_at(ReviewState(regions=(whole,)), middle) == whole.id


def test_a_hole_that_the_other_region_fills_is_filled():
    plug = ReviewRegion("b", box(35, 35, 30, 30))
    fields = merge(ReviewState(regions=(RING, plug)), ["a", "b"]).fields
    assert area(fields["regions"][0]) == pytest.approx(10_000)


@given(corners=st.lists(st.tuples(st.integers(5, 80), st.integers(5, 80)), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_parts_without_holes_cover_the_same_and_do_not_overlap(corners):
    holes = unary_union([Polygon(box(y, x, 12, 12)) for y, x in corners])
    pierced = Polygon(box(0, 0)).difference(holes)
    rings = (
        outline(np.array(pierced.exterior.coords)[:-1]),
        tuple(outline(np.array(ring.coords)[:-1]) for ring in pierced.interiors),
    )
    parts = [Polygon(part) for part in without_holes(rings)]
    assert sum(part.area for part in parts) == pytest.approx(pierced.area)
    assert unary_union(parts).symmetric_difference(pierced).area == pytest.approx(0, abs=1e-6)
