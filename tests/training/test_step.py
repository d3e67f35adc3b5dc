import pytest
import torch
from torch import nn

from napari_hagmil.encoders.device import autocast_dtype
from napari_hagmil.models import LossConfig
from napari_hagmil.models.baselines import BASELINES, make_baseline
from napari_hagmil.training import Bag
from napari_hagmil.training.optimisers import OptimiserConfig, Stepper
from napari_hagmil.training.step import bag_loss, reduced

REFERENCES = {
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-2, weight_decay=1e-3, fused=True),
    "sgd": lambda parameters: torch.optim.SGD(
        parameters, lr=1e-2, momentum=0.9, nesterov=True, weight_decay=1e-3, fused=True
    ),
}


@pytest.mark.parametrize("optimiser", REFERENCES)
@pytest.mark.parametrize("clip", [1e-3, 1e3], ids=["clipped", "within the bound"])
def test_a_step_is_torchs_on_clipped_gradients_to_the_bit(clip, optimiser):
    def model():
        torch.manual_seed(0)
        return make_baseline("gated_ab_mil", 6, 2, widths=[8], hidden=4)

    ours, reference = model(), model()
    stepper = Stepper.make(ours, OptimiserConfig(optimiser, 1e-2, 1e-3, clip))
    plain = REFERENCES[optimiser](reference.parameters())
    for bag in torch.randn(5, 3, 6, generator=torch.Generator().manual_seed(1)):
        for trained in (ours, reference):
            trained.loss(bag, 1).total.backward()
        stepper.step()
        nn.utils.clip_grad_norm_(reference.parameters(), clip)
        plain.step()
        plain.zero_grad()
    for own, other in zip(ours.parameters(), reference.parameters(), strict=True):
        assert torch.equal(own, other)
        assert own.grad is None


def test_the_rate_decays_with_the_steps_and_a_restored_optimiser_goes_on_where_it_was():
    def step(stepper):
        for parameter in stepper.parameters:
            parameter.grad = torch.ones_like(parameter)
        stepper.step()
        return stepper.optimiser.param_groups[0]["lr"]

    model = nn.Linear(3, 2)
    stepper = Stepper.make(model, OptimiserConfig("sgd", 0.1, rate_decay=0.5))
    assert [step(stepper) for _ in range(3)] == pytest.approx([0.1, 0.1 / 1.5, 0.1 / 2])
    other = Stepper.make(model, OptimiserConfig("sgd", 0.1, rate_decay=0.5))
    other.optimiser.load_state_dict(stepper.optimiser.state_dict())
    assert step(other) == pytest.approx(0.1 / 2.5)


def test_without_decay_the_rate_stays():
    stepper = Stepper.make(nn.Linear(3, 2), OptimiserConfig("adam", 0.1, clip=1.0))
    for parameter in stepper.parameters:
        parameter.grad = torch.ones_like(parameter)
    stepper.step()
    assert stepper.optimiser.param_groups[0]["lr"] == 0.1


@pytest.mark.parametrize("name", BASELINES)
def test_in_bfloat16_a_step_has_nearly_the_same_loss_and_gradient_and_float32_weights(name):
    torch.manual_seed(0)
    width = {"widths": [16]} if name.endswith("ab_mil") else {"hidden": 16}
    model = make_baseline(name, 12, 2, **width).eval()
    bag = Bag(torch.randn(40, 12), 1, torch.full((40,), 1 / 40))
    found = []
    for dtype in (None, torch.bfloat16):
        model.zero_grad()
        loss, _ = bag_loss(model, bag, LossConfig(instance_loss="none"), 0.5, dtype)
        loss.backward()
        gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        found.append((loss.item(), torch.cat(gradients)))
    (exact, gradient), (rounded, other) = found
    assert rounded == pytest.approx(exact, rel=0.03)
    assert rounded != exact
    assert other.dtype == torch.float32
    assert float(torch.cosine_similarity(gradient, other, dim=0)) > 0.95


def test_auto_rounds_where_the_hardware_multiplies_such_matrices_and_the_default_never():
    device = torch.device("cpu")
    assert reduced("float32", device) is None
    assert reduced("bfloat16", device) is torch.bfloat16
    assert reduced("auto", device) is autocast_dtype(device)
    assert reduced("auto", torch.device("cuda")) is torch.bfloat16


def test_a_bag_goes_to_a_device_with_its_guide_and_stays_where_it_is():
    bag = Bag(torch.zeros(3, 2), 1, torch.ones(3))
    assert bag.on(torch.device("cpu")) is bag
    moved = bag.on(torch.device("meta"))
    assert {moved.features.device.type, moved.guide.device.type} == {"meta"}
