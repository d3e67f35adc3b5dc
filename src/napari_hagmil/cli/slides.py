"""``info`` and ``phantom``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from tqdm import tqdm

from napari_hagmil.phantom import PhantomConfig, write_phantom
from napari_hagmil.slide import open_slide, slide_info


def info(arguments: argparse.Namespace) -> int:
    """Say what a slide file holds."""
    with open_slide(arguments.slide, mpp=arguments.mpp) as slide:
        facts = slide_info(slide)
    if arguments.json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        _print_facts(facts)
    return 0


def _print_facts(facts: dict[str, Any]) -> None:
    for key, value in facts.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            print(f"{key}:")
            for item in value:
                print("  " + "  ".join(f"{name}={_short(part)}" for name, part in item.items()))
        elif isinstance(value, list):
            print(f"{key}: {', '.join(map(str, value)) or 'none'}")
        else:
            print(f"{key}: {_short(value)}")


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return "×".join(_short(part) for part in value)
    return "none" if value is None else str(value)


def phantom(arguments: argparse.Namespace) -> int:
    """Write a phantom slide and its truth."""
    config = PhantomConfig(
        seed=arguments.seed, size=arguments.size, lesions=arguments.lesions, mpp=arguments.mpp
    )
    started = time.perf_counter()
    with tqdm(total=100, unit="%", disable=not sys.stderr.isatty()) as bar:
        truth = write_phantom(
            arguments.out, config, progress=lambda share: bar.update(100 * share - bar.n)
        )
    seconds = time.perf_counter() - started
    answer = {
        "slide": str(arguments.out),
        "truth": str(arguments.out.with_suffix(".geojson")),
        "size": config.size,
        "mpp": config.mpp,
        "lesion_diameters_um": [round(lesion.diameter_um, 1) for lesion in truth.lesions],
        "seconds": round(seconds, 2),
    }
    if arguments.json:
        print(json.dumps(answer))
    else:
        print(
            f"{arguments.out}: {config.size}×{config.size} px, {len(truth.lesions)} lesions, "
            f"{seconds:.1f} s; truth in {answer['truth']}"
        )
    return 0
