"""Painting, combining, nesting and finding annotations: areas that have to come out right."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import LineString, Point, Polygon, unary_union

from napari_hagmil.errors import AnnotationError
from napari_hagmil.polygons import (
    Rings,
    area_of,
    ellipse_around,
    shape_of,
    simplified,
    simplified_line,
)
from napari_hagmil.review import Annotation, ReviewState
from napari_hagmil.review.drawing import areas, objects
from napari_hagmil.review.drawing.nesting import parents_of, with_descendants
from napari_hagmil.review.drawing.places import AnnotationIndex
from napari_hagmil.review.drawing.stroke import Stroke
from napari_hagmil.review.drawing.wand import Wand

sides = st.integers(1, 60).map(float)
starts = st.integers(-40, 40).map(float)
boxes = st.tuples(starts, starts, sides, sides)


def box(y, x, height, width):
    return ((y, x), (y, x + width), (y + height, x + width), (y + height, x))


def area(name, *outline, **members):
    return Annotation(name, "polygon", box(*outline), **members)


def state_of(*annotations):
    return ReviewState(annotations=annotations)


def size(drawn, *names):
    """Area of what an edit left of some annotations, or of all."""
    return sum(area_of(a.rings) for a in drawn.annotations if not names or a.id in names)


@given(boxes, boxes)
def test_what_two_areas_have_together_and_share_is_what_each_has(one, other):
    state = state_of(area("a", *one), area("b", *other))
    ours, theirs = (shape_of(annotation.rings) for annotation in state.annotations)
    common = ours.intersection(theirs).area
    try:
        united, shared = (do(state, ["a", "b"]) for do in (areas.united, areas.shared))
    except AnnotationError:
        assert common == 0 or not ours.intersects(theirs)
        return
    assert size(united) + size(shared) == pytest.approx(ours.area + theirs.area)
    assert united.ids == shared.ids == ("a",)


@given(boxes, boxes)
def test_what_is_taken_out_of_an_area_and_what_stays_are_the_area(one, other):
    state = state_of(area("a", *one), area("b", *other))
    ours, theirs = (shape_of(annotation.rings) for annotation in state.annotations)
    try:
        made = areas.subtracted(state, ["a", "b"])
    except AnnotationError:
        assert ours.intersection(theirs).area in (0, ours.area)
        return
    assert size(made, *made.ids) == pytest.approx(ours.difference(theirs).area)
    assert size(made, "b") == theirs.area  # what is taken out stays an annotation of its own
    assert made.ids[0] == "a"


def test_an_area_in_another_leaves_a_hole_that_can_be_filled_again():
    state = state_of(area("a", 0, 0, 100, 100, path_class="Tumor"), area("b", 40, 40, 10, 10))
    holed = areas.subtracted(state, ["a", "b"])
    assert len(holed.annotations[0].holes) == 1
    state = state_of(*holed.annotations)
    filled = areas.filled(state, ["a", "b"])
    assert area_of(filled.annotations[0].rings) == 100 * 100
    with pytest.raises(AnnotationError, match="hole"):
        areas.filled(state_of(*filled.annotations), ["a"])


def test_united_areas_keep_class_parts_and_holes_of_what_they_were():
    ring = Annotation("r", "ellipse", box(0, 0, 50, 50), "Tumor", "mine", (box(20, 20, 5, 5),))
    state = state_of(ring, area("b", 40, 40, 50, 50), area("part", 80, 80, 5, 5, parent="b"))
    made = areas.united(state, ["r", "b"])
    whole, part = made.annotations
    assert (whole.id, whole.path_class, whole.comment) == ("r", "Tumor", "mine")
    assert (whole.kind, len(whole.holes), part.parent) == ("polygon", 1, "r")


@pytest.mark.parametrize("do", [areas.united, areas.shared, areas.subtracted])
def test_areas_that_are_apart_or_alone_are_refused_in_a_sentence(do):
    state = state_of(area("a", 0, 0, 9, 9), area("b", 50, 50, 9, 9))
    for ids in (["a"], ["a", "b"]):
        with pytest.raises(AnnotationError) as refused:
            do(state, ids)
        assert "\n" not in str(refused.value)


places = st.lists(st.tuples(starts, starts), min_size=1, max_size=40)


@given(places, st.integers(2, 20).map(float))
def test_a_stroke_covers_what_the_brush_passed_over_and_no_more(way, radius):
    stroke = Stroke(radius)
    for place in way:
        stroke.move(place)
    # Of each part of the way, since GEOS can err around a whole one that meets itself.
    parts = [Point(way[0]), *(LineString(pair) for pair in pairwise(way) if len(set(pair)) > 1)]
    swept = unary_union([part.buffer(radius, quad_segs=64) for part in parts])
    drawn = unary_union([shape_of(rings) for rings in stroke.rings()])
    assert drawn.symmetric_difference(swept).area <= 0.03 * swept.area


def test_an_eraser_makes_holes_and_cuts_an_area_in_two():
    square = Rings(box(0, 0, 100, 100))
    hole = Stroke(10, square, erases=True)
    hole.move((50.0, 50.0))
    (part,) = hole.rings()
    assert len(part.holes) == 1
    assert area_of(part) == pytest.approx(100 * 100 - np.pi * 100, rel=1e-3)
    cut = Stroke(10, square, erases=True)
    cut.move((50.0, -20.0))
    cut.move((50.0, 120.0))
    assert sorted(round(area_of(one)) for one in cut.rings()) == [4000, 4000]
    state = state_of(replace(area("a", 0, 0, 100, 100), path_class="Tumor", parent="p"))
    made = areas.painted(state, "a", cut.finished(0.1))
    assert [one.path_class for one in made.annotations] == ["Tumor"] * 2
    assert made.ids[0] == "a"
    assert not areas.painted(state, "a", Polygon()).annotations


def test_a_long_stroke_stays_as_fast_as_it_began():
    stroke, turn = Stroke(30.0), np.linspace(0, 40, 2000)
    way = np.stack([300 + 8 * turn * np.sin(turn), 300 + 8 * turn * np.cos(turn)], axis=1)
    milliseconds = []
    for y, x in way.tolist():
        started = time.perf_counter()
        stroke.move((y, x))
        milliseconds.append(1000 * (time.perf_counter() - started))
    assert np.median(milliseconds[-200:]) < 5
    assert sum(len(rings.outer) for rings in stroke.rings()) < 2000


@given(st.lists(st.tuples(starts, starts), min_size=4, max_size=30, unique=True), sides)
def test_a_simplified_outline_is_nowhere_farther_off_than_it_may_be(corners, tolerance):
    rings = Rings(tuple(corners))
    shape = shape_of(rings)
    if shape.geom_type != "Polygon" or shape.area == 0:
        return
    fewer = shape_of(simplified(rings, tolerance / 10))
    assert fewer.exterior.hausdorff_distance(shape.exterior) <= tolerance / 10 + 1e-9
    line = simplified_line(tuple(corners), tolerance / 10)
    assert LineString(line).hausdorff_distance(LineString(corners)) <= tolerance / 10 + 1e-9
    assert line[0] == corners[0]


def test_a_simplified_area_keeps_its_holes_and_loses_the_corners_that_say_nothing():
    circle = ellipse_around(box(0, 0, 100, 100))
    rings = Rings(circle, (ellipse_around(box(40, 40, 20, 20)),))
    fewer = simplified(rings, 1.0)
    assert len(fewer.outer) < len(circle) / 2
    assert len(fewer.holes) == 1
    assert area_of(fewer) == pytest.approx(area_of(rings), rel=0.03)


def test_an_ellipse_has_the_area_of_its_half_axes_be_it_turned_or_not():
    wanted = np.pi * 30 * 10
    assert area_of(Rings(ellipse_around(box(5, 5, 60, 20)))) == pytest.approx(wanted, rel=2e-3)
    turned = [(0, 0), (30, 30), (20, 40), (-10, 10)]
    wanted = np.pi / 4 * np.hypot(30, 30) * np.hypot(10, 10)
    assert area_of(Rings(ellipse_around(turned))) == pytest.approx(wanted, rel=2e-3)


def test_the_wand_takes_what_looks_alike_with_its_holes_in_the_frame_of_the_slide():
    view = np.full((200, 300, 3), 230, np.uint8)
    cv2.circle(view, (150, 100), 60, (180, 60, 150), -1)
    cv2.circle(view, (150, 100), 20, (230, 230, 230), -1)
    view = np.clip(view.astype(int) + np.random.default_rng(0).integers(-6, 7, view.shape), 0, 255)
    wand = Wand(view.astype(np.uint8), (1000.0, 2000.0), 4.0)
    found = wand.area((1400.0, 2600.0 + 4 * 40), 40)
    wanted = np.pi * (60**2 - 20**2) * 16
    assert (len(found.holes), area_of(found)) == (1, pytest.approx(wanted, rel=0.05))
    middle = shape_of(found).centroid
    assert (middle.x, middle.y) == pytest.approx((1400, 2600), abs=4)
    assert area_of(wand.area((1400.0, 2760.0), 255)) == pytest.approx(200 * 300 * 16, rel=0.01)
    assert wand.area((0.0, 0.0), 40) is None


NEST = state_of(
    area("a", 0, 0, 100, 100),
    area("b", 10, 10, 50, 50, parent="a"),
    area("c", 20, 20, 10, 10, parent="b"),
    Annotation("p", "point", ((25.0, 25.0),)),
)


def test_a_part_is_nested_in_the_smallest_area_around_it_and_taken_out_again():
    made = objects.nested(NEST, ["p"])
    assert made.annotations[-1].parent == "c"
    assert objects.nested(state_of(*made.annotations), ["p"]).annotations[-1].parent == ""
    with pytest.raises(AnnotationError, match="within another"):
        objects.nested(NEST, ["a"])  # its own parts are none


def test_parts_go_along_when_their_parent_moves_and_up_when_it_goes():
    moved = objects.moved(NEST, ["b"], (5.0, -5.0)).annotations
    assert [one.points[0] for one in moved] == [(0, 0), (15, 5), (25, 15), (25, 25)]
    gone = objects.without_annotations(NEST, ["b"])["annotations"]
    assert {one.id: one.parent for one in gone} == {"a": "", "c": "a", "p": ""}


def test_a_copy_has_its_own_parts_and_none_of_the_locks():
    state = state_of(*objects.locked(NEST, ["b", "c"]).annotations)
    made = objects.duplicated(state, ["b"], (1.0, 2.0))
    outer, inner = made.annotations[-2:]
    assert (outer.parent, inner.parent) == ("a", outer.id)
    assert not outer.locked
    assert not inner.locked
    assert made.ids == (outer.id,)
    assert outer.points[0] == (11, 12)


def test_what_is_locked_stays_until_it_is_unlocked():
    state = state_of(*objects.locked(NEST, ["a", "b"]).annotations)
    for refused in (
        lambda: objects.moved(state, ["b"], (1.0, 1.0)),
        lambda: objects.without_annotations(state, ["p", "a"]),
        lambda: areas.subtracted(state, ["a", "c"]),
        lambda: areas.painted(state, "a", Polygon()),
        lambda: objects.nested(state, ["b"]),
    ):
        with pytest.raises(AnnotationError, match="locked"):
            refused()
    assert not any(one.locked for one in objects.locked(state, ["a", "b"]).annotations)


def test_parents_that_are_gone_or_go_around_in_a_circle_count_as_none():
    circle = (
        area("x", 0, 0, 9, 9, parent="y"),
        area("y", 0, 0, 9, 9, parent="x"),
        area("z", 0, 0, 9, 9, parent="gone"),
        area("s", 0, 0, 9, 9, parent="s"),
    )
    assert parents_of(circle) in ({"y": "x"}, {"x": "y"})
    assert with_descendants(circle, ["x"]) <= {"x", "y"}
    assert objects.moved(state_of(*circle), ["x"], (1.0, 1.0)).ids == ("x",)


def test_a_place_finds_a_point_before_an_area_and_the_smallest_area_around_it():
    index = AnnotationIndex()
    line = Annotation("l", "polyline", ((90.0, 0.0), (90.0, 99.0)))
    ring = Annotation("r", "polygon", box(200, 200, 100, 100), holes=(box(220, 220, 60, 60),))
    crossed = Annotation("x", "polygon", ((400.0, 400.0), (440.0, 440.0), (440.0, 400.0),
                                          (400.0, 440.0)))  # fmt: skip
    index.show((*NEST.annotations, line, ring, crossed))
    for place, name in (
        ((25.5, 25.5), "p"), ((22.0, 28.0), "c"), ((55.0, 55.0), "b"), ((99.0, 99.0), "a"),
        ((91.0, 50.0), "l"), ((250.0, 250.0), ""), ((221.0, 250.0), "r"), ((437.0, 420.0), "x"),
        ((500.0, 0.0), ""),
    ):  # fmt: skip
        assert index.at(place, 2.0) == name, place
    assert index.within((5.0, 5.0), (70.0, 70.0)) == ["b", "c", "p"]
    index.show(NEST.annotations[:1])
    assert index.at((25.5, 25.5), 2.0) == "a"


def test_ten_thousand_areas_are_searched_at_once():
    index = AnnotationIndex()
    index.show(tuple(area(f"{i}", 10 * (i // 100), 10 * (i % 100), 8, 8) for i in range(10_000)))
    started = time.perf_counter()
    assert index.at((502.0, 503.0), 1.0) == "5050"
    assert time.perf_counter() - started < 1.0
    changed = (*index.annotations[:-1], area("new", 990, 990, 4, 4))
    index.show(changed)
    started = time.perf_counter()
    assert index.at((991.0, 991.0), 1.0) == "new"
    assert time.perf_counter() - started < 0.2
