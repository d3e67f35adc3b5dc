"""Questions after a run: without a branch, with pruned ones, and what another run changed."""

import numpy as np
import pytest
from forest import Model, Source, tree
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hagmil.cascade import (
    Branch,
    CascadeConfig,
    SecondLookPlan,
    Steering,
    compare_runs,
    iter_cascade,
    second_look,
    without_branch,
)
from napari_hagmil.cascade.trace import within_branch
from napari_hagmil.quadtree import children


def run(budget=(3, 5), source=None, **wishes):
    config = CascadeConfig(budget, 2, steering=Steering(**wishes))
    return list(iter_cascade(Model, tree(), source or Source(), config))


def test_without_a_branch_is_the_model_on_what_is_left_of_each_bag():
    stages, source = run(), Source()
    branch = Branch(0, tuple(map(int, stages[0].nodes[stages[0].attention.argmax()])))
    found = without_branch(Model, source, stages, branch)
    for stage, told in zip(stages, found, strict=True):
        rest = stage.nodes[~within_branch(stage.nodes, stage.depth, branch)]
        assert len(rest) < len(stage.nodes)
        logits = Source()(stage.depth, rest).mean(0)[:2]
        assert told == pytest.approx(logits.softmax(0).numpy(), abs=1e-6)


def test_a_branch_that_was_not_followed_changes_its_own_stage_only():
    stages = run()
    branch = Branch(0, tuple(map(int, stages[0].nodes[stages[0].attention.argmin()])))
    first, second, third = without_branch(Model, Source(), stages, branch)
    assert not np.allclose(first, stages[0].probabilities)
    assert (second == stages[1].probabilities).all()
    assert (third == stages[2].probabilities).all()


def test_without_the_only_branch_there_is_nothing_to_say():
    stages = run(budget=(1, 5))
    (only,) = stages[0].nodes[stages[0].followed]
    found = without_branch(Model, Source(), stages, Branch(0, tuple(map(int, only))))
    assert found[0] is not None
    assert found[1:] == [None, None]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1), st.integers(1, 30), st.integers(0, 5))
def test_a_second_look_opens_cut_branches_beside_the_followed_ones(depth, n, seed):
    source = Source()
    stages = run(source=source)
    source.asked.clear()
    look = second_look(Model, source, stages, SecondLookPlan(depth, n, seed))
    cut = {tuple(node) for node in stages[depth].nodes[~stages[depth].followed].tolist()}
    assert {tuple(node) for node in look.sampled.tolist()} <= cut
    assert len(look.sampled) == min(n, len(cut)) == len(look.peaks)
    assert look.population == len(cut)
    ((asked_depth, asked),) = source.asked
    assert asked_depth == depth + 1
    assert len(asked) == len(stages[depth + 1].nodes) + 4 * len(look.sampled)
    assert len(look.hidden) == round(look.share * len(look.sampled))
    assert look.low <= look.share <= look.high


def test_a_second_look_at_everything_is_certain():
    stages = run()
    look = second_look(Model, Source(), stages, SecondLookPlan(0, 100))
    assert look.low == look.share == look.high
    bag = Source()(1, np.concatenate([stages[1].nodes, children(look.sampled)]))
    attention = bag[:, 0].softmax(0).numpy()
    followed = attention[: len(stages[1].nodes)].reshape(-1, 4).max(1)
    sampled = attention[len(stages[1].nodes) :].reshape(-1, 4).max(1)
    assert look.typical == pytest.approx(np.median(followed))
    assert look.share == (sampled >= np.median(followed)).mean()


def test_where_nothing_was_cut_there_is_nothing_to_look_at():
    assert second_look(Model, Source(), run(budget=(16, 5)), SecondLookPlan(0, 5)) is None


def test_a_cut_branch_that_cannot_be_read_hides_nothing_that_was_seen():
    every = [(1, r, c) for r in range(8) for c in range(8)]
    stages = run()
    known = {tuple(n) for n in stages[1].nodes.tolist()}
    dark = Source(unreadable=[key for key in every if key[1:] not in known])
    look = second_look(Model, dark, stages, SecondLookPlan(0, 5))
    assert look.share == 0
    assert (look.peaks == 0).all()


def test_a_pinned_branch_is_what_another_run_has_opened():
    before = run()
    lowest = before[0].nodes[before[0].attention.argmin()]
    after = run(follow=(tuple((lowest + 0.5) * 40.0),))
    first, second, _ = compare_runs(before, after)
    assert first.opened.tolist() == [lowest.tolist()]
    assert len(first.closed) == len(first.gained) == len(second.lost) == 0
    assert len(second.gained) == 4
    assert (second.before == before[1].probabilities).all()


def test_the_same_run_changes_nothing():
    for change in compare_runs(run(), run()):
        assert not any(map(len, (change.opened, change.closed, change.gained, change.lost)))
