"""``info``, ``pyramid``, ``cache`` and ``phantom``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from tqdm import tqdm

from napari_hagmil.errors import SlideReadError
from napari_hagmil.phantom import PhantomConfig, write_phantom
from napari_hagmil.slide import (
    TiffStyle,
    cached_pyramids,
    check_slide,
    clear_cache,
    make_pyramid,
    open_slide,
    slide_info,
)
from napari_hagmil.slide.pyramids.cache import cache_folder, limit_bytes


def info(arguments: argparse.Namespace) -> int:
    """Say what a slide file holds."""
    with open_slide(arguments.slide, mpp=arguments.mpp) as slide:
        facts = slide_info(slide, "library" if arguments.json else "command line")
        if arguments.check:
            with _bar() as bar:
                checked = check_slide(slide, on_progress=lambda share: _move(bar, share))
            for level, counts in zip(facts["levels"], checked, strict=True):
                level["tiles"] = counts
        damaged = list(slide.unreadable.values())
    if arguments.json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        _print_facts(facts)
    if damaged:
        raise SlideReadError(
            f"{facts['name']} has {len(damaged)} tiles that cannot be decoded, the first: "
            f"{damaged[0]}"
        )
    return 0


def _bar() -> tqdm[Any]:
    """A progress bar in percent, on terminals only."""
    return tqdm(total=100, unit="%", disable=not sys.stderr.isatty())


def _move(bar: tqdm[Any], share: float) -> None:
    bar.update(100 * share - bar.n)


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
    if isinstance(value, dict):
        return ", ".join(f"{number} {name}" for name, number in value.items())
    if isinstance(value, list | tuple):
        return "×".join(_short(part) for part in value)
    return "none" if value is None else str(value)


def pyramid(arguments: argparse.Namespace) -> int:
    """Write a slide anew as a pyramid."""
    style = TiffStyle(arguments.compression, arguments.quality)
    started = time.perf_counter()
    with _bar() as bar:
        shapes = make_pyramid(
            arguments.slide,
            arguments.out,
            mpp=arguments.mpp,
            style=style,
            on_progress=lambda share: _move(bar, share),
        )
    seconds = round(time.perf_counter() - started, 2)
    if arguments.json:
        levels = [list(shape) for shape in shapes]
        print(json.dumps({"slide": str(arguments.out), "levels": levels, "seconds": seconds}))
    else:
        print(f"{arguments.out}: {len(shapes)} levels, {_short(shapes[0])} px, {seconds:.1f} s")
    return 0


def cache(arguments: argparse.Namespace) -> int:
    """Say what the cache of coarse levels holds, or empty it."""
    freed = clear_cache() if arguments.clear else 0
    held = cached_pyramids()
    answer = {
        "folder": str(cache_folder()),
        "pyramids": len(held),
        "bytes": sum(size for _, size in held),
        "limit_bytes": int(limit_bytes()),
        "freed_bytes": freed,
    }
    if arguments.json:
        print(json.dumps(answer))
    else:
        print(
            f"{answer['folder']}: coarse levels of {answer['pyramids']} slides, "
            f"{sum(size for _, size in held) / 1e9:.2f} of {limit_bytes() / 1e9:.3g} GB"
            + (f"; {freed / 1e9:.2f} GB freed" if arguments.clear else "")
        )
    return 0


def phantom(arguments: argparse.Namespace) -> int:
    """Write a phantom slide and its truth."""
    config = PhantomConfig(
        seed=arguments.seed, size=arguments.size, lesions=arguments.lesions, mpp=arguments.mpp
    )
    started = time.perf_counter()
    with _bar() as bar:
        truth = write_phantom(arguments.out, config, progress=lambda share: _move(bar, share))
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
