"""Whether the default encoder in int8 would do: time, cosine, ranks of attention, the call.

    python docs/scripts/int8.py SLIDE … [--calibrate 64]

Quantises the encoder's graph (onnxruntime, static, per channel, calibrated on patches of the first
slide) and runs the demo model on features of both graphs. Prints a row per slide.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from napari_hagmil.cache import GRAPHS
from napari_hagmil.encoders.onnx_graph import GraphRunner
from napari_hagmil.features.sources import read_nodes
from napari_hagmil.pipeline import analyze_with
from napari_hagmil.prepare import LoadedModel, Options, load_model, prepare
from napari_hagmil.slide import open_slide

Pixels = NDArray[np.uint8]


class _Patches(CalibrationDataReader):
    def __init__(self, pixels: Pixels) -> None:
        self._left = iter(np.array_split(pixels, max(len(pixels) // 8, 1)))

    def get_next(self) -> dict[str, Pixels] | None:
        part = next(self._left, None)
        return None if part is None else {"patches": part}


class InInt8:
    """The demo's encoder, run from another graph."""

    def __init__(self, encoder: object, graph: bytes) -> None:
        self._encoder, self._run = encoder, GraphRunner(graph)

    def __getattr__(self, name: str) -> object:
        return getattr(self._encoder, name)

    def __call__(self, patches: Pixels) -> torch.Tensor:
        """As the encoder."""
        parts = [self._run(patches[i : i + 8]) for i in range(0, len(patches), 8)]
        return torch.cat(parts)


def quantised(pixels: Pixels) -> bytes:
    """The graph that the encoder has been run from, in int8."""
    graph = next(GRAPHS.folder.glob("efficientnet-lite0-*.onnx"))
    with TemporaryDirectory() as folder:
        whole, out = Path(folder) / "whole.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(graph, whole, skip_symbolic_shape=True)
        quantize_static(
            whole, out, _Patches(pixels), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, reduce_range=False,
        )  # fmt: skip
        return out.read_bytes()


def some_patches(slide: Path, loaded: LoadedModel, n: int) -> Pixels:
    """Patches of the first depth, from all over the tissue."""
    with open_slide(slide) as opened:
        prepared = prepare(opened, *loaded)
        nodes = prepared.quadtree.nodes[0]
        picked = nodes[np.linspace(0, len(nodes) - 1, min(n, len(nodes))).astype(int)]
        pixels = read_nodes(opened, prepared.quadtree.grids[0], picked, workers=2)
    return np.stack([one for one in pixels if one is not None])


def seconds(encode: object, pixels: Pixels) -> float:
    """Least seconds of the processor per patch of some rounds."""
    least = float("inf")
    for _ in range(5):
        started = time.process_time()
        encode(pixels)  # type: ignore[operator]
        least = min(least, time.process_time() - started)
    return least / len(pixels)


def rows(slides: list[Path], n: int) -> Iterator[str]:
    loaded = load_model("demo")
    pixels = some_patches(slides[0], loaded, n)
    loaded.encoder(pixels[:8])
    small = InInt8(loaded.encoder, quantised(pixels))
    ratio = seconds(small, pixels[:32]) / seconds(loaded.encoder, pixels[:32])
    cosine = torch.cosine_similarity(small(pixels), loaded.encoder(pixels))
    yield f"time {ratio:.2f} of float32, cosine {cosine.min():.4f} to {cosine.max():.4f}"
    yield "| slide | followed at the first depth by both | ranks (Spearman) | call | probability |"
    yield "|---|---|---|---|---|"
    for slide in slides:
        options = Options(keep_features=False)
        with open_slide(slide) as opened:
            full = analyze_with(loaded, opened, options)
            less = analyze_with(LoadedModel(loaded.model, small), opened, options)  # type: ignore[arg-type]
        a, b = full.stages[0], less.stages[0]
        both = (a.followed & b.followed).sum() / max(a.followed.sum(), 1)
        ranks = np.corrcoef(a.ranks, b.ranks)[0, 1]
        calls = [one.cascade for one in (full, less) if one.cascade is not None]
        said = " and ".join(one.predicted_class for one in calls)
        chances = " and ".join(f"{one.probabilities[-1]:.4f}" for one in calls)
        yield f"| {slide.name} | {both:.2f} | {ranks:.4f} | {said} | {chances} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slides", type=Path, nargs="+")
    parser.add_argument("--calibrate", type=int, default=64)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        os.environ["HAGMIL_CACHE"] = folder
        os.environ["HAGMIL_RUNTIME"] = "onnxruntime"
        for line in rows(options.slides, options.calibrate):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
