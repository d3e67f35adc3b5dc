from itertools import pairwise

import numpy as np
import pytest
from forest import Model, Source, tree
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hagmil.cascade import CascadeConfig, Steering, iter_cascade, select_top
from napari_hagmil.errors import SlideReadError
from napari_hagmil.quadtree import children, parents, z_order


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 80))
def test_only_the_children_of_followed_nodes_are_asked_for(k0, k1):
    source = Source()
    stages = list(iter_cascade(Model, tree(), source, CascadeConfig((k0, k1), 2)))
    assert [s.depth for s in stages] == [0, 1, 2]
    sizes = [len(s.nodes) for s in stages]
    assert sizes == [16, 4 * min(k0, 16), 4 * min(k1, 4 * min(k0, 16))]
    for before, stage in pairwise(stages):
        followed = {tuple(n) for n in before.nodes[before.followed]}
        assert {tuple(n) for n in parents(stage.nodes)} == followed
    assert [len(nodes) for _, nodes in source.asked] == sizes


def test_the_followed_nodes_are_the_ones_with_the_highest_attention():
    first = next(iter_cascade(Model, tree(), Source(), CascadeConfig((5, 5), 2)))
    assert first.attention[first.followed].min() > first.attention[~first.followed].max()
    assert first.attention.sum() == pytest.approx(1, abs=1e-6)
    assert (first.ranks[first.followed] <= 5).all()


def test_stages_are_yielded_before_the_next_one_is_read():
    source = Source()
    cascade = iter_cascade(Model, tree(), source, CascadeConfig((2, 2), 2))
    next(cascade)
    assert [depth for depth, _ in source.asked] == [0]


def test_quadtree_order_lists_neighbours_together_and_attention_order_follows_the_parents():
    for order in ("quadtree", "attention"):
        first, second, _ = iter_cascade(
            Model, tree(), Source(), CascadeConfig((6, 3), 2, order=order)
        )
        chosen = first.nodes[select_top(first.attention, 6)]
        if order == "quadtree":
            chosen = chosen[z_order(chosen)]
        assert (second.nodes == children(chosen)).all()


def test_a_cascade_goes_as_deep_as_its_budget():
    stages = iter_cascade(Model, tree(), Source(), CascadeConfig((3, 3)))
    assert [s.depth for s in stages] == [0, 1, 2]
    assert CascadeConfig(()).last_depth == 0


def test_a_cascade_may_end_before_the_models_last_depth():
    stages = list(iter_cascade(Model, tree(), Source(), CascadeConfig((3, 3), 1)))
    assert [s.depth for s in stages] == [0, 1]
    assert not stages[-1].followed.any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_unreadable_places_are_left_out_of_the_bag_and_reported(value):
    source = Source([(0, 1, 1), (0, 2, 3)], value)
    first = next(iter_cascade(Model, tree(), source, CascadeConfig((16, 4), 2)))
    assert {tuple(n) for n in first.unread} == {(1, 1), (2, 3)}
    assert len(first.nodes) == 14
    assert np.isfinite(first.attention).all()


def test_a_stage_without_a_readable_place_is_an_error_that_says_so():
    every = [(0, r, c) for r in range(4) for c in range(4)]
    with pytest.raises(SlideReadError, match="nothing to look at"):
        next(iter_cascade(Model, tree(), Source(every), CascadeConfig((2, 2), 2)))


def test_a_pinned_branch_is_followed_down_to_the_last_depth_on_top_of_the_budget():
    plain = list(iter_cascade(Model, tree(), Source(), CascadeConfig((2, 2), 2)))
    cut = plain[0].nodes[int(np.argmin(plain[0].attention))]
    centre = tuple((cut + 0.5) * 40.0)
    steering = Steering(follow=(centre,))
    steered = list(
        iter_cascade(Model, tree(), Source(), CascadeConfig((2, 2), 2, steering=steering))
    )
    for before, after in zip(plain, steered, strict=True):
        had = {tuple(n) for n in before.nodes[before.followed]}
        assert had <= {tuple(n) for n in after.nodes[after.followed]} or before.depth == 1
        grid = tree().grids[after.depth]
        at = np.floor((np.array(centre) + 0.5) / grid.stride)
        assert (after.nodes == at).all(1).any()
    assert steered[0].followed.sum() == 3
    assert steered[0].pinned.sum() == 1


def test_a_place_to_leave_out_is_never_asked_for():
    square = np.array([(0, 0), (0, 79), (79, 79), (79, 0)], float)
    source = Source()
    steering = Steering(leave_out=(square,))
    first = next(iter_cascade(Model, tree(), source, CascadeConfig((2, 2), 2, steering=steering)))
    assert {tuple(n) for n in first.vetoed} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert len(source.asked[0][1]) == 12


@pytest.mark.parametrize("budget", [(0, 3), (3,)])
def test_a_budget_that_does_not_fit_is_refused(budget):
    with pytest.raises(ValueError, match="a budget is a positive number"):
        CascadeConfig(budget, 2)


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(1, 40))
def test_ties_go_to_the_node_that_comes_first(values, budget):
    top = select_top(np.array(values, float), budget)
    expected = sorted(range(len(values)), key=lambda i: (-values[i], i))[:budget]
    assert top.tolist() == expected


def test_an_unread_node_before_a_followed_one_does_not_shift_what_is_opened():
    source = Source(unreadable=[(0, 0, 0), (0, 0, 1)])
    first, second, *_ = iter_cascade(Model, tree(), source, CascadeConfig((3, 3), 2))
    opened = children(first.nodes[first.followed])
    assert {tuple(n) for n in second.nodes} == {tuple(n) for n in opened}
    best = np.argsort(-first.attention, kind="stable")[:3]
    assert {tuple(n) for n in first.nodes[first.followed]} == {tuple(first.nodes[i]) for i in best}
