"""The price of a run before it is made, against what the run then costs."""

import numpy as np
from forest import Model, Source, tree
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hagmil.cascade import CascadeConfig, Steering, forecast_depths, iter_cascade

budgets = st.tuples(st.integers(1, 20), st.integers(1, 80))


def missing(source):
    """Nodes that a source was never asked for."""
    seen = {(d, *map(int, node)) for d, nodes in source.asked for node in nodes}
    return lambda depth, nodes: sum((depth, *map(int, n)) not in seen for n in nodes)


def run(source, budget, steering=None, known=()):
    config = CascadeConfig(budget, 2, steering=steering or Steering())
    return list(iter_cascade(Model, tree(), source, config, known=known))


def test_before_the_first_run_only_the_first_depth_is_certain():
    first, second, third = forecast_depths(tree(), CascadeConfig((3, 5), 2), missing(Source()))
    assert (first.nodes, first.new, first.exact) == (16, 16, True)
    assert (second.nodes, second.new, second.exact) == (12, 12, False)
    assert (third.nodes, third.exact) == (20, False)


@settings(max_examples=30, deadline=None)
@given(budgets, budgets)
def test_the_forecast_is_exact_where_it_says_so_and_never_too_low(before, after):
    source = Source()
    known = run(source, before)
    told = forecast_depths(tree(), CascadeConfig(after, 2), missing(source), known)
    unseen, fresh = missing(source), Source()
    for one, stage in zip(told, run(fresh, after), strict=True):
        new = unseen(stage.depth, stage.nodes)
        assert new <= one.new
        assert len(stage.nodes) <= one.nodes
        if one.exact:
            assert (one.new, one.nodes) == (new, len(stage.nodes))
    assert told[1].exact


def test_the_same_run_again_costs_nothing_and_is_known_to_the_last_depth():
    source = Source()
    known = run(source, (3, 5))
    told = forecast_depths(tree(), CascadeConfig((3, 5), 2), missing(source), known)
    assert all(one.exact and one.new == 0 for one in told)


def test_places_to_leave_out_are_not_paid_for_and_pinned_branches_are():
    square = np.array([(0, 0), (0, 79), (79, 79), (79, 0)], float)
    plan = CascadeConfig((2, 2), steering=Steering(leave_out=(square,)))
    assert forecast_depths(tree(), plan, missing(Source()))[0].nodes == 12
    pinned = CascadeConfig((2, 2), steering=Steering(follow=((100.0, 100.0),)))
    assert forecast_depths(tree(), pinned, missing(Source()))[1].nodes == 12


@settings(max_examples=20, deadline=None)
@given(budgets, budgets)
def test_a_run_that_knows_earlier_stages_finds_the_same(before, after):
    known = run(Source(), before)
    for plain, quick in zip(run(Source(), after), run(Source(), after, known=known), strict=True):
        for name in ("nodes", "attention", "logits", "followed"):
            assert np.array_equal(getattr(plain, name), getattr(quick, name))


def test_a_known_bag_is_not_asked_for_again():
    known = run(Source(), (3, 5))
    source = Source()
    run(source, (4, 5), known=known)
    assert [depth for depth, _ in source.asked] == [1, 2]
