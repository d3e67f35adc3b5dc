"""Small bags of a step are learned from together: the same losses and gradients as one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from napari_hagmil.models import IATConfig, IntegratedAttentionTransformer, LossConfig
from napari_hagmil.models.iat_batch import SMALL, takes_together
from napari_hagmil.training.bags import Bag
from napari_hagmil.training.step import alike, bag_loss, batch_loss

CONFIG = IATConfig(
    n_features=12, widths=(16, 24), n_classes=3, heads=4, instance_dim=8, gate_dim=8,
    attention="exact", residual_kernel=5,
)  # fmt: skip


def bags_of(*sizes: int) -> list[Bag]:
    torch.manual_seed(3)
    made = [Bag(torch.randn(n, 12), i % 3) for i, n in enumerate(sizes)]
    return [replace(bag, guide=torch.rand(len(bag.features)).softmax(0)) for bag in made[:-1]] + [
        made[-1]
    ]


def gradients(model, loss):
    loss.backward()
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


@pytest.mark.parametrize("changes", [
    {}, {"scored": "projected", "norms": "paper"}, {"self_attention": False, "sharpness": 2.0},
])  # fmt: skip
@pytest.mark.parametrize("subtyping", [False, True])
def test_bags_together_have_the_losses_and_gradients_that_each_has_alone(changes, subtyping):
    """Of one instance, of fewer than 2k, and of a length that oneDNN convolves wrongly."""
    model = IntegratedAttentionTransformer(replace(CONFIG, **changes)).eval()
    loss, bags = LossConfig(k=4, label_smoothing=0.1, subtyping=subtyping), bags_of(61, 1, 5, 30)
    together = batch_loss(model, bags, loss, guidance=0.5)
    alone = torch.stack([bag_loss(model, bag, loss, guidance=0.5)[0] for bag in bags])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
    expected = gradients(model, alone.mean())
    found = gradients(model, together.mean())
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5, msg=name)


def test_what_a_model_takes_together_is_small_exact_and_pooled_by_attention():
    loss = LossConfig()
    kinds = {
        "exact": {}, "nystrom": {"attention": "nystrom"}, "auto": {"attention": "auto"},
        "token": {"pooling": "class_token"}, "dropped": {"branch_dropout": 0.5},
    }  # fmt: skip
    models = {
        name: IntegratedAttentionTransformer(replace(CONFIG, **changes))
        for name, changes in kinds.items()
    }
    assert {name for name, model in models.items() if takes_together(model, 60, loss)} == {
        "exact", "auto",
    }  # fmt: skip
    assert not takes_together(models["auto"], 4 * 16 + 1, loss)
    assert not takes_together(models["exact"], SMALL + 1, loss)
    assert not takes_together(models["exact"], 60, replace(loss, instance_loss="paper"))


def test_bags_of_like_size_make_a_group():
    groups = [[len(bag.features) for bag in some] for some in alike(bags_of(900, 3, 64, 500, 200))]
    assert groups == [[3, 64], [200], [500, 900]]
