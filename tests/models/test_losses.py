"""The losses: the table of mil.md, the official values, and what must hold for all."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from napari_hagmil.models import LossConfig
from napari_hagmil.models.losses import (
    bag_cross_entropy,
    instance_loss,
    patch_loss,
    smooth_top1_svm,
)

TABLE = [
    ([[0.0, 0.0]], [0], 1.313261687518),
    ([[2.0, -1.0]], [0], 0.126928011043),
    ([[2.0, -1.0]], [1], 4.018149927918),
    ([[0.3, -0.7, 1.2]], [2], 0.920975970111),
    ([[0.5, -0.2], [1.0, 2.0], [-1.5, 0.3]], [0, 1, 0], 1.468845083772),
]

scores_and_label = st.integers(2, 5).flatmap(
    lambda c: st.tuples(st.lists(st.floats(-30, 30), min_size=c, max_size=c), st.integers(0, c - 1))
)


@pytest.mark.parametrize(("scores", "labels", "expected"), TABLE)
def test_the_smooth_svm_has_the_values_of_the_table(scores, labels, expected):
    loss = smooth_top1_svm(torch.tensor(scores, dtype=torch.float64), torch.tensor(labels))
    assert loss.item() == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("classes", [2, 5])
def test_the_smooth_svm_has_the_official_values(data_dir, classes):
    case = load_file(data_dir / "reference" / "smooth_top1_svm.safetensors")
    scores, labels = case[f"scores{classes}"], case[f"labels{classes}"]
    losses = torch.stack(
        [smooth_top1_svm(s[None], y[None]) for s, y in zip(scores, labels, strict=True)]
    )
    assert torch.allclose(losses, case[f"losses{classes}"], atol=2e-3)  # their hard branch
    close = (scores.max(1).values - scores.min(1).values) < 5
    assert torch.allclose(losses[close], case[f"losses{classes}"][close], atol=1e-5)


@given(scores_and_label)
def test_the_smooth_svm_lies_above_the_hinge_by_at_most_the_logarithm_of_the_classes(case):
    scores, label = torch.tensor([case[0]], dtype=torch.float64), torch.tensor([case[1]])
    margin = scores + 1 - nn.functional.one_hot(label, scores.shape[1])
    hinge = (margin.max() - scores[0, case[1]]).item()
    loss = smooth_top1_svm(scores, label).item()
    assert hinge - 1e-9 <= loss <= hinge + torch.tensor(scores.shape[1]).log().item() + 1e-6


@given(scores_and_label, st.floats(-50, 50))
def test_the_smooth_svm_does_not_see_a_shift_of_all_scores(case, shift):
    scores, label = torch.tensor([case[0]], dtype=torch.float64), torch.tensor([case[1]])
    moved = smooth_top1_svm(scores + shift, label).item()
    assert moved == pytest.approx(smooth_top1_svm(scores, label).item(), abs=1e-8)


def test_a_small_temperature_gives_the_hinge_and_a_larger_margin_costs_more():
    scores, label = torch.tensor([[0.3, -0.7, 0.9]], dtype=torch.float64), torch.tensor([2])
    assert smooth_top1_svm(scores, label, tau=1e-3).item() == pytest.approx(0.4, abs=1e-3)
    assert smooth_top1_svm(scores, label, alpha=2) > smooth_top1_svm(scores, label)


def test_the_gradient_of_the_smooth_svm_is_that_of_its_formula():
    scores = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    assert torch.autograd.gradcheck(lambda s: smooth_top1_svm(s, labels), scores)


def test_label_smoothing_mixes_in_the_mean_of_all_classes():
    logits = torch.tensor([1.0, -0.5, 0.2])
    log_probabilities = logits.log_softmax(0)
    expected = -(0.9 * log_probabilities[1] + 0.1 * log_probabilities.mean())
    assert bag_cross_entropy(logits, 1, 0.1).item() == pytest.approx(expected.item())
    assert bag_cross_entropy(logits, 1).item() == pytest.approx(-log_probabilities[1].item())


def heads(n_classes: int = 3) -> nn.ModuleList:
    return nn.ModuleList(nn.Linear(4, 2) for _ in range(n_classes))


def by_hand(instances, scores, label, classifiers, config) -> float:
    """The instance loss in the words of mil.md, with loops."""
    k = min(config.k, len(instances) // 2)
    if k == 0:
        return 0.0
    ranked = sorted(range(len(instances)), key=lambda i: -scores[i].item())
    top, bottom = ranked[:k], ranked[-k:]

    def svm(head: nn.Module, rows: list[int], labels: list[int]) -> float:
        values = []
        for row, y in zip(rows, labels, strict=True):
            x = head(instances[row]).double()
            upper = sum(torch.exp(x[j] + (j != y)) for j in range(2)).log()
            values.append((upper - x[y]).item())
        return sum(values) / len(values)

    total = svm(classifiers[label], top + bottom, [1] * k + [0] * k)
    if config.subtyping:
        others = [c for c in range(len(classifiers)) if c != label]
        total += sum(svm(classifiers[c], top, [0] * k) for c in others)
        total /= len(classifiers)
    return total


@pytest.mark.parametrize("subtyping", [False, True])
@pytest.mark.parametrize("n", [1, 2, 3, 9, 16, 40])
def test_the_instance_loss_is_what_its_words_say(n, subtyping):
    config = LossConfig(k=8, subtyping=subtyping)
    instances, scores, classifiers = torch.randn(n, 4), torch.randn(n), heads()
    loss = instance_loss(instances, scores, 1, classifiers, config).item()
    assert loss == pytest.approx(by_hand(instances, scores, 1, classifiers, config), abs=1e-5)


def test_a_column_of_scores_per_class_ranks_each_class_by_its_own():
    instances, classifiers, config = torch.randn(20, 4), heads(), LossConfig(k=3, subtyping=True)
    one = torch.randn(20)
    shared = instance_loss(instances, one[:, None].expand(-1, 3), 0, classifiers, config)
    assert shared == instance_loss(instances, one, 0, classifiers, config)
    other = torch.stack((one, -one, one), dim=1)
    assert shared != instance_loss(instances, other, 0, classifiers, config)


def test_ties_are_broken_by_place_so_that_the_loss_is_deterministic():
    instances, classifiers = torch.randn(20, 4), heads()
    flat = torch.zeros(20)
    expected = instance_loss(instances, -torch.arange(20.0), 0, classifiers, LossConfig(k=4))
    assert instance_loss(instances, flat, 0, classifiers, LossConfig(k=4)) == expected


#: Logits of four patches; the smooth SVM of the first two is known: mil.md.
PATCHES = torch.tensor([[2.0, -1.0], [0.0, 0.0], [9.0, 9.0], [7.0, -7.0]])


@pytest.mark.parametrize(
    ("label", "expected"),
    [(0, (0.126928011043 + 1.313261687518) / 2), (1, (4.018149927918 + 1.313261687518) / 2)],
)
def test_the_top_patches_are_told_apart_by_one_head_of_all_classes(label, expected):
    scores = torch.tensor([3.0, 2.0, 1.0, 0.0])
    loss = patch_loss(PATCHES, scores, label, nn.Identity(), k=2)
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_a_head_that_says_the_same_of_every_patch_pays_for_one_of_two_labels():
    constant = nn.Linear(4, 2)
    nn.init.zeros_(constant.weight)
    with torch.no_grad():
        constant.bias.copy_(torch.tensor([-20.0, 20.0]))
    patches, scores = torch.randn(10, 4), torch.randn(10)
    losses = [patch_loss(patches, scores, y, constant, k=4).item() for y in (0, 1)]
    assert losses[1] < 1e-6
    assert losses[0] > 40


def test_the_patch_loss_sees_the_k_most_attended_and_no_other():
    scores, head = torch.arange(10.0), nn.Linear(4, 3)
    patches = torch.randn(10, 4, requires_grad=True)
    patch_loss(patches, scores, 2, head, k=3).backward()
    touched = patches.grad.abs().sum(1) > 0
    assert touched.tolist() == [False] * 7 + [True] * 3


def test_a_bag_of_one_has_no_patch_loss():
    assert patch_loss(torch.randn(1, 4), torch.randn(1), 1, nn.Linear(4, 2), k=8) == 0


def test_no_instance_loss_is_none():
    config = LossConfig(instance_loss="none")
    assert instance_loss(torch.randn(20, 4), torch.randn(20), 0, heads(), config) == 0
