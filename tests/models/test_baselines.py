"""The baselines: one interface, their papers' equations written out, their sizes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from napari_hagmil.models import BagModel, BagOutput, LossConfig
from napari_hagmil.models.baselines import BASELINES, make_baseline
from napari_hagmil.models.losses import instance_loss

ORDERLESS = [n for n in BASELINES if n not in ("transmil",) and not n.startswith("dtfd")]


def baseline(name: str, n_features: int = 10, n_classes: int = 3, **options: object) -> BagModel:
    if name == "transmil":  # 256 landmarks take seconds
        options = {"hidden": 16, "heads": 2, **options}
    return make_baseline(name, n_features, n_classes, **options).eval()


@pytest.mark.parametrize("n", [1, 2, 3, 5, 17, 200])
@pytest.mark.parametrize("name", BASELINES)
class TestEveryBaseline:
    def test_has_the_one_forward(self, name, n):
        output = baseline(name)(torch.randn(n, 10))
        assert isinstance(output, BagOutput)
        assert (output.logits.shape, output.attention.shape) == ((3,), (n,))
        assert output.embedding.ndim == 1
        assert output.attention.min() >= 0
        assert output.attention.sum().item() == pytest.approx(1, abs=1e-5)

    def test_is_deterministic(self, name, n):
        model, features = baseline(name), torch.randn(n, 10)
        for a, b in zip(model(features), model(features), strict=True):
            assert torch.equal(a, b)

    def test_trains_by_its_own_loss(self, name, n):
        model = baseline(name).train()
        loss = model.loss(torch.randn(n, 10), 2)
        loss.total.backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        assert loss.total.isfinite()
        assert gradients
        assert all(g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("name", BASELINES)
def test_every_part_of_a_baseline_learns(name):
    model = baseline(name)
    model.loss(torch.randn(40, 10), 1, LossConfig(subtyping=True)).total.backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] in (
        [],
        ["scores.score.bias"],  # a softmax does not see a shift of all scores
        ["scores.score.bias", "tier2_scores.score.bias"],
        ["log_sharpness"],  # of the attention alone: only a guide teaches it
    )


@pytest.mark.parametrize("name", ORDERLESS)
def test_a_pooled_bag_has_no_order_and_the_attention_follows_its_instances(name):
    model, features, order = baseline(name), torch.randn(30, 10), torch.randperm(30)
    plain, permuted = model(features), model(features[order])
    assert torch.allclose(plain.logits, permuted.logits, atol=1e-5)
    assert torch.allclose(plain.attention[order], permuted.attention, atol=1e-5)


@pytest.mark.parametrize("name", ["ab_mil", "gated_ab_mil", "clam_sb"])
def test_an_appended_instance_changes_no_ratio_of_attention(name):
    model, features = baseline(name), torch.randn(30, 10)
    before = model(features).attention
    after = model(torch.cat((features, torch.randn(1, 10)))).attention[:30]
    assert torch.allclose(after / after.sum(), before, atol=1e-6)


@pytest.mark.parametrize("name", BASELINES)
def test_a_bag_of_the_wrong_width_is_refused(name):
    with pytest.raises(ValueError, match=r"shape \(n ≥ 1, 10\), not \(4, 9\)"):
        baseline(name)(torch.randn(4, 9))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("max_pooling", 525_826),
        ("mean_pooling", 525_826),
        ("ab_mil", 591_619),
        ("gated_ab_mil", 657_283),
        ("clam_sb", 790_791),
        ("clam_mb", 791_048),
        ("transmil", 2_672_146),
        ("dtfd_afs", 789_254),
    ],
)
def test_the_papers_dimensions_have_their_number_of_parameters(name, parameters):
    model = make_baseline(name, 1024, 2)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_an_unknown_baseline_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="no baseline 'vit'; choose one of max_pooling"):
        make_baseline("vit", 10, 2)


# ── Equations, written out ──────────────────────────────────────────────────────────────────────


def embedded(model, features: Tensor) -> Tensor:
    weight = model.embed[0].weight
    bias = model.embed[0].bias if model.embed[0].bias is not None else 0
    return (features @ weight.T + bias).clamp(min=0)


def gated(scores, hidden: Tensor) -> Tensor:
    """(n, branches): Ilse et al., Eq. 9, an instance at a time."""
    rows = []
    for h in hidden:
        content = torch.tanh(scores.content.weight @ h + scores.content.bias)
        gate = torch.sigmoid(scores.gate.weight @ h + scores.gate.bias)
        rows.append(scores.score.weight @ (content * gate) + scores.score.bias)
    return torch.stack(rows)


def test_max_pooling_takes_the_largest_of_each_feature():
    model, features = baseline("max_pooling"), torch.randn(9, 10)
    pooled = embedded(model, features).amax(0)
    assert torch.allclose(model(features).logits, model.head(pooled), atol=1e-6)


def test_max_pooling_per_instance_takes_the_largest_logit_of_each_class():
    model, features = baseline("max_pooling", per_instance=True), torch.randn(9, 10)
    logits = model.head(embedded(model, features))
    output = model(features)
    assert torch.allclose(output.logits, logits.amax(0), atol=1e-6)
    assert output.attention.nonzero().flatten().tolist() == sorted(set(logits.argmax(0).tolist()))


def test_mean_pooling_is_the_same_function_before_and_after_the_head():
    model, features = baseline("mean_pooling"), torch.randn(9, 10)
    per_instance = baseline("mean_pooling", per_instance=True)
    per_instance.load_state_dict(model.state_dict())
    expected = model.head(embedded(model, features).mean(0))
    assert torch.allclose(model(features).logits, expected, atol=1e-6)
    assert torch.allclose(per_instance(features).logits, expected, atol=1e-6)


def test_evidence_pooling_is_the_mean_logit_of_what_speaks_most_against_the_first_class():
    model, features = baseline("evidence_pooling", top=4), torch.randn(9, 10)
    logits = model.head(embedded(model, features))
    evidence = torch.log(logits[:, 1].exp() + logits[:, 2].exp()) - logits[:, 0]
    most = evidence.argsort(descending=True)[:4]
    output = model(features)
    assert torch.allclose(output.logits, logits[most].mean(0), atol=1e-6)
    assert torch.allclose(output.attention, evidence.softmax(0), atol=1e-6)
    with torch.no_grad():
        model.log_sharpness.fill_(1.0)
    sharper = model(features)
    assert torch.equal(sharper.attention.argsort(), output.attention.argsort())
    assert sharper.attention.max() > output.attention.max()


def test_evidence_pooling_wants_an_instance_to_decide():
    with pytest.raises(ValueError, match="top is the number of instances"):
        baseline("evidence_pooling", top=0)


def test_ab_mil_is_equation_8():
    model, features = baseline("ab_mil"), torch.randn(9, 10)
    hidden, s = embedded(model, features), model.scores
    scores = torch.stack(
        [s.score.weight[0] @ torch.tanh(s.content.weight @ h + s.content.bias) for h in hidden]
    )
    attention = scores.exp() / scores.exp().sum()
    pooled = sum(a * h for a, h in zip(attention, hidden, strict=True))
    assert torch.allclose(model(features).attention, attention, atol=1e-6)
    assert torch.allclose(model(features).logits, model.head(pooled), atol=1e-5)


def test_ab_mil_takes_the_layers_of_the_musk_experiments():
    model = baseline("gated_ab_mil", 166, 2, widths=(256, 128, 64), hidden=64)
    assert model(torch.randn(5, 166)).embedding.shape == (64,)


@pytest.mark.parametrize("subtyping", [False, True])
def test_clam_sb_is_its_equations(subtyping):
    model, features = baseline("clam_sb"), torch.randn(30, 10)
    hidden = embedded(model, features)
    scores = gated(model.scores, hidden)[:, 0]
    pooled = scores.softmax(0) @ hidden
    config = LossConfig(bag_weight=0.7, instance_weight=0.3, k=8, subtyping=subtyping)
    loss = model.loss(features, 2, config)
    assert torch.allclose(loss.output.logits, model.head(pooled), atol=1e-5)
    bag = cross_entropy(model.head(pooled)[None], torch.tensor([2]))
    instance = instance_loss(hidden, scores, 2, model.instance_classifiers, config)
    assert loss.total.item() == pytest.approx((0.7 * bag + 0.3 * instance).item(), abs=1e-5)
    if not subtyping:
        assert model.loss(features, 2).total.item() == pytest.approx(loss.total.item())


def test_clam_mb_has_an_attention_and_a_head_per_class():
    model, features = baseline("clam_mb"), torch.randn(30, 10)
    hidden = embedded(model, features)
    attention = gated(model.scores, hidden).softmax(0)
    logits = torch.cat([model.heads[c](attention[:, c] @ hidden) for c in range(3)])
    output = model(features)
    assert torch.allclose(output.logits, logits, atol=1e-5)
    assert torch.allclose(output.attention, attention[:, logits.argmax()], atol=1e-6)
    assert torch.allclose(model.class_attention(features), attention, atol=1e-6)


def test_clam_mb_ranks_a_classs_instances_by_that_classs_branch():
    model, features = baseline("clam_mb"), torch.randn(30, 10)
    hidden = embedded(model, features)
    scores, config = gated(model.scores, hidden), LossConfig(k=3, subtyping=True)
    expected = instance_loss(hidden, scores, 1, model.instance_classifiers, config)
    assert model.loss(features, 1, config).instance.item() == pytest.approx(expected.item())


class TestTransMIL:
    def test_the_bag_is_filled_to_a_square_by_its_first_tokens(self):
        model, features = baseline("transmil"), torch.randn(7, 10)
        filled = torch.cat((features, features[:2]))
        assert torch.allclose(model(features).logits, model(filled).logits, atol=1e-5)

    def test_a_repeated_tokens_weight_counts_for_its_original(self):
        model, features = baseline("transmil"), torch.randn(7, 10)
        filled = model(torch.cat((features, features[:2]))).attention
        folded = torch.cat((filled[:2] + filled[7:], filled[2:7]))
        assert torch.allclose(model(features).attention, folded, atol=1e-5)

    def test_the_position_encoding_adds_three_depthwise_convolutions_to_the_identity(self):
        position, tokens = baseline("transmil").position, torch.randn(9, 16)
        expected = tokens.clone()
        for convolution in position.convolutions:
            half = convolution.kernel_size[0] // 2
            for i in range(9):
                for j in range(9):
                    down, right = j // 3 - i // 3, j % 3 - i % 3
                    if max(abs(down), abs(right)) <= half:
                        kernel = convolution.weight[:, 0, half + down, half + right]
                        expected[i] = expected[i] + kernel * tokens[j]
            expected = expected + convolution.bias
        assert torch.allclose(position(tokens, 3), expected, atol=1e-5)

    def test_place_matters(self):
        model, features = baseline("transmil"), torch.randn(64, 10)
        assert (model(features).logits - model(features.flip(0)).logits).abs().max() > 1e-4


class TestDTFD:
    def one_group(self, distillation: str) -> BagModel:
        return baseline(f"dtfd_{distillation}", n_groups=1)

    @pytest.mark.parametrize("distillation", ["afs", "maxs", "maxmins"])
    def test_one_pseudo_bag_is_its_equations(self, distillation):
        model, features = self.one_group(distillation), torch.randn(20, 10)
        hidden = embedded(model, features)
        attention = gated(model.scores, hidden)[:, 0].softmax(0)
        activation = torch.stack(
            [
                (model.head.weight @ (a * h)).softmax(0)
                for a, h in zip(attention, hidden, strict=True)
            ]
        )
        order = activation[:, 0].argsort()
        handed_on = {
            "afs": (attention @ hidden)[None],
            "maxs": hidden[order[:1]],
            "maxmins": hidden[order[[0, -1]]],
        }[distillation]
        weights = gated(model.tier2_scores, handed_on)[:, 0].softmax(0)
        output = model(features)
        assert torch.allclose(output.logits, model.tier2_head(weights @ handed_on), atol=1e-5)
        assert torch.allclose(output.attention, attention, atol=1e-6)

    def test_the_loss_has_both_tiers(self):
        model, features = self.one_group("afs"), torch.randn(20, 10)
        hidden = embedded(model, features)
        view = gated(model.scores, hidden)[:, 0].softmax(0) @ hidden
        first = cross_entropy(model.head(view)[None], torch.tensor([1]))
        second = cross_entropy(model.tier2_head(view)[None], torch.tensor([1]))
        assert model.loss(features, 1).total.item() == pytest.approx(
            (first + second).item(), abs=1e-5
        )

    def test_the_second_tier_sends_no_gradient_to_the_first(self):
        model = baseline("dtfd_afs")
        model.loss(torch.randn(20, 10), 1).bag.backward()
        assert model.embed[0].weight.grad is None
        assert model.tier2_head.weight.grad is not None

    def test_every_instance_is_in_one_pseudo_bag_and_groupings_are_seeded(self):
        model, hidden = baseline("dtfd_afs"), torch.randn(21, 512)
        first, again = model._groupings(hidden), model._groupings(hidden)
        assert len(first) == 5
        for groups, same in zip(first, again, strict=True):
            assert sorted(torch.cat(groups).tolist()) == list(range(21))
            assert all(torch.equal(a, b) for a, b in zip(groups, same, strict=True))
        model.train()
        one, other = model._groupings(hidden)[0], model._groupings(hidden)[0]
        assert not torch.equal(torch.cat(one), torch.cat(other))

    def test_another_distillation_is_refused(self):
        with pytest.raises(ValueError, match="'afs', 'maxs' or 'maxmins', not 'mean'"):
            make_baseline("dtfd_afs", 10, 2, distillation="mean")
