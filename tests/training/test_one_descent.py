"""A run, its forecast and both schedules of training go down the same nodes: one `descend`."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from puzzles import N_FEATURES, SMALL, marked_slides

from napari_hagmil.cascade import CascadeConfig, forecast_depths, iter_cascade
from napari_hagmil.models import BundleConfig, CascadeModel, EncoderFacts, LossConfig
from napari_hagmil.training import (
    CascadeTraining,
    Selection,
    TrainConfig,
    train_cascade,
    train_jointly,
)

BUDGET = (3, 5)
#: Weights stay as they are: what differs between callers is the descent alone.
FROZEN = TrainConfig(
    epochs=1, learning_rate=0.0, weight_decay=0.0, loss=LossConfig(instance_loss="none")
)
TRAINING = CascadeTraining((FROZEN,) * 3, Selection(BUDGET, (0, 0)), standardise=False)


def cascade(order):
    torch.manual_seed(0)
    facts = EncoderFacts("none", None, N_FEATURES)
    config = BundleConfig(
        "tiny", facts, 8, (1.0, 0.5, 0.25), ("normal", "tumor"), (SMALL,) * 3, BUDGET, order=order
    )
    return CascadeModel(config).eval()


class Recorded:
    """A feature source that keeps the nodes it was asked for."""

    def __init__(self, source):
        self.source, self.asked = source, []

    def __call__(self, depth, nodes):
        self.asked.append((depth, nodes.tolist()))
        return self.source(depth, nodes)


def slide(seed):
    (one,) = marked_slides(1, seed=seed)
    return replace(one, features=Recorded(one.features))


@pytest.mark.parametrize("order", ["quadtree", "attention"])
def test_run_forecast_and_both_schedules_look_at_the_same_nodes(order):
    config, run = CascadeConfig(BUDGET, order=order), slide(3)
    stages = list(iter_cascade(cascade(order), run.quadtree(), run.features, config))
    expected = run.features.asked
    assert [len(nodes) for _, nodes in expected] == [16, 12, 20]

    forecast = []
    forecast_depths(
        run.quadtree(), config, lambda d, nodes: forecast.append((d, nodes.tolist())) or 0, stages
    )
    assert forecast == expected

    for train in (train_cascade, train_jointly):
        sides = slide(3), slide(3)
        list(train(cascade(order), sides[:1], sides[1:], TRAINING))
        assert sides[0].features.asked == expected
        assert sides[1].features.asked == expected


def test_random_nodes_of_training_come_beside_those_of_highest_attention():
    selection = Selection((3, 5), (2, 0))
    attention = np.random.default_rng(0).permutation(16).astype(np.float32)
    nodes = slide(3).nodes
    chosen = selection.chooser(np.random.default_rng(1))(0, nodes, attention, 3)
    assert attention[chosen[:3]].tolist() == [15, 14, 13]
    assert len(set(chosen.tolist())) == 5
