"""A decision in which every depth that was read counts, and one in which the finest does."""

import numpy as np
import pytest
from forest import Model, Source, tree

from napari_hagmil.cascade import (
    Branch,
    CascadeConfig,
    SecondLookPlan,
    Steering,
    iter_cascade,
    second_look,
    without_branch,
)
from napari_hagmil.cascade.result import pooled_logits

LOGITS = [np.float32([1, 0]), np.float32([0, 3]), np.float32([2, 2])]


class Weighed:
    stages = Model.stages
    depth_weights = (0.5, 2.0, 1.0)
    temperatures = ()


def softmax(logits):
    return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()


def test_the_logits_of_the_depths_that_were_read_add_up_with_their_weights():
    assert pooled_logits(LOGITS, (0.5, 2.0, 1.0)).tolist() == [2.5, 8.0]
    assert pooled_logits(LOGITS[:2], (0.5, 2.0, 1.0)).tolist() == [0.5, 6.0]


@pytest.mark.parametrize(("read", "weights"), [(3, ()), (1, (0.0, 1.0, 1.0))])
def test_the_last_depth_speaks_for_itself_where_no_depth_has_a_weight(read, weights):
    assert pooled_logits(LOGITS[:read], weights) is None


def test_a_cascade_without_weights_decides_at_its_finest_depth():
    for stage in iter_cascade(Model, tree(), Source(), CascadeConfig((3, 3))):
        assert stage.decision is None
        np.testing.assert_allclose(stage.probabilities, softmax(stage.logits), rtol=1e-6)


def test_a_cascade_with_weights_says_at_each_depth_what_it_knows_so_far():
    stages = list(iter_cascade(Weighed, tree(), Source(), CascadeConfig((3, 3))))
    plain = list(iter_cascade(Model, tree(), Source(), CascadeConfig((3, 3))))
    total = np.zeros_like(stages[0].logits)
    for stage, other, weight in zip(stages, plain, Weighed.depth_weights, strict=True):
        np.testing.assert_array_equal(stage.logits, other.logits)  # a depth alone is unchanged
        total = total + weight * stage.logits
        np.testing.assert_allclose(stage.probabilities, softmax(total), rtol=1e-5)


def test_known_stages_are_weighed_anew_where_a_coarser_one_has_changed():
    known = list(iter_cascade(Weighed, tree(), Source(), CascadeConfig((3, 3))))
    cut = known[0].nodes[int(np.argmin(known[0].attention))]
    middle = (cut + 0.5) * tree().grids[0].stride - 0.5
    square = middle + np.array([(-9, -9), (-9, 9), (9, 9), (9, -9)])
    config = CascadeConfig((3, 3), steering=Steering(leave_out=(square,)))
    again = list(iter_cascade(Weighed, tree(), Source(), config, known=known))
    afresh = list(iter_cascade(Weighed, tree(), Source(), config))
    assert len(again[0].nodes) == len(known[0].nodes) - 1
    for one, other in zip(again, afresh, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=1e-6)


def test_questions_after_a_run_are_answered_with_all_depths():
    stages = list(iter_cascade(Weighed, tree(), Source(), CascadeConfig((3, 3))))
    node = stages[0].nodes[stages[0].followed][0]
    without = without_branch(Weighed, Source(), stages, Branch(0, tuple(node.tolist())))
    alone = without_branch(Model, Source(), stages, Branch(0, tuple(node.tolist())))
    np.testing.assert_array_equal(without[0].shape, alone[0].shape)
    assert not np.allclose(without[2], alone[2])
    look = second_look(Weighed, Source(), stages, SecondLookPlan(0, 4))
    np.testing.assert_allclose(look.before, stages[1].probabilities)
