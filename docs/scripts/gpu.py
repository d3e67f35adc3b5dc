"""Seconds per slide and patches per second on a GPU, beside the encoder by itself.

    python docs/scripts/gpu.py [--slide SLIDE] [--batches 8] [--patches 256] [--device cuda]

Prints rows for docs/benchmarks.md: EfficientNet-Lite0, ResNet-50 and Swin-L, of which the latter
two have random weights, in float32, bfloat16, with channels last, and compiled. Where there is no
GPU the rows stay empty; `--device cpu` tries the script out. With a slide, the demo model reads it
and the encoder's share of its own ceiling is told.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from encoder_times import random_weights, torchvision_operators
from torch import nn

#: What the table calls an encoder, as `random_weights` does.
ENCODERS = ("`efficientnet-lite0`", "`resnet50-layer3`", "`swin-large`")
VARIANTS = ("float32", "bfloat16", "bfloat16, channels last", "the same, compiled")


def variant_of(network: nn.Module, variant: str) -> nn.Module:
    """A network laid out, and compiled, as a row says."""
    last = (
        torch.channels_last if "last" in variant or "same" in variant else torch.contiguous_format
    )
    network = network.to(memory_format=last)
    return torch.compile(network) if "compiled" in variant else network  # type: ignore[return-value]


def rate(run: Callable[[], object], n: int, batches: int, device: torch.device) -> float:
    """Patches per second of the best of several batches, after two that warm up."""
    best = float("inf")
    for i in range(batches + 2):
        started = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if i >= 2:
            best = min(best, time.perf_counter() - started)
    return n / best


def encoder_rates(name: str, n: int, batches: int, device: torch.device) -> list[float]:
    """Patches per second of each variant of an encoder."""
    from napari_hagmil.encoders import load_encoder

    os.environ["HAGMIL_RUNTIME"] = "torch"
    encoder = load_encoder(name, device=device)
    side = encoder.patch_size
    pixels = torch.randint(0, 256, (n, side, side, 3), dtype=torch.uint8)
    if device.type == "cuda":
        pixels = pixels.pin_memory()
    rates = []
    for variant in VARIANTS:
        network = variant_of(encoder._run._network, variant)
        half = variant != "float32"

        def run(network: nn.Module = network, half: bool = half) -> object:
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=half):
                return network(pixels.to(device, non_blocking=True)).float().cpu()

        rates.append(rate(run, n, batches, device))
    return rates


def slide_row(slide: Path, device: torch.device, ceiling: float) -> str:
    """A row of the demo model on a slide."""
    from napari_hagmil.pipeline import analyze_slide
    from napari_hagmil.prepare import Options

    options = Options(device=str(device), keep_features=False)
    analyze_slide(slide, options=options)  # the first one warms up
    cost = analyze_slide(slide, options=options).cost
    per_second = cost.patches_encoded / cost.seconds["total"]
    share = cost.patches_encoded / ceiling / cost.seconds["total"]
    return (
        f"| demo model on {slide.name} | {cost.seconds['total']:.2f} s a slide, "
        f"{per_second:.0f} patches/s, {share:.2f} of the encoder's ceiling | | |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slide", type=Path)
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--patches", type=int, default=256)
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    device, write = torch.device(options.device), sys.stdout.write
    write("| encoder | " + " | ".join(f"{variant}, patches/s" for variant in VARIANTS) + " |\n")
    write("|---|" + "---|" * len(VARIANTS) + "\n")
    if device.type == "cuda" and not torch.cuda.is_available():
        for label in ENCODERS:
            write(f"| {label} |" + " |" * len(VARIANTS) + "\n")
        return
    kept = torchvision_operators()
    with TemporaryDirectory() as folder:
        os.environ["HAGMIL_WEIGHTS"] = os.environ["HAGMIL_CACHE"] = folder
        names = random_weights(Path(folder))
        best = 0.0
        for label in ENCODERS:
            rates = encoder_rates(names[label], options.patches, options.batches, device)
            best = best or max(rates)
            write(f"| {label} | " + " | ".join(f"{one:.0f}" for one in rates) + " |\n")
        if options.slide:
            write(slide_row(options.slide, device, best) + "\n")
    del kept


if __name__ == "__main__":
    main()
