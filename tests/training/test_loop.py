from dataclasses import replace

import numpy as np
import pytest
import torch
from puzzles import MARK, N_FEATURES, SMALL, marked_bags
from torch import nn

from napari_hagmil.evaluation.metrics import auc
from napari_hagmil.models import IntegratedAttentionTransformer, LossConfig
from napari_hagmil.models.baselines import BASELINES, make_baseline
from napari_hagmil.models.initialisation import start_glorot, start_unmixed
from napari_hagmil.training import (
    Bag,
    Standardiser,
    TrainConfig,
    fit_stage,
    join_bags,
    predict,
    train_stage,
)

FAST = TrainConfig(epochs=8, patience=8, learning_rate=5e-3, loss=LossConfig(instance_loss="none"))


def new_stage(seed=0):
    torch.manual_seed(seed)
    stage = IntegratedAttentionTransformer(SMALL)
    start_unmixed(stage)
    return stage


def test_a_stage_learns_what_marks_the_slides_and_points_at_it():
    stage, unseen = new_stage(), marked_bags(20, seed=3)
    list(fit_stage(stage, marked_bags(40, seed=1), marked_bags(10, seed=2), FAST))
    assert auc([b.label for b in unseen], predict(stage, unseen)[:, 1]) > 0.9
    pointed = [stage(b.features).attention.argmax() < 2 for b in unseen if b.label]
    assert sum(pointed) >= 0.8 * len(pointed)


def test_the_same_seed_gives_the_same_weights_and_another_one_others():
    def weights(seed):
        stage = new_stage()
        config = TrainConfig(epochs=2, learning_rate=1e-3, seed=seed, feature_dropout=0.2)
        list(train_stage(stage, marked_bags(6, seed=1), marked_bags(4, seed=2), config))
        return torch.cat([p.flatten() for p in stage.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_training_leaves_the_global_random_state_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    stage = new_stage()
    torch.manual_seed(7)
    list(train_stage(stage, marked_bags(4, seed=1), marked_bags(4, seed=2), TrainConfig(epochs=1)))
    assert torch.equal(torch.rand(3), expected)


def test_training_stops_after_its_patience_and_keeps_the_best_weights():
    stage, validation = new_stage(), marked_bags(6, seed=2)
    # Labels turned round: what is learned makes the validation worse from some epoch on.
    wrong = [Bag(b.features, 1 - b.label) for b in marked_bags(10, seed=1)]
    config = TrainConfig(epochs=40, patience=2, learning_rate=1e-2)
    epochs = list(train_stage(stage, wrong, validation, config))
    best = max(e.number for e in epochs if e.is_best)
    assert len(epochs) == best + 2 < 40
    with torch.no_grad():
        losses = [float(stage.loss(b.features, b.label, config.loss).total) for b in validation]
    assert sum(losses) / len(losses) == pytest.approx(min(e.val_loss for e in epochs), rel=1e-5)


def test_a_caller_who_stops_early_gets_a_model_ready_for_use():
    stage = new_stage()
    epochs = train_stage(stage, marked_bags(4, seed=1), marked_bags(4, seed=2), FAST)
    next(epochs)
    epochs.close()
    assert not stage.training


def test_a_stage_cannot_be_trained_without_validation():
    with pytest.raises(ValueError, match="both sides"):
        next(train_stage(new_stage(), marked_bags(2, seed=1), [], FAST))


def test_a_fixed_number_of_epochs_needs_no_validation_and_keeps_the_last_weights():
    def after(epochs, keep_last):
        stage, last = new_stage(), replace(FAST, epochs=epochs, keep_last=keep_last, patience=1)
        told = list(train_stage(stage, marked_bags(6, seed=1), marked_bags(4, seed=2), last))
        return torch.cat([p.flatten() for p in stage.parameters()]), told

    stage = new_stage()
    list(train_stage(stage, marked_bags(6, seed=1), [], replace(FAST, epochs=5, keep_last=True)))
    weights, told = after(5, keep_last=True)
    assert len(told) == 5
    assert torch.equal(weights, torch.cat([p.flatten() for p in stage.parameters()]))
    assert not torch.equal(weights, after(4, keep_last=True)[0])


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, pooling="class_token")])
def test_absorbing_the_standardisation_changes_no_output_of_a_stage(config):
    bags = [b.features for b in marked_bags(10, seed=4)]
    stage = IntegratedAttentionTransformer(config).eval()
    standardiser = Standardiser.fit(bags)
    expected = stage(standardiser(bags[0])).logits
    stage.absorb(standardiser.mean, standardiser.scale)
    torch.testing.assert_close(stage(bags[0]).logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", BASELINES)
def test_absorbing_the_standardisation_changes_no_output_of_a_baseline(name):
    bags = [b.features for b in marked_bags(10, seed=4)]
    options = {"bias": True} if name.startswith("dtfd") else {}
    model = make_baseline(name, N_FEATURES, 2, **options).eval()
    standardiser = Standardiser.fit(bags)
    expected = model(standardiser(bags[0])).logits
    model.absorb(standardiser.mean, standardiser.scale)
    torch.testing.assert_close(model(bags[0]).logits, expected, rtol=1e-3, atol=1e-4)


def test_a_model_without_a_bias_says_that_it_cannot_absorb_a_mean():
    ones = torch.ones(N_FEATURES)
    with pytest.raises(ValueError, match="bias=True"):
        make_baseline("dtfd_afs", N_FEATURES, 2).absorb(ones, ones)


def test_a_constant_feature_is_not_divided_by_zero():
    x = torch.ones(5, N_FEATURES)
    assert torch.equal(Standardiser.fit([x])(x), torch.zeros(5, N_FEATURES))


def test_a_joined_bag_keeps_its_label_and_all_instances_of_both():
    normal, tumour = marked_bags(2, seed=5)
    bag = join_bags(tumour, [normal], np.random.default_rng(0))
    assert bag.label == 1
    assert len(bag.features) == 16
    assert float(bag.features[:, 0].max()) > 5 + MARK / 2


def test_a_glorot_start_fills_its_bounds_and_leaves_no_bias():
    stage = make_baseline("ab_mil", 40, 2, widths=[30], hidden=20)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        start_glorot(stage)
    layers = [layer for layer in stage.modules() if isinstance(layer, nn.Linear)]
    assert len(layers) >= 3
    for layer in layers:
        bound = (6 / sum(layer.weight.shape)) ** 0.5
        assert 0.7 * bound < float(layer.weight.detach().abs().max()) <= bound
        assert layer.bias is None or not layer.bias.any()


def test_an_unmixed_start_gives_an_instance_the_same_attention_logit_in_any_company():
    stage = new_stage().eval()
    x = torch.randn(6, N_FEATURES)
    alone = stage.forward_blocks(x[:3])[1][-1].scores
    in_company = stage.forward_blocks(x)[1][-1].scores[:3]
    torch.testing.assert_close(alone, in_company)
