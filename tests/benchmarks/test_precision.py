"""A training step of the transformer in bfloat16 against float32, on this machine's processor.

`make bench` measures the paper's dimensions; as a plain test the same code runs on small ones and
asserts that both learn from nearly the same loss.
"""

import time

import pytest
import torch

from napari_hagmil.models import IATConfig, IntegratedAttentionTransformer, LossConfig
from napari_hagmil.training import Bag
from napari_hagmil.training.step import bag_loss

SMALL = IATConfig(n_features=64, widths=(32, 48), heads=4)
ROUNDS = 3


def step(model, bag, dtype):
    """CPU seconds of a step, and its loss."""
    started = time.process_time()
    torch.manual_seed(0)  # the same dropout
    loss, _ = bag_loss(model, bag, LossConfig(), dtype=dtype)
    loss.backward()
    model.zero_grad()
    return time.process_time() - started, loss.item()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("n", [1000, 4000])
def test_a_training_step_in_bfloat16(benchmark, capsys, n):
    config = IATConfig() if benchmark.enabled else SMALL
    torch.manual_seed(0)
    model = IntegratedAttentionTransformer(config).train()
    bag = Bag(torch.randn(n if benchmark.enabled else n // 50, config.n_features), 1)
    seconds, losses = {}, {}
    for _ in range(ROUNDS if benchmark.enabled else 1):
        for dtype in (torch.float32, torch.bfloat16):
            took, loss = step(model, bag, None if dtype is torch.float32 else dtype)
            seconds[dtype] = min(took, seconds.get(dtype, took))
            losses[dtype] = loss
    ratio = seconds[torch.bfloat16] / seconds[torch.float32]
    benchmark.extra_info.update(ratio=ratio)
    benchmark.pedantic(lambda: step(model, bag, torch.bfloat16), rounds=1)
    assert losses[torch.bfloat16] == pytest.approx(losses[torch.float32], rel=0.1)
    if benchmark.enabled:
        with capsys.disabled():
            print(f"\nn = {n:,}: a step in bfloat16 takes {ratio:.2f} of one in float32")
