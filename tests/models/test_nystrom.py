"""Nyström attention: the package's numbers, and the facts about them that designs rest on."""

from __future__ import annotations

import nystrom_attention
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from napari_hagmil.models import NystromAttention
from napari_hagmil.models.nystrom import iterative_pinv
from napari_hagmil.models.rowwise import LARGE

DIM, HEAD, HEADS, LANDMARKS = 64, 8, 8, 32
SIZES = (1, 2, 5, 31, 32, 33, 64, 100, 257)


def pair(*, dtype: torch.dtype = torch.float32, **options: object):
    theirs = nystrom_attention.NystromAttention(DIM, HEAD, HEADS, LANDMARKS)
    ours = NystromAttention(DIM, HEAD, HEADS, LANDMARKS, **options)
    ours.load_state_dict(theirs.state_dict())
    return theirs.to(dtype), ours.to(dtype)


def bag(n: int, kind: str = "random", dim: int = DIM) -> Tensor:
    if kind == "random":
        return torch.randn(1, n, dim)
    return torch.randn(5, dim)[torch.randint(5, (1, n))] + 0.1 * torch.randn(1, n, dim)


def gradients(module: torch.nn.Module, x: Tensor, mask: Tensor | None, weights: Tensor):
    x = x.clone().requires_grad_()
    output = module(x) if mask is None else module(x, mask=mask)
    (output * weights).sum().backward()
    found = {name: p.grad for name, p in module.named_parameters()}
    return output.detach(), {**found, "x": x.grad}


def assert_same(theirs, ours, x: Tensor, *, mask=(None, None), tolerance=(1e-6, 1e-5)) -> None:
    weights = torch.randn_like(x) / x.shape[1]
    expected, expected_gradients = gradients(theirs, x, mask[0], weights)
    output, found = gradients(ours, x, mask[1], weights)
    assert torch.allclose(output, expected, atol=tolerance[0], rtol=tolerance[0])
    for name, gradient in expected_gradients.items():
        scale = max(gradient.abs().max().item(), 1.0)
        assert (found[name] - gradient).abs().max() <= tolerance[1] * scale, name


@pytest.mark.parametrize("kind", ["random", "clustered"])
@pytest.mark.parametrize("n", SIZES)
class TestEqualToThePackage:
    def test_with_legacy_padding_it_is_the_package_without_a_mask(self, n, kind):
        assert_same(*pair(legacy_padding=True), bag(n, kind))

    def test_by_default_it_is_the_package_with_a_mask_of_all_tokens(self, n, kind):
        assert_same(*pair(), bag(n, kind), mask=(torch.ones(1, n, dtype=torch.bool), None))

    def test_a_mask_means_what_it_means_there(self, n, kind):
        mask = torch.rand(1, n) > 0.3
        assert_same(*pair(), bag(n, kind), mask=(mask, mask))

    def test_in_float64_it_is_equal_to_the_last_digits(self, n, kind):
        everyone = torch.ones(1, n, dtype=torch.bool)
        x, tolerance = bag(n, kind).double(), (1e-12, 1e-11)
        assert_same(*pair(dtype=torch.float64), x, mask=(everyone, None), tolerance=tolerance)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 200), landmarks=st.integers(1, 70), heads=st.sampled_from([1, 2, 4]))
def test_any_bag_and_any_landmarks_give_the_packages_output(n, landmarks, heads):
    torch.manual_seed(n)
    theirs = nystrom_attention.NystromAttention(16, 4, heads, landmarks)
    ours = NystromAttention(16, 4, heads, landmarks)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(1, n, 16)
    with torch.no_grad():
        expected = theirs(x, mask=torch.ones(1, n, dtype=torch.bool))
        assert torch.allclose(ours(x), expected, atol=1e-6)


def test_the_state_dict_is_the_packages():
    theirs, ours = pair()
    assert list(ours.state_dict()) == list(theirs.state_dict())


@pytest.mark.parametrize("attention", ["nystrom", "exact"])
def test_without_a_gradient_a_large_bag_goes_in_slices_to_the_same_numbers(attention):
    _, ours = pair(attention=attention)
    x = bag(2 * LARGE + 77)
    with torch.no_grad():
        sliced = ours(x)
    assert torch.allclose(ours(x), sliced, atol=1e-6)


def test_exact_attention_is_softmax_attention_with_the_same_parameters():
    _, ours = pair(attention="exact")
    ours.residual = False
    x = bag(50)
    q, k, v = (
        t.unflatten(-1, (HEADS, HEAD)).transpose(1, 2) for t in ours.to_qkv(x).chunk(3, dim=-1)
    )
    expected = (q @ k.mT / HEAD**0.5).softmax(-1) @ v
    expected = ours.to_out(expected.transpose(1, 2).flatten(2))
    assert torch.allclose(ours(x), expected, atol=1e-6)


def test_exact_attention_leaves_masked_tokens_out():
    _, ours = pair(attention="exact")
    ours.residual = False
    x = bag(50)
    mask = torch.arange(50)[None] < 30
    assert torch.allclose(ours(x, mask)[:, :30], ours(x[:, :30]), atol=1e-6)


@pytest.mark.parametrize("n", [1, 7, 16])
def test_up_to_as_many_tokens_as_landmarks_nystrom_converges_to_exact_attention(n):
    layers = [
        NystromAttention(16, 4, 4, 16, pinv_iterations=40, attention=kind).double()
        for kind in ("nystrom", "exact")
    ]
    layers[1].load_state_dict(layers[0].state_dict())
    x = torch.randn(1, n, 16, dtype=torch.float64)
    assert torch.allclose(layers[0](x), layers[1](x), atol=1e-9)


@pytest.mark.parametrize(("n", "same"), [(64, "exact"), (65, "nystrom")])
def test_auto_is_exact_while_that_is_cheaper_and_nystrom_beyond(n, same):
    auto, other = (NystromAttention(16, 4, 4, 8, attention=kind) for kind in ("auto", same))
    other.load_state_dict(auto.state_dict())
    x = torch.randn(1, n, 16)
    assert torch.equal(auto(x), other(x))


def test_official_padding_means_nystrom_at_every_length():
    auto, official = (
        NystromAttention(16, 4, 4, 8, attention=kind, legacy_padding=True)
        for kind in ("auto", "nystrom")
    )
    official.load_state_dict(auto.state_dict())
    x = torch.randn(1, 5, 16)
    assert torch.equal(auto(x), official(x))


def test_an_unknown_attention_is_refused():
    with pytest.raises(ValueError, match="'nystrom' or 'exact', not 'flash'"):
        NystromAttention(DIM, attention="flash")


def test_one_row_of_the_exact_attention_sums_to_one():
    _, ours = pair()
    weights = ours.row_attention(bag(50), 3)
    assert weights.shape == (1, 50)
    assert weights.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("n", [1, 100, 3000])
@pytest.mark.parametrize("train", [False, True], ids=["inference", "training"])
def test_bfloat16_autocast_comes_close_to_float32(n, train):
    _, ours = pair()
    x = bag(n)
    expected = ours(x)
    with torch.autocast("cpu", torch.bfloat16), torch.set_grad_enabled(train):
        output = ours(x)
    if train:
        output.float().sum().backward()
        assert all(p.grad.isfinite().all() for p in ours.parameters())
    assert (output.float() - expected).norm() < 0.03 * expected.norm()


def test_a_module_of_pure_bfloat16_runs_where_the_package_fails():
    theirs, ours = pair(dtype=torch.bfloat16)
    x = bag(100).bfloat16()
    with pytest.raises(RuntimeError, match="BFloat16"):
        theirs(x)
    assert ours(x).dtype == torch.bfloat16


@pytest.mark.slow
def test_a_bag_of_a_hundred_thousand_runs():
    with torch.inference_mode():
        output = NystromAttention(16, 8, 2, 16)(torch.randn(1, 100_000, 16))
    assert output.isfinite().all()


# ── Facts of mil.md ─────────────────────────────────────────────────────────────────────────────


def wide(*, residual: bool = False, **options: object) -> NystromAttention:
    torch.manual_seed(1)
    layer = NystromAttention(512, 64, 8, 256, residual=residual, **options).eval()
    torch.nn.init.zeros_(layer.to_out[0].bias)
    return layer


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


@torch.no_grad()
def test_unmasked_padding_takes_about_half_of_the_attention_away():
    x = torch.randn(1, 257, 512)  # one more than the landmarks: nearly half of it is padding
    exact = wide(attention="exact")(x).norm()
    assert wide(legacy_padding=True)(x).norm() / exact < 0.6
    assert wide()(x).norm() / exact > 0.9


@torch.no_grad()
def test_the_order_of_the_tokens_matters_most_through_the_residual_convolution():
    x, order = torch.randn(1, 1024, 512), torch.randperm(1024)
    with_convolution, without = wide(residual=True), wide()
    assert relative(with_convolution(x[:, order]), with_convolution(x)[:, order]) > 1
    assert relative(without(x[:, order]), without(x)[:, order]) < 0.1


@torch.no_grad()
def test_landmarks_mean_something_when_neighbours_are_alike():
    tissue = torch.randn(20, 512)[torch.arange(2048) // 103] + 0.3 * torch.randn(2048, 512)
    tissue, order = tissue[None], torch.randperm(2048)
    exact, nystrom = wide(attention="exact"), wide()
    contiguous = relative(nystrom(tissue), exact(tissue))
    shuffled = relative(nystrom(tissue[:, order]), exact(tissue)[:, order])
    assert contiguous < 0.1 < 0.15 < shuffled


@torch.no_grad()
def test_bags_of_one_batch_would_influence_each_other():
    _, ours = pair()
    alone = bag(100)
    together = ours(torch.cat((alone, 5 * bag(100))))[:1]
    assert relative(together, ours(alone)) > 1e-5


@pytest.mark.parametrize(("iterations", "low", "high"), [(6, 0.02, 0.3), (20, 0, 1e-3)])
def test_six_iterations_leave_a_tenth_and_twenty_nearly_nothing(iterations, low, high):
    a = (torch.randn(8, 256, 64) @ torch.randn(8, 64, 256) / 8).softmax(-1)
    assert low < relative(a @ iterative_pinv(a, iterations) @ a, a) < high


def test_more_iterations_of_an_ill_conditioned_matrix_drift_in_float32():
    a = (0.3 * torch.randn(8, 256, 64) @ torch.randn(8, 64, 256) / 8).softmax(-1)
    drift = [relative(iterative_pinv(a, i), iterative_pinv(a.double(), i).float()) for i in (6, 30)]
    assert drift[0] < 1e-5 < 1e-4 < drift[1]


@pytest.mark.parametrize("n", [46, 121, 136, 256])
def test_the_gradient_of_the_convolution_is_right_at_every_length(n):
    """oneDNN of torch 2.13 gets it wrong at lengths 15 i + 1 on CPUs with AVX-512."""
    ours = NystromAttention(DIM, HEAD, HEADS, 1)  # one landmark: nothing is padded
    precise = NystromAttention(DIM, HEAD, HEADS, 1).double()
    precise.load_state_dict(ours.state_dict())
    x, weights = bag(n), torch.randn(1, n, DIM)
    (ours(x) * weights).sum().backward()
    (precise(x.double()) * weights).sum().backward()
    expected = precise.res_conv.weight.grad.float()
    assert relative(ours.res_conv.weight.grad, expected) < 1e-4
