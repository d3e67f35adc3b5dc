"""Processor time per patch of every family of encoders beside EfficientNet-Lite0.

    python docs/scripts/encoder_times.py --threads 2

Weights are random: they do not change the time. What counts is the processor's time, of all
threads together: it depends little on what else the machine does. All encoders take turns in one
run, a batch each; the best batch of each counts. Prints rows of the table in
docs/reference/encoders.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch


def torchvision_operators() -> object:
    """Let torchvision from PyPI be imported beside a build of torch for CPUs."""
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    return library


def random_weights(folder: Path) -> dict[str, str]:
    """Encoders with a file or folder of random weights each, by what the table calls them."""
    import timm
    import transformers

    from napari_hagmil.encoders.families.resnet import ResNet50Stages
    from napari_hagmil.encoders.families.segresnet import SegResNet

    torch.save(ResNet50Stages().state_dict(), folder / "resnet50-layer3.pth")
    for model in ("swin_large_patch4_window7_224", "vit_small_patch16_224"):
        network = timm.create_model(model, pretrained=False, num_classes=0)
        torch.save(network.state_dict(), folder / f"{model}.pth")
    transformers.ViTModel(transformers.ViTConfig()).save_pretrained(folder / "owner--vit-base")
    transformers.ViTImageProcessor().save_pretrained(folder / "owner--vit-base")
    uni = {"img_size": 224, "patch_size": 16, "init_values": 1e-5, "dynamic_img_size": True}
    network = timm.create_model("vit_large_patch16_224", pretrained=False, num_classes=0, **uni)
    torch.save(network.state_dict(), folder / "uni.bin")
    shell = SegResNet().eval()
    for parameter in shell.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    torch.onnx.export(shell, (torch.zeros(1, 3, 32, 32),), folder / "shell.onnx", dynamo=False)
    return {
        "`efficientnet-lite0`": "efficientnet-lite0",
        "`lite0+shell`": f"lite0+shell={folder / 'shell.onnx'}",
        "`resnet50-layer3`": "resnet50-layer3",
        "`timm:vit_small_patch16_224`": "timm:vit_small_patch16_224",
        "`hf:` ViT-B/16 (as Phikon)": "hf:owner/vit-base",
        "`swin-large`": "swin-large",
        "`lazyslide:uni` (ViT-L/16)": f"lazyslide:uni={folder / 'uni.bin'}",
    }


def best_times(encode: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The processor's seconds in the best round of each, all in turns."""
    best = dict.fromkeys(encode, float("inf"))
    for _ in range(rounds):
        for name, run in encode.items():
            started = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - started)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--patches", type=int, default=8)
    options = parser.parse_args()
    kept = torchvision_operators()
    torch.set_num_threads(options.threads)
    from napari_hagmil.encoders import computation_of, load_encoder

    with TemporaryDirectory() as folder:
        os.environ["HAGMIL_WEIGHTS"] = folder
        os.environ["HAGMIL_CACHE"] = folder
        encoders = {
            label: load_encoder(name) for label, name in random_weights(Path(folder)).items()
        }
        runs = {}
        for label, encoder in encoders.items():
            side = encoder.patch_size
            patches = np.random.default_rng(0).integers(
                0, 256, (options.patches, side, side, 3), dtype=np.uint8
            )
            runs[label] = lambda encoder=encoder, patches=patches: encoder(patches)
            runs[label]()  # the first time is warm-up
        best = best_times(runs, options.rounds)
    del kept
    first = best["`efficientnet-lite0`"]
    for label, seconds in best.items():
        runtime = computation_of(encoders[label]).runtime
        sys.stdout.write(
            f"| {label} | {1000 * seconds / options.patches:.0f} ms | {seconds / first:.1f} | "
            f"{runtime} |\n"
        )


if __name__ == "__main__":
    main()
