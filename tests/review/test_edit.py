"""Edits: a state in, a state out; areas and scores that have to come out right."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hagmil.errors import AnnotationError
from napari_hagmil.polygons import Rings, area_of, outline, overlap
from napari_hagmil.review import Annotation, ReviewRegion, ReviewState
from napari_hagmil.review.drawing.objects import with_annotation
from napari_hagmil.review.edit import found, merge, redraw, split
from napari_hagmil.review.measure import area_label, length_label, measure_label, region_area_um2
from napari_hagmil.review.queue import Filter, next_unseen, queue_of, step, tally


def box(y, x, height=100.0, width=100.0):
    return ((y, x), (y, x + width), (y + height, x + width), (y + height, x))


def region(name, polygon, score=50.0, **members):
    return ReviewRegion(name, polygon, score=score, **members)


def state_of(*regions):
    return ReviewState(regions=regions)


class Seen:
    """As `attention.AttentionRegion`."""

    def __init__(self, polygon, score=80.0, patches=()):
        self.rings, self.score, self.patches = Rings(polygon), score, patches


def test_touching_regions_merge_to_their_union_with_the_highest_score():
    before = state_of(
        region("a", box(0, 0), 90.0),
        region("b", box(0, 100, 100, 300), 50.0),
        region("c", box(900, 0)),
    )
    made = merge(before, ["a", "b"])
    fields, new = made.fields, made.region_id
    whole, other = fields["regions"]
    assert (whole.id, other.id) == (new, "c")
    assert area_of((whole.polygon, whole.holes)) == pytest.approx(40_000)
    assert whole.score == 90
    assert whole.provenance == "merged"


@given(gap=st.floats(0.5, 400))
@settings(max_examples=25, deadline=None)
def test_regions_that_are_apart_merge_over_the_gap_and_cover_both(gap):
    before = state_of(region("a", box(0, 0)), region("b", box(0, 100 + gap)))
    (whole,) = merge(before, ["a", "b"]).fields["regions"]
    area = area_of((whole.polygon, whole.holes))
    assert 20_000 - 1 <= area <= (200 + gap) * 100 * 1.1
    for part in before.regions:
        outside = overlap((whole.polygon, whole.holes), (part.polygon, ()))
        assert outside == pytest.approx(10_000 / area, rel=0.01)


def test_merging_keeps_what_was_said_and_asks_again_where_decisions_differ():
    a = region("a", box(0, 0), decision="accepted", comment="gland")
    b = region("b", box(0, 100), decision="rejected", path_class="Tumor", comment="fold")
    (whole,) = merge(state_of(a, b), ["a", "b"]).fields["regions"]
    assert (whole.decision, whole.path_class, whole.comment) == ("unseen", "Tumor", "gland; fold")
    agreed = replace(b, decision="accepted")
    (whole,) = merge(state_of(a, agreed), ["a", "b"]).fields["regions"]
    assert whole.decision == "accepted"


def test_one_region_cannot_be_merged():
    with pytest.raises(AnnotationError, match="two regions or more, got 1"):
        merge(state_of(region("a", box(0, 0))), ["a"])


@given(cut_at=st.floats(5, 95), slant=st.floats(-4, 4))
@settings(max_examples=25, deadline=None)
def test_a_split_loses_no_area_and_both_parts_wait_for_a_decision(cut_at, slant):
    before = state_of(region("a", box(0, 0), decision="accepted", comment="both"))
    made = split(before, "a", ((-10.0, cut_at), (110.0, cut_at + slant)))
    fields, larger = made.fields, made.region_id
    parts = fields["regions"]
    areas = [area_of((one.polygon, one.holes)) for one in parts]
    assert len(parts) == 2
    assert sum(areas) == pytest.approx(10_000)
    assert parts[0].id == larger
    assert areas[0] >= areas[1]
    assert {one.decision for one in parts} == {"unseen"}
    assert {one.comment for one in parts} == {"both"}


def test_a_line_that_ends_inside_is_led_on_and_one_that_misses_is_refused():
    before = state_of(region("a", box(0, 0)))
    assert len(split(before, "a", ((20.0, 50.0), (80.0, 50.0))).fields["regions"]) == 2
    for line in [((0.0, 200.0), (100.0, 200.0)), ((5.0, 5.0), (5.0, 5.0)), ((5.0, 5.0),)]:
        with pytest.raises(AnnotationError):
            split(before, "a", line)


def test_a_redrawn_region_keeps_its_decision_and_the_holes_that_still_lie_inside():
    hole, lost = box(10, 10, 5, 5), box(80, 80, 5, 5)
    before = state_of(region("a", box(0, 0), holes=(hole, lost), decision="accepted"))
    (after,) = redraw(before, "a", box(0, 0, 50, 50)).fields["regions"]
    assert after.holes == (hole,)
    assert (after.decision, after.provenance) == ("accepted", "redrawn")
    assert region_area_um2(after, 0.5) == pytest.approx((2500 - 25) * 0.25)


def test_an_outline_that_crosses_itself_keeps_its_larger_part():
    bow_tie = ((0.0, 0.0), (100.0, 100.0), (100.0, 0.0), (0.0, 40.0))
    (after,) = redraw(state_of(region("a", box(0, 0))), "a", bow_tie).fields["regions"]
    assert len(after.polygon) == 3
    with pytest.raises(AnnotationError, match="must enclose something"):
        redraw(state_of(region("a", box(0, 0))), "a", ((0.0, 0.0), (1.0, 1.0), (2.0, 2.0)))


def test_a_new_run_replaces_what_was_not_touched_and_leaves_what_was_decided():
    first = found(
        ReviewState(), [Seen(box(0, 0), 70.0), Seen(box(500, 0), 90.0)], depth=2, provenance="demo"
    )
    state = ReviewState(**first)
    assert [one.score for one in state.regions] == [90.0, 70.0]
    decided = replace(state.regions[0], decision="rejected")
    state = ReviewState(regions=(decided, state.regions[1]))
    again = found(
        state, [Seen(box(505, 0), 95.0), Seen(box(0, 900), 60.0)], depth=2, provenance="demo"
    )
    assert [(one.score, one.decision) for one in again["regions"]] == [
        (90.0, "rejected"),
        (60.0, "unseen"),
    ]


def test_the_same_run_again_changes_nothing():
    seen = [Seen(box(0, 0)), Seen(box(500, 0), 90.0)]
    once = ReviewState(**found(ReviewState(), seen, depth=1, provenance="demo"))
    assert ReviewState(**found(once, seen, depth=1, provenance="demo")) == once


QUEUE = (
    region("a", box(500, 0), 60.0),
    region("b", box(0, 0, 10, 10), 90.0, decision="accepted", path_class="Tumor"),
    region("c", box(200, 0, 300, 300), 75.0, decision="rejected"),
    region("d", box(900, 0, 50, 50), None, path_class="Tumor"),
)


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (Filter(), "dbca"),
        (Filter(order="size"), "cadb"),
        (Filter(order="place"), "bcad"),
        (Filter(min_score=70), "dbc"),
        (Filter(min_area_um2=2500), "dca"),
        (Filter(path_class="Tumor"), "db"),
        (Filter(path_class=""), "ca"),
        (Filter(decisions=("unseen",)), "da"),
        (Filter(decisions=()), ""),
    ],
)
def test_the_queue_is_ordered_and_filtered(wanted, ids):
    assert "".join(one.id for one in queue_of(QUEUE, 1.0, wanted)) == ids


def test_steps_go_around_the_ends_and_the_next_unseen_passes_what_is_decided():
    queue = queue_of(QUEUE, 1.0)
    assert [step(queue, at, 1) for at in ("", "d", "a")] == ["d", "b", "d"]
    assert [step(queue, at, -1) for at in ("", "d")] == ["a", "a"]
    assert [next_unseen(queue, at) for at in ("d", "a", "")] == ["a", "d", "d"]
    assert next_unseen(queue[1:3], "b") == ""
    assert step([], "a", 1) == ""
    assert tally(QUEUE) == {"unseen": 2, "accepted": 1, "rejected": 1}


@pytest.mark.parametrize(
    ("kind", "points", "label"),
    [
        ("ruler", ((0, 0), (0, 1000)), "250 µm"),
        ("ruler", ((0, 0), (30, 40)), "12.5 µm"),
        ("rectangle", box(0, 0, 2000, 2000), "0.250 mm²"),
        ("polygon", box(0, 0, 10, 10), "6 µm²"),
        ("polyline", ((0, 0), (30, 40), (30, 80)), "22.5 µm"),
        ("point", ((1, 1),), ""),
    ],
)
def test_annotations_are_measured_in_um_and_mm2(kind, points, label):
    assert measure_label(Annotation("a", kind, outline(points)), 0.25) == label


def test_where_the_pixel_size_is_unknown_measures_are_in_pixels():
    ruler = Annotation("a", "ruler", outline(((0, 0), (0, 1234))))
    assert measure_label(ruler, None) == "1,234 px"
    assert measure_label(Annotation("a", "polygon", outline(box(0, 0, 10, 10))), None) == "100 px²"


def test_long_lengths_and_large_areas_are_in_mm():
    assert length_label(2314) == "2.31 mm"
    assert area_label(12_400_000) == "12.40 mm²"


def test_an_annotation_is_added_once_and_then_replaced_in_its_place():
    state = ReviewState(**with_annotation(ReviewState(), Annotation("a", "point", ((1.0, 1.0),))))
    state = ReviewState(**with_annotation(state, Annotation("b", "point", ((2.0, 2.0),))))
    moved = Annotation("a", "point", ((5.0, 5.0),))
    assert [one.points for one in with_annotation(state, moved)["annotations"]] == [
        ((5.0, 5.0),),
        ((2.0, 2.0),),
    ]
