from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from puzzles import N_FEATURES, SMALL, marked_slides

from napari_hagmil.cascade import CascadeConfig
from napari_hagmil.errors import FeatureStoreError
from napari_hagmil.models import BundleConfig, CascadeModel, EncoderFacts, LossConfig
from napari_hagmil.models.initialisation import start_unmixed
from napari_hagmil.quadtree import children
from napari_hagmil.training import (
    Bag,
    CascadeTraining,
    Selection,
    TrainConfig,
    next_nodes,
    train_cascade,
    train_jointly,
)
from napari_hagmil.training.joint import _backward, _found_below, _Look
from napari_hagmil.training.training_slide import joined_slides

STAGE = TrainConfig(epochs=1, loss=LossConfig(k=1))
LEARNING = TrainConfig(
    epochs=8, patience=8, learning_rate=5e-3, loss=LossConfig(instance_loss="none")
)


def new_cascade():
    torch.manual_seed(0)
    model = CascadeModel(
        BundleConfig(
            name="tiny",
            encoder=EncoderFacts("none", None, N_FEATURES),
            patch_size=8,
            mpp=(1.0, 0.5, 0.25),
            classes=("normal", "tumor"),
            stages=(SMALL,) * 3,
            budget=(2, 4),
        )
    )
    for depth in range(3):
        start_unmixed(model.stage(depth))
    return model


def trained(training, validation, selection, stage=STAGE, **options):
    model = new_cascade()
    config = CascadeTraining((stage, STAGE, STAGE), selection, **options)
    return model, list(train_cascade(model, training, validation, config))


def test_each_stage_asks_only_for_children_of_what_the_one_before_hands_on():
    training, validation = marked_slides(4, seed=1), marked_slides(2, seed=2)
    _, progress = trained(training, validation, Selection((2, 4), (1, 2)))
    assert all(s.features.asked == [(0, 16), (1, 4 * 3), (2, 4 * 6)] for s in training)
    # Validation is read as in use: without random coverage.
    assert all(s.features.asked == [(0, 16), (1, 4 * 2), (2, 4 * 4)] for s in validation)
    assert [p.depth for p in progress] == sorted(p.depth for p in progress)
    assert {p.depth for p in progress} == {0, 1, 2}


def test_a_trained_cascade_follows_the_mark_on_new_slides():
    selection = Selection((2, 4), (1, 2))
    model, _ = trained(marked_slides(40, seed=1), marked_slides(8, seed=2), selection, LEARNING)
    slides = [s for s in marked_slides(20, seed=3) if s.label]
    bags = [Bag(s.features(0, s.nodes), s.label) for s in slides]
    opened = next_nodes(
        model.stage(0), 0, bags, [s.nodes for s in slides], [CascadeConfig((2, 4))] * len(slides)
    )
    found = [
        any(slide.features.is_marked(1, node) for node in nodes)
        for slide, nodes in zip(slides, opened, strict=True)
    ]
    assert sum(found) >= 0.8 * len(found)


def test_a_finished_stage_is_not_touched_by_the_next_ones():
    model = new_cascade()
    config = CascadeTraining((STAGE,) * 3, Selection((2, 4), (0, 0)))
    finished = None
    for progress in train_cascade(
        model, marked_slides(6, seed=1), marked_slides(4, seed=2), config
    ):
        if progress.depth == 1 and finished is None:
            finished = {k: v.clone() for k, v in model.stage(0).state_dict().items()}
    assert finished is not None
    assert all(torch.equal(v, finished[k]) for k, v in model.stage(0).state_dict().items())


def test_limits_let_finer_depths_learn_from_fewer_slides():
    training, validation = marked_slides(8, seed=1), marked_slides(4, seed=2)
    trained(training, validation, Selection((2, 4), (0, 0)), limits=((8, 4), (4, 2), (2, 1)))
    assert [len(s.features.asked) for s in training] == [3, 3, 2, 2, 1, 1, 1, 1]
    assert [len(s.features.asked) for s in validation] == [3, 2, 1, 1]


def test_prefetch_is_told_of_all_nodes_before_they_are_asked_for():
    training, validation = marked_slides(4, seed=1), marked_slides(2, seed=2)
    told = []

    def prefetch(depth, requests):
        assert all(len(slide.features.asked) == depth for slide, _ in requests)
        told.append((depth, len(requests), sum(len(nodes) for _, nodes in requests)))

    trained(training, validation, Selection((2, 4), (0, 0)), prefetch=prefetch)
    assert told == [(0, 6, 96), (1, 6, 48), (2, 6, 96)]


@pytest.mark.parametrize(("budget", "random"), [((0,), (1,)), ((2, 4), (1,))])
def test_a_selection_names_a_budget_and_a_random_share_per_depth(budget, random):
    with pytest.raises(ValueError, match="for the same depths"):
        Selection(budget, random)


def test_random_coverage_takes_from_the_rest_and_repeats_with_its_seed():
    model = new_cascade().eval()
    nodes = children(children(np.array([(0, 0)])))
    bag = Bag(torch.randn(16, N_FEATURES), 0)

    def opened(selection):
        config = CascadeConfig(
            selection.budget, choose=selection.chooser(np.random.default_rng(selection.seed))
        )
        return next_nodes(model.stage(0), 0, [bag], [nodes], [config])[0]

    plain, more = opened(Selection((3,), (0,))), opened(Selection((3,), (5,), seed=1))
    assert len(plain) == 12
    assert len(np.unique(more, axis=0)) == 32
    assert {tuple(n) for n in plain} <= {tuple(n) for n in more}
    assert np.array_equal(more, opened(Selection((3,), (5,), seed=1)))


def test_the_seconds_of_depths_trained_at_once_add_up_to_those_of_the_epoch(monkeypatch):
    slides = marked_slides(4, seed=1), marked_slides(2, seed=2)
    config = CascadeTraining((STAGE,) * 3, Selection((2, 4), (1, 2)))
    clock = SimpleNamespace(perf_counter=iter((10.0, 16.0)).__next__)
    monkeypatch.setattr("napari_hagmil.training.joint.time", clock)
    progress = list(train_jointly(new_cascade(), *slides, config))
    assert [p.depth for p in progress] == [0, 1, 2]
    assert sum(p.epoch.seconds for p in progress) == 6.0


def jointly_trained(selection=None, guide=None, **changes):
    """Weights after one joint epoch with some settings."""
    slides = marked_slides(4, seed=1), marked_slides(2, seed=2)
    stage = replace(STAGE, learning_rate=1e-2, background=0, **changes)
    config = CascadeTraining((stage,) * 3, selection or Selection((2, 4), (0, 0)), guide=guide)
    model = new_cascade()
    list(train_jointly(model, *slides, config))
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.fixture(scope="module")
def plain_joint_weights():
    return jointly_trained()


def any_guide(slide, depth, nodes):
    """All the attention on the first node of a tumour slide."""
    return torch.eye(len(nodes))[0] if slide.label else None


@pytest.mark.parametrize(
    "settings",
    [
        {"join": 1.0},
        {"feature_dropout": 0.5},
        {"accumulate": 2},
        {"guide": any_guide, "guidance": 1.0},
        {"selection": Selection((2, 4), (2, 2))},
        {"selection": Selection((3, 4), (0, 0))},
        {"selection": Selection((2, 4), (0, 0), 0, (4, 8), 2)},
        {"feedback": 1.0},
    ],
    ids=lambda settings: " ".join(settings),
)
def test_no_setting_of_training_is_ignored_by_the_joint_schedule(settings, plain_joint_weights):
    assert not torch.equal(jointly_trained(**settings), plain_joint_weights)


def test_a_budget_narrows_geometrically_and_stays():
    selection = Selection((8, 8), (0, 0), 0, (32, 128), 4)
    narrowing = [selection.budget_in(epoch) for epoch in range(6)]
    assert narrowing == [(32, 128), (23, 64), (16, 32), (11, 16), (8, 8), (8, 8)]
    assert Selection((8, 8), (0, 0)).budget_in(0) == (8, 8)


def test_feedback_leads_a_depth_to_where_the_next_one_looked():
    nodes = children(children(np.array([(0, 0)])))[:6]
    scores = torch.zeros(6, requires_grad=True)
    followed = np.array([True, True, False, True, False, False])
    look = _Look(scores.sum() * 0, scores.softmax(0), nodes, followed)
    below = children(nodes[followed])[::-1]
    attention = torch.zeros(12)
    attention[-1], attention[0] = 0.75, 0.25  # below the first, and below the last followed one
    found = _found_below(look, _Look(scores.sum(), attention, below, np.zeros(12, bool)))
    assert found.tolist() == [0.75, 0, 0.25]
    _backward(look, _Look(scores.sum(), attention, below, np.zeros(12, bool)), 1.0)
    # Up where more was found than the third that each followed node has, down where less was;
    # nothing is said of nodes whose children nobody saw.
    assert scores.grad.tolist() == pytest.approx(
        [1 / 3 - 0.75, 1 / 3, 0, 1 / 3 - 0.25, 0, 0], abs=1e-6
    )


def test_slides_of_the_background_give_no_feedback():
    slides = [slide for slide in marked_slides(4, seed=1) if not slide.label]
    weights = []
    for feedback in (0.0, 1.0):
        stage = replace(STAGE, learning_rate=1e-2, background=0, feedback=feedback)
        model = new_cascade()
        config = CascadeTraining((stage,) * 3, Selection((2, 4), (0, 0)))
        list(train_jointly(model, slides, marked_slides(2, seed=2), config))
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*weights)


def test_the_joint_schedule_repeats_itself(plain_joint_weights):
    assert torch.equal(jointly_trained(), plain_joint_weights)


def test_gradients_of_the_slides_of_a_joint_step_are_averaged():
    training, validation = marked_slides(2, seed=1)[:1] * 2, marked_slides(2, seed=2)
    weights = []
    for accumulate, slides in ((1, training[:1]), (2, training)):
        stage = replace(STAGE, optimiser="sgd", learning_rate=1e-2, accumulate=accumulate)
        model = new_cascade()
        selection = Selection((2, 4), (0, 0))
        list(train_jointly(model, slides, validation, CascadeTraining((stage,) * 3, selection)))
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    # Twice the same slide in one step is that slide once.
    assert torch.allclose(*weights, atol=1e-6)


def test_joined_slides_are_one_tree_in_which_each_keeps_its_own_features():
    slide, other = marked_slides(2, seed=3)
    both = joined_slides(slide, other, np.random.default_rng(0))
    assert len(both.nodes) == len(slide.nodes) + len(other.nodes)
    nodes = both.nodes
    for depth in range(3):
        shift = int(slide.nodes[:, 1].max() + 1) << depth
        own = nodes[:, 1] < shift
        found = both.features(depth, nodes)
        assert torch.equal(found[own], slide.features(depth, nodes[own]))
        assert torch.equal(found[~own], other.features(depth, nodes[~own] - np.array((0, shift))))
        nodes = children(nodes[:: depth + 2])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_patch_with_a_feature_that_is_not_finite_is_left_out_of_its_bag(value):
    slide = marked_slides(1, seed=1)[0]

    def spoiled(depth, nodes):
        features = torch.ones(len(nodes), N_FEATURES)
        features[1, 2] = value
        return features

    bag, read = replace(slide, features=spoiled).bag(0, slide.nodes)
    assert bag.features.isfinite().all()
    assert read.tolist() == np.delete(slide.nodes, 1, axis=0).tolist()


def test_a_slide_without_a_readable_patch_is_named():
    slide = marked_slides(1, seed=1)[0]
    blank = replace(slide, features=lambda depth, nodes: torch.full((len(nodes), 3), torch.inf))
    with pytest.raises(FeatureStoreError, match=f"{slide.name} have no readable patch .* depth 0"):
        blank.bag(0, slide.nodes)
