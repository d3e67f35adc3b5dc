"""The integrated attention transformer against the official code, and on its own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hagmil.models import BagOutput, IATConfig, IntegratedAttentionTransformer, LossConfig
from napari_hagmil.models.checkpoints.official import official_to_ours
from napari_hagmil.models.iat import ABLATIONS, ADMIN_GAIN, ablated
from napari_hagmil.models.rowwise import LARGE

SMALL = IATConfig(n_features=12, widths=(16, 24), n_classes=3, heads=4, instance_dim=8, gate_dim=8)


def small(**changes: object) -> IntegratedAttentionTransformer:
    values = {name: getattr(SMALL, name) for name in SMALL.__dataclass_fields__}
    return IntegratedAttentionTransformer(IATConfig(**{**values, **changes})).eval()


class TestParity:
    def test_logits_probabilities_and_attention_are_the_official_ones(self, iat_case):
        model, expected = iat_case.model(), iat_case.tensors
        output, blocks = model.forward_blocks(expected["features"])
        assert torch.allclose(output.logits, expected["logits"][0], atol=1e-6)
        assert torch.allclose(output.logits.softmax(0), expected["probabilities"][0], atol=1e-6)
        assert torch.allclose(blocks[-1].scores, expected["attention_logits"][0], atol=1e-6)
        attention = expected["attention_logits"][0].softmax(0)
        assert torch.allclose(output.attention, attention, atol=1e-6)

    def test_losses_and_gradients_are_the_official_ones(self, iat_case):
        model, expected = iat_case.model(), iat_case.tensors
        config = LossConfig(
            instance_weight=float(iat_case.facts["lambda"]),
            k=int(iat_case.facts["k_sample"]),
            subtyping=iat_case.facts["subtyping"] == "True",
        )
        loss = model.loss(expected["features"], int(expected["label"]), config)
        assert loss.instance.item() == pytest.approx(expected["instance_loss"].item(), abs=1e-6)
        assert loss.total.item() == pytest.approx(expected["loss"].item(), abs=1e-6)
        loss.total.backward()
        parameters = dict(model.named_parameters())
        gradients = official_to_ours(iat_case.part("grad."))
        assert gradients
        for name, gradient in gradients.items():
            assert torch.allclose(parameters[name].grad, gradient, atol=1e-5), name

    def test_a_cascade_follows_the_official_indices(self, cascade_case):
        expected, k = cascade_case.tensors, int(cascade_case.facts["k"])
        nodes = torch.arange(len(expected["features2"]))
        for level in (2, 1, 0):  # the official models are numbered from the finest
            model = cascade_case.model(f"model{level}.")
            output, blocks = model.forward_blocks(expected[f"features{level}"][nodes])
            assert torch.allclose(output.logits, expected[f"logits{level}"][0], atol=1e-6)
            scores = expected[f"attention_logits{level}"][0]
            assert torch.allclose(blocks[-1].scores, scores, atol=1e-6)
            if level:
                top = output.attention.argsort(descending=True, stable=True)[:k]
                nodes = (4 * nodes[top][:, None] + torch.arange(4)).flatten()
                assert torch.equal(nodes, expected[f"indices{level - 1}"])

    def test_the_papers_dimensions_have_the_official_number_of_parameters(self):
        model = IntegratedAttentionTransformer()
        assert sum(p.numel() for p in model.parameters()) == 30_201_903

    def test_the_residual_gain_is_admins_for_eight_sublayers(self):
        assert pytest.approx(1.7595671, abs=1e-7) == ADMIN_GAIN


@pytest.mark.parametrize("pooling", ["aggregation", "class_token", "evidence"])
@pytest.mark.parametrize("attention", ["nystrom", "exact"])
@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_every_forward_is_the_same_small_tuple(n, attention, pooling):
    model = small(attention=attention, pooling=pooling)
    logits, attention_, embedding = output = model(torch.randn(n, 12))
    assert isinstance(output, BagOutput)
    assert (logits.shape, attention_.shape, embedding.shape) == ((3,), (n,), (24,))
    assert attention_.sum().item() == pytest.approx(1, abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 300), seed=st.integers(0, 99))
def test_any_bag_gives_finite_numbers_and_the_same_ones_again(n, seed):
    torch.manual_seed(seed)
    model, features = small(), 10 * torch.randn(n, 12)
    first, again = model(features), model(features)
    for a, b in zip(first, again, strict=True):
        assert a.isfinite().all()
        assert torch.equal(a, b)


@pytest.mark.parametrize("n", [1, 2, 3, 15])
def test_a_bag_smaller_than_two_k_trains(n):
    model = small().train()
    loss = model.loss(torch.randn(n, 12), 1, LossConfig(k=8))
    loss.total.backward()
    assert loss.total.isfinite()
    assert (loss.instance == 0) == (n == 1)


def test_the_scores_of_every_block_are_kept_as_they_are():
    model = small()
    output, blocks = model.forward_blocks(torch.randn(9, 12))
    assert [b.scores.shape for b in blocks] == [(9,), (9,)]
    assert [b.instances.shape for b in blocks] == [(9, 8), (9, 8)]
    assert torch.equal(blocks[-1].scores.softmax(0), output.attention)


def test_a_large_bag_gives_the_same_numbers_with_and_without_a_gradient():
    model, features = small(), torch.randn(LARGE + 100, 12)
    with torch.inference_mode():
        sliced = model(features)
    assert all(
        torch.allclose(a, b, atol=1e-6) for a, b in zip(model(features), sliced, strict=True)
    )


def test_a_large_bag_has_the_gradients_of_float64_though_it_is_computed_twice():
    model, features = small(), torch.randn(LARGE + 100, 12)
    config = LossConfig(subtyping=True)
    model.loss(features, 1, config).total.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    precise = model.double()
    precise.loss(features.double(), 1, config).total.backward()
    for name, parameter in precise.named_parameters():
        assert torch.allclose(found[name], parameter.grad.float(), atol=1e-4, rtol=1e-3), name


def test_dropout_is_the_same_when_a_large_bag_is_computed_twice():
    model = small(gate_dropout=0.5).train()
    features = torch.randn(LARGE + 100, 12, dtype=torch.float64)
    model.double()
    weight = model.blocks[0].project[0].weight

    def loss() -> torch.Tensor:
        torch.manual_seed(3)
        return model.loss(features, 1).total

    loss().backward()
    slope, step = weight.grad[0, 0].item(), 1e-6
    weight.data[0, 0] += step
    above = loss().item()
    weight.data[0, 0] -= 2 * step
    below = loss().item()
    assert (above - below) / (2 * step) == pytest.approx(slope, rel=1e-3, abs=1e-8)


def test_exact_attention_without_the_convolution_does_not_care_about_order():
    model = small(attention="exact")
    for block in model.blocks:
        block.attention.residual = False
    features, order = torch.randn(30, 12), torch.randperm(30)
    plain, permuted = model(features), model(features[order])
    assert torch.allclose(plain.logits, permuted.logits, atol=1e-5)
    assert torch.allclose(plain.attention[order], permuted.attention, atol=1e-5)


def test_nystrom_with_the_convolution_cares_about_order():
    model, features = small(), torch.randn(300, 12)
    shift = model(features).logits - model(features.flip(0)).logits
    assert shift.abs().max() > 1e-4


def test_an_appended_instance_takes_its_share_of_the_attention():
    model, features = small(attention="exact"), torch.randn(30, 12)
    before = model(features).attention
    after = model(torch.cat((features, torch.randn(1, 12)))).attention
    assert after[-1] > 0
    assert after[:30].sum() < before.sum()


def test_float64_works():
    output = small().double()(torch.randn(50, 12, dtype=torch.float64))
    assert output.logits.dtype == torch.float64


def test_autocast_comes_close():
    model, features = small(), torch.randn(100, 12)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(features)
    assert torch.allclose(output.logits.float(), model(features).logits, atol=0.05)


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_of_table_3_learns_in_all_its_parts(name):
    model = IntegratedAttentionTransformer(ablated(SMALL, name))
    model.loss(torch.randn(40, 12), 2, LossConfig(k=4, subtyping=True)).total.backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # a softmax does not see a shift of all scores: that gradient is nought, or what rounding left
    without = [n for n in without if not n.endswith("scores.score.bias")]
    # which patches are on top has no gradient: the patch loss alone moves g, not its scores
    untaught = [n for n in without if name.endswith("patch_loss") and ".scores." in n]
    assert without == untaught
    assert bool(untaught) == name.endswith("patch_loss")
    assert ("scores.gate.weight" in str(list(model.state_dict()))) == ("gated" in name)
    assert ("class_token" in model.state_dict()) == name.startswith("class_token")


@pytest.mark.parametrize("reading", ["auxiliary", "patch_loss"])
def test_with_a_class_token_the_attention_does_not_touch_the_prediction(reading):
    model = small(pooling="class_token", token_attention=reading)
    features = torch.randn(30, 12)
    before = model(features)
    with torch.no_grad():
        model.blocks[-1].scores.score.weight.mul_(30).add_(1)
    after = model(features)
    assert not torch.allclose(after.attention, before.attention, atol=1e-3)
    assert torch.equal(after.logits, before.logits)
    assert torch.equal(after.embedding, before.embedding)


def test_with_a_class_token_the_last_block_alone_scores_patches():
    model = small(pooling="class_token")
    scored = {name.split(".")[1] for name, _ in model.named_parameters() if ".scores." in name}
    assert scored == {"1"}


def test_dropped_self_attention_leaves_each_instance_to_itself():
    model = small(branch_dropout=0.999999, widths=(16,), attention_dropout=0, gate_dropout=0)
    one, other = torch.randn(9, 12), torch.randn(9, 12)
    other[0] = one[0]
    alike = [
        m.forward_blocks(x)[1][0].scores[0].item() for m in (model.train(),) for x in (one, other)
    ]
    apart = [
        m.forward_blocks(x)[1][0].scores[0].item() for m in (model.eval(),) for x in (one, other)
    ]
    assert alike[0] == pytest.approx(alike[1], abs=1e-6)
    assert abs(apart[0] - apart[1]) > 1e-4


@pytest.mark.parametrize(
    ("norms", "longer"), [("official", False), ("paper", True), ("none", True)]
)
def test_without_a_norm_the_length_of_the_pooled_vector_reaches_the_bag(norms, longer):
    block = small(norms=norms, widths=(16,)).blocks[0]
    before, after = block.view(torch.ones(16)), block.view(5 * torch.arange(16.0))
    again = block.view(10 * torch.arange(16.0))
    assert not torch.allclose(before, after)
    assert (not torch.allclose(after, again, atol=1e-3)) == longer


def test_scores_of_projected_instances_do_not_hear_the_others():
    model = small(scored="projected", widths=(16,))
    features = torch.randn(9, 12)
    changed = features.clone()
    changed[1:] = torch.randn(8, 12)
    scores = [model.forward_blocks(x)[1][0].scores[0].item() for x in (features, changed)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def test_the_papers_patch_loss_needs_a_head_of_all_classes():
    features = torch.randn(30, 12)
    loss = LossConfig(instance_loss="paper", k=4)
    with pytest.raises(ValueError, match="patch_head='classes'"):
        small().loss(features, 1, loss)
    model = small(patch_head="classes")
    model.loss(features, 1, loss).total.backward()
    assert model.patch_classifier.weight.grad.shape == (3, 8)


def test_an_unknown_ablation_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="no ablation 'mean'; choose one of class_token_plain"):
        ablated(SMALL, "mean")


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"widths": (16, 18)}, "multiples of heads=4"),
        ({"widths": ()}, "at least one width"),
        ({"n_classes": 0}, "positive dimensions"),
        ({"landmarks": 0}, "positive landmarks"),
        ({"bag_dim": 0}, "positive bag_dim"),
        ({"residual_kernel": 4}, "odd residual_kernel"),
        ({"pinv_iterations": 0}, "1 to 100 pinv_iterations"),
        ({"attention": "flash"}, "known attention"),
        ({"pooling": "sum"}, "known pooling"),
        ({"gate_dropout": 1.5}, "dropouts"),
    ],
)
def test_impossible_configurations_are_refused(changes, rule):
    with pytest.raises(ValueError, match=rule):
        small(**changes)


@pytest.mark.parametrize("shape", [(0, 12), (5, 11), (12,), (1, 5, 12)])
def test_what_is_no_bag_is_refused(shape):
    with pytest.raises(ValueError, match=r"shape \(n ≥ 1, 12\)"):
        small()(torch.randn(shape))
