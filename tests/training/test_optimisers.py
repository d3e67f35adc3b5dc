"""The authors' optimisers against their update rules, written out here step by step."""

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from puzzles import N_FEATURES, marked_bags
from torch import nn

from napari_hagmil.models import LossConfig
from napari_hagmil.models.baselines import make_baseline
from napari_hagmil.training import Bag, TrainConfig, train_stage
from napari_hagmil.training.optimisers import OptimiserConfig, Stepper
from napari_hagmil.training.step import order_of_epoch

RATE, DECAY = 1e-2, 1e-1


class Token(nn.Module):
    """A matrix, its bias, and a token."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2).double()
        self.class_token = nn.Parameter(torch.ones(4, dtype=torch.float64))


def gradients(shape, steps=20):
    return np.random.default_rng(sum(shape)).normal(size=(steps, *shape))


def by_lookahead_and_radam(start, grads, decay):
    """Liu et al. (2020), Algorithm 2, decoupled decay; every sixth step half-way to the slow."""
    w, m, v, slow = start.copy(), np.zeros_like(start), np.zeros_like(start), None
    longest = 2 / (1 - 0.999) - 1
    for t, g in enumerate(grads, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w = w - RATE * decay * w
        length = longest - 2 * t * 0.999**t / (1 - 0.999**t)
        step = m / (1 - 0.9**t)
        if length > 5:
            over = (length - 4) * (length - 2) * longest
            under = (longest - 4) * (longest - 2) * length
            step = step * sqrt(over / under) * sqrt(1 - 0.999**t) / (np.sqrt(v) + 1e-8)
        w = w - RATE * step
        if t % 6 == 0:
            slow = w if slow is None else slow + 0.5 * (w - slow)
            w = slow
    return w


def test_transmils_optimiser_is_radam_that_looks_ahead_and_spares_biases():
    model = Token()
    stepper = Stepper.make(model, OptimiserConfig("lookahead radam", RATE, DECAY))
    start = {name: p.detach().numpy().copy() for name, p in model.named_parameters()}
    grads = {name: gradients(value.shape) for name, value in start.items()}
    for t in range(20):
        for name, parameter in model.named_parameters():
            parameter.grad = torch.from_numpy(grads[name][t].copy())
        stepper.step()
    for name, parameter in model.named_parameters():
        decay = 0.0 if name == "linear.bias" else DECAY
        expected = by_lookahead_and_radam(start[name], grads[name], decay)
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-7)


def test_a_restored_lookahead_meets_the_same_slow_weights():
    def stepped(model, stepper, grads):
        for g in grads:
            for parameter in model.parameters():
                parameter.grad = torch.full_like(parameter, g)
            stepper.step()

    config = OptimiserConfig("lookahead radam", RATE)
    whole, first, second = Token(), Token(), Token()
    for model in (first, second):
        model.load_state_dict(whole.state_dict())
    grads = np.random.default_rng(0).normal(size=14)
    stepped(whole, Stepper.make(whole, config), grads)
    before, after = Stepper.make(first, config), Stepper.make(second, config)
    stepped(first, before, grads[:8])
    second.load_state_dict(first.state_dict())
    after.optimiser.load_state_dict(before.optimiser.state_dict())
    stepped(second, after, grads[8:])
    for one, other in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_dtfd_is_two_adams_a_step_in_the_rate_and_a_bound_for_each_part():
    """As its authors have it: tiers stepped in turn, four norms, both rates cut after an epoch."""

    def new():
        torch.manual_seed(0)
        return make_baseline("dtfd_afs", N_FEATURES, 2, hidden=8, gate_dim=4, n_groups=1)

    bag, clip, rate = marked_bags(2, seed=1)[1], 0.05, 1e-2
    ours, theirs = new(), new()
    config = TrainConfig(
        epochs=4, keep_last=True, learning_rate=rate, weight_decay=1e-2, clip=clip,
        rate_epochs=(2,), rate_factor=0.2, loss=ours.default_loss,
    )  # fmt: skip
    list(train_stage(ours, [bag] * 3, [], config))

    first = [theirs.embed, theirs.scores, theirs.head]
    second = nn.ModuleList([theirs.tier2_scores, theirs.tier2_head])
    adams = [
        torch.optim.Adam([p for part in parts for p in part.parameters()], rate, weight_decay=1e-2)
        for parts in (first, [second])
    ]
    drops = [torch.optim.lr_scheduler.MultiStepLR(adam, [2], 0.2) for adam in adams]
    target = torch.tensor([bag.label])
    for _ in range(4):
        for _ in range(3):
            hidden = theirs.embed(bag.features)
            pooled = theirs.scores(hidden).squeeze(-1).softmax(0) @ hidden
            handed_on = pooled.detach()[None]
            embedded = theirs.tier2_scores(handed_on).squeeze(-1).softmax(0) @ handed_on
            for loss, parts, adam in (
                (F.cross_entropy(theirs.head(pooled)[None], target), first, adams[0]),
                (F.cross_entropy(theirs.tier2_head(embedded)[None], target), [second], adams[1]),
            ):
                adam.zero_grad()
                loss.backward()
                for part in parts:
                    nn.utils.clip_grad_norm_(part.parameters(), clip)
                adam.step()
        for drop in drops:
            drop.step()
    for (name, got), expected in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("factor", [0.2, 1.0])
def test_the_rate_is_cut_after_its_epochs_and_a_restored_optimiser_counts_on(factor):
    config = OptimiserConfig("adam", 0.1, rate_epochs=(1, 3), rate_factor=factor)

    def rates(stepper, epochs):
        found = []
        for _ in range(epochs):
            for parameter in stepper.parameters:
                parameter.grad = torch.ones_like(parameter)
            stepper.step()
            found.append(stepper.optimiser.param_groups[0]["lr"])
            stepper.end_epoch()
        return found

    stepper, other = (Stepper.make(nn.Linear(3, 2), config) for _ in range(2))
    expected = [0.1, 0.1 * factor, 0.1 * factor, 0.1 * factor**2, 0.1 * factor**2]
    assert rates(stepper, 2) == pytest.approx(expected[:2])
    other.optimiser.load_state_dict(stepper.optimiser.state_dict())
    assert rates(other, 3) == pytest.approx(expected[2:])


def test_a_balanced_epoch_draws_rare_classes_as_often_as_common_ones():
    labels, rng = [0] * 90 + [1] * 10, np.random.default_rng(0)
    drawn = np.array(labels)[[order_of_epoch(labels, rng, balanced=True) for _ in range(200)]]
    assert drawn.shape == (200, 100)
    assert drawn.mean() == pytest.approx(0.5, abs=0.02)
    plain = order_of_epoch(labels, rng, balanced=False)
    assert sorted(plain) == list(range(100))


def told(**changes):
    """Epochs of a training whose validation grows worse from some point on."""
    torch.manual_seed(0)
    model = make_baseline("clam_sb", N_FEATURES, 2, hidden=8, gate_dim=4)
    wrong = [Bag(b.features, 1 - b.label) for b in marked_bags(6, seed=1)]
    config = TrainConfig(
        epochs=30, patience=2, learning_rate=1e-2, loss=replace(model.default_loss, k=2), **changes
    )
    return list(train_stage(model, wrong, marked_bags(4, seed=2), config))


def test_training_does_not_end_before_its_least_epochs_and_the_best_weights_are_kept():
    short, longer = told(), told(min_epochs=15)
    assert len(short) < 15 <= len(longer)
    assert [one[:2] for one in longer[: len(short)]] == [one[:2] for one in short]


def test_validation_counts_the_bags_alone_where_it_is_told_to():
    torch.manual_seed(0)
    model = make_baseline("clam_sb", N_FEATURES, 2, hidden=8, gate_dim=4)
    bags = marked_bags(4, seed=2)
    config = TrainConfig(
        epochs=1, learning_rate=0.0, loss=LossConfig(0.7, 0.3, k=2), validated="bag"
    )
    (epoch,) = train_stage(model, bags, bags, config)
    logits = torch.stack([model(bag.features).logits for bag in bags])
    expected = F.cross_entropy(logits, torch.tensor([bag.label for bag in bags]))
    assert epoch.val_loss == pytest.approx(expected.item(), rel=1e-5)
