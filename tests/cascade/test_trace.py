"""What every depth says of a point."""

import numpy as np
import pytest
from forest import Model, Source, tree
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hagmil.cascade import Branch, CascadeConfig, StageIndex, Steering, iter_cascade
from napari_hagmil.cascade.trace import ancestor, described, within_branch

MPP = 0.25


def indices(budget=(3, 5), **wishes):
    grids = tree().grids
    config = CascadeConfig(budget, 2, steering=Steering(**wishes))
    stages = iter_cascade(Model, tree(), Source(), config)
    return [StageIndex(s, grids[s.depth], MPP, last=s.depth == 2) for s in stages]


def asked(found, point):
    return [index.facts(*point) for index in found]


FOUND = indices()


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 159), st.floats(0, 159))
def test_a_point_is_answered_by_the_nodes_that_hold_it_parents_above_children(y, x):
    coarse, middle, fine = asked(FOUND, (y, x))
    assert ancestor(fine.node, 1) == middle.node
    assert ancestor(fine.node, 2) == coarse.node
    assert (middle.n_nodes > 0) == (coarse.status == "followed")
    assert (fine.n_nodes > 0) == (middle.status == "followed")
    assert coarse.mpp == 1.0


def test_the_cut_is_where_the_budget_ended():
    for index in FOUND[:2]:
        stage = index.stage
        for node, followed in zip(stage.nodes, stage.followed, strict=True):
            facts = index.facts(*((node + 0.5) * index.grid.stride))
            assert facts.cut_rank == (3, 5)[stage.depth]
            assert (facts.rank <= facts.cut_rank) == followed
            assert (facts.attention >= facts.cut_attention) == followed


def test_a_pinned_branch_does_not_move_the_cut():
    lowest = FOUND[0].stage.nodes[FOUND[0].stage.attention.argmin()]
    centre = tuple((lowest + 0.5) * FOUND[0].grid.stride)
    facts = asked(indices(follow=(centre,)), centre)
    assert (facts[0].status, facts[0].rank, facts[0].cut_rank) == ("pinned", 16, 3)


def test_a_place_that_was_left_out_says_so():
    square = np.array([(0, 0), (0, 79), (79, 79), (79, 0)], float)
    facts = asked(indices(leave_out=(square,)), (10.0, 10.0))
    assert facts[0].status == "vetoed"
    assert described(facts) == "You left this place out."


@pytest.mark.parametrize(
    ("status", "words"), [("cut", "the 3 highest were followed"), ("followed", "last depth")]
)
def test_the_sentence_tells_what_became_of_the_place(status, words):
    stage = FOUND[0].stage
    wanted = stage.followed if status == "followed" else ~stage.followed
    nodes = stage.nodes[wanted]
    told = [described(asked(FOUND, (node + 0.5) * 40.0)) for node in nodes]
    leaves = FOUND[2].stage.nodes
    told += [described(asked(FOUND, (node + 0.5) * 10.0)) for node in leaves]
    assert any(words in sentence for sentence in told)


def test_a_branch_holds_the_node_and_all_below_it_and_nothing_else():
    nodes = tree().nodes
    branch = Branch(1, (2, 3))
    assert not within_branch(nodes[0], 0, branch).any()
    assert nodes[1][within_branch(nodes[1], 1, branch)].tolist() == [[2, 3]]
    below = {tuple(n) for n in nodes[2][within_branch(nodes[2], 2, branch)].tolist()}
    assert below == {(4, 6), (4, 7), (5, 6), (5, 7)}
