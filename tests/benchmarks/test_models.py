"""Time and peak memory of the transformer, ours against the package's own attention forward.

`make bench` measures the paper's dimensions and asserts the targets; as a plain test the same
code runs on small ones and asserts that both sides compute the same. Where a GPU is at hand its
rows are measured too, else they stay empty.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MethodType

import nystrom_attention
import pytest
import torch

from napari_hagmil.models import IATConfig, IntegratedAttentionTransformer, NystromAttention

SIZES = (1000, 4000, 12_000, 28_000)
SMALL = IATConfig(widths=(32, 48), heads=4, legacy_padding=True)
#: The official code has legacy padding; so both sides compute the very same.
PAPER = IATConfig(legacy_padding=True)
#: (work, n) → the most that ours may take of the package's (time, peak memory).
TARGETS = {("forward", 28_000): (0.7, 0.35), ("training", 12_000): (None, 0.6)}
#: GB that the package's own forward needs beyond its model at 28,000 instances.
NEEDED = {"forward": 7, "training": 17}

Model = IntegratedAttentionTransformer


@dataclass
class Measured:
    """Best time of all rounds (s), and the peak of memory above what was there before (bytes)."""

    seconds: float = float("inf")
    peak: int = 0


def with_package_forward(model: Model) -> Model:
    """Put the package's own forward, which stores every n × m matrix, into all blocks."""
    for module in model.modules():
        if isinstance(module, NystromAttention):
            forward = nystrom_attention.NystromAttention.forward
            module.forward = MethodType(forward, module)
    return model


def look(model: Model, features: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model(features).logits


def step(model: Model, features: torch.Tensor) -> torch.Tensor:
    loss = model.loss(features, 1)
    loss.total.backward()
    model.zero_grad(set_to_none=True)
    return loss.total.detach()


WORK = {"forward": look, "training": step}


def memory(field: str) -> int:
    """Read a field of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def measure(call: Callable[[], object], into: Measured) -> None:
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    start = time.perf_counter()
    call()
    into.seconds = min(into.seconds, time.perf_counter() - start)
    into.peak = max(into.peak, memory("VmHWM") - before)


def models(config: IATConfig, work: str) -> dict[str, Model]:
    torch.manual_seed(0)
    ours, theirs = Model(config), Model(config)
    theirs.load_state_dict(ours.state_dict())
    sides = {"package": with_package_forward(theirs), "ours": ours}
    return {name: side.train(work == "training") for name, side in sides.items()}


def enough_memory(work: str, n: int) -> bool:
    lines = Path("/proc/meminfo").read_text().splitlines()
    free = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    return free * 1024 > NEEDED[work] * 1e9 * n / 28_000


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from Linux's /proc")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("work", WORK)
def test_ours_against_the_packages_own_forward(benchmark, capsys, work, n):
    if not benchmark.enabled:
        sides, features = models(SMALL, "forward"), torch.randn(n // 50, 1024)
        results = [WORK[work](side, features) for side in sides.values()]
        benchmark(lambda: None)
        assert torch.allclose(*results, atol=1e-5)
        return
    if not enough_memory(work, n):
        pytest.skip(f"the package needs more memory than is free for {work} at n = {n:,}")
    sides, features = models(PAPER, work), torch.randn(n, 1024)
    measured = {name: Measured() for name in sides}
    for _ in range(3 if n <= 4000 else 2):
        for name, side in sides.items():  # in turns, so that the machine's moods hit both
            measure(lambda side=side: WORK[work](side, features), measured[name])
    benchmark.pedantic(WORK[work], (sides["ours"], features), rounds=1)
    time_ratio = measured["ours"].seconds / measured["package"].seconds
    peak_ratio = measured["ours"].peak / measured["package"].peak
    benchmark.extra_info.update(time_ratio=time_ratio, peak_ratio=peak_ratio)
    with capsys.disabled():
        print(f"\n{work:8} n = {n:6,}: " + ", ".join(
            f"{name} {m.seconds:.2f} s {m.peak / 1e9:.2f} GB" for name, m in measured.items()
        ) + f"; ratio {time_ratio:.2f} in time, {peak_ratio:.2f} in peak memory")  # fmt: skip
    time_target, peak_target = TARGETS.get((work, n), (None, None))
    assert time_target is None or time_ratio <= time_target
    assert peak_target is None or peak_ratio <= peak_target


GPU_VARIANTS = ("float32", "bfloat16", "bfloat16 compiled")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("variant", GPU_VARIANTS)
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("work", WORK)
def test_the_same_table_on_a_gpu(benchmark, capsys, work, n, variant):
    if not torch.cuda.is_available():
        pytest.skip("no GPU at hand: the row stays empty")
    config = PAPER if benchmark.enabled else SMALL
    features = torch.randn(n if benchmark.enabled else n // 50, 1024, device="cuda")
    model = models(config, work)["ours"].cuda()
    if variant.endswith("compiled"):
        model.compile(dynamic=True)

    def run() -> None:
        with torch.autocast("cuda", torch.bfloat16, enabled=variant != "float32"):
            WORK[work](model, features)
        torch.cuda.synchronize()

    run()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    benchmark.pedantic(run, rounds=5 if benchmark.enabled else 1)
    peak = torch.cuda.max_memory_allocated() - before
    benchmark.extra_info.update(peak=peak)
    if benchmark.enabled:
        with capsys.disabled():
            seconds = benchmark.stats.stats.min
            print(f"\nGPU {work:8} n = {n:6,} {variant}: {seconds:.4f} s {peak / 1e9:.2f} GB")
