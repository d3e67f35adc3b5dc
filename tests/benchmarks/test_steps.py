"""Time of a training step: at the paper's dimensions, and on small bags beside gated AB-MIL.

`make bench TEST_ARGS=tests/benchmarks/test_steps.py` measures; as plain tests the same code runs on
small models and asserts what measuring rests on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from napari_hagmil.models import BagModel, IATConfig, IntegratedAttentionTransformer, LossConfig
from napari_hagmil.models.baselines import make_baseline
from napari_hagmil.models.iat_batch import takes_together
from napari_hagmil.training.bags import Bag
from napari_hagmil.training.optimisers import OptimiserConfig, Stepper
from napari_hagmil.training.step import batch_loss

#: Instances of a step at the paper's dimensions; the most takes minutes and 7 GB.
SIZES = (32, 1000, 28_000)
TINY = IATConfig(n_features=16, widths=(16, 24), heads=2, landmarks=4, residual_kernel=3)

#: The demo model's transformer, and a gated attention of its width.
SMALL = IATConfig(n_features=1280, widths=(128,), instance_dim=128, gate_dim=64, attention="exact")
WITHOUT = LossConfig(instance_loss="none")

Step = Callable[[], None]


def step_of(model: BagModel, features: Tensor, loss: LossConfig) -> Step:
    """A whole step: loss, gradients, optimiser."""
    model.train()
    stepper = Stepper.make(model, OptimiserConfig("adam", 1e-5, 1e-5))

    def step() -> None:
        model.loss(features, 1, loss).total.backward()
        stepper.step()

    step()
    return step


def best(call: Step, rounds: int) -> float:
    """Least seconds of some rounds, of the processor and not of the clock: others use it too."""
    seconds = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        call()
        seconds = min(seconds, time.process_time() - started)
    return seconds


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("n", SIZES)
def test_a_step_of_the_papers_dimensions(benchmark, capsys, n):
    """With Nyström attention at every length, and with the default, exact where that is cheaper."""
    torch.manual_seed(0)
    config = IATConfig() if benchmark.enabled else TINY
    features = torch.randn(n if benchmark.enabled else n // 500 + 8, config.n_features)
    seconds = {}
    for attention in ("nystrom", "auto"):
        model = IntegratedAttentionTransformer(replace(config, attention=attention))
        # Where every length is Nyström's, one run is enough for both.
        rounds = 3 if n <= 1000 and benchmark.enabled else 1
        if n > 4 * max(config.widths) and attention == "auto" and benchmark.enabled:
            seconds[attention] = seconds["nystrom"]
            continue
        seconds[attention] = best(step_of(model, features, LossConfig()), rounds)
    benchmark(lambda: None)
    assert set(seconds) == {"nystrom", "auto"}
    if benchmark.enabled:
        with capsys.disabled():
            print(
                f"\nn = {n:6,}: Nyström {seconds['nystrom']:.2f} s, by default "
                f"{seconds['auto']:.2f} s of the processor, {torch.get_num_threads()} threads"
            )
        assert seconds["auto"] <= 1.1 * seconds["nystrom"]


def arithmetic(model: BagModel, features: Tensor, loss: LossConfig) -> float:
    """Multiplications and additions of a step's matrix products, without self-attention."""
    with FlopCounterMode(display=False) as counter:
        model.loss(features, 1, loss).total.backward()
    model.zero_grad()
    return float(counter.get_total_flops())


def self_attention_of(n: int, config: IATConfig) -> Step:
    """The self-attention of a block by itself: its products at the speed of torch's kernel."""
    width = config.widths[0] // config.heads
    q, k, v = (torch.randn(1, config.heads, n, width, requires_grad=True) for _ in range(3))
    return lambda: F.scaled_dot_product_attention(q, k, v).sum().backward()


def step_of_several(model: BagModel, bags: list[Bag], loss: LossConfig) -> Step:
    """A whole step of some bags, which the model takes together."""
    model.train()
    stepper = Stepper.make(model, OptimiserConfig("adam", 1e-5, 1e-5))

    def step() -> None:
        batch_loss(model, bags, loss).mean().backward()
        stepper.step()

    step()
    return step


@pytest.mark.parametrize("n", [8, 32, 100, 300, 1000])
def test_a_step_of_a_small_transformer_beside_gated_attention(benchmark, note, n):
    """Against 1.5 times the step of gated AB-MIL and the transformer's further arithmetic."""
    torch.manual_seed(0)
    transformer = IntegratedAttentionTransformer(SMALL)
    gated = make_baseline("gated_ab_mil", SMALL.n_features, 2, widths=[128], hidden=64)
    bags, loss = [Bag(torch.randn(n, SMALL.n_features), i % 2) for i in range(8)], LossConfig(k=4)
    features = bags[0].features
    more = arithmetic(transformer, features, loss) - arithmetic(gated, features, WITHOUT)
    assert more > 0
    assert takes_together(transformer, n, loss)
    benchmark(lambda: None)
    if not benchmark.enabled:
        return
    matrix = torch.randn(1024, 1024)
    rate = 2 * 1024**3 / best(lambda: matrix @ matrix, 20)
    rounds = 60 if n <= 100 else 20
    alone = best(step_of(transformer, features, loss), rounds)
    ours = best(step_of_several(transformer, bags, loss), rounds // 4) / len(bags)
    theirs = best(step_of(gated, features, WITHOUT), rounds)
    bound = theirs + more / rate + best(self_attention_of(n, SMALL), rounds)
    said = (
        f"{ours / bound:.2f}: {1e3 * ours:.2f} ms a bag of eight in a step, {1e3 * alone:.2f} ms "
        f"alone; gated AB-MIL {1e3 * theirs:.2f} ms, with the further arithmetic {1e3 * bound:.2f}"
    )
    what = f"transformer's step, bags of {n:,}, against gated AB-MIL's and the further arithmetic"
    note("training", what, said, "≤ 1.5", ours <= 1.5 * bound)
