"""The first sharp view of a slide, and twelve further ones: ours, its peers, an image in memory.

`make bench` runs each side in a process of its own, in turns, twice; the environment with the peers
is named by HAGMIL_PEERS. As a plain test the same code looks at a small slide through our reader.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import looking
import numpy as np
import pytest

from napari_hagmil.phantom import PhantomConfig, write_phantom
from window import own_data_folder, viewer

pytestmark = [pytest.mark.window, pytest.mark.slow, pytest.mark.timeout(7200)]
__all__ = ["own_data_folder", "viewer"]

SIDES = ("memory", "napari-hagmil", "napari-tiff", "napari-wsi")


def test_our_reader_is_looked_at(benchmark, viewer, phantom, monkeypatch):
    monkeypatch.setattr(looking, "APART", 0.02)
    found = looking.look(viewer, "napari-hagmil", phantom, 2)
    benchmark(lambda: None)
    assert len(found["views"]) == 2
    assert found["first"]["clock"] > 0
    assert viewer.layers[0].data_level == 0


@pytest.fixture(scope="module")
def slide(tmp_path_factory) -> Path:
    kept, size = os.environ.get("HAGMIL_BENCH_SLIDES"), 40_000
    path = (Path(kept) if kept else tmp_path_factory.mktemp("slides")) / f"p{size}.tiff"
    if not path.exists():
        write_phantom(path, PhantomConfig(seed=5, size=size, lesions=3))
    return path


def seen(side: str, slide: Path, folder: Path, *options: str) -> dict | None:
    """What `looking` tells of a side; None where it is not installed."""
    python = os.environ.get("HAGMIL_PEERS", sys.executable)
    command = [python, "-W", "ignore", looking.__file__, side, str(slide), *options]
    own = {"NAPARI_CONFIG": str(folder / "settings.yaml"), "HAGMIL_CACHE": str(folder / "cache")}
    said = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **own}
    )
    if said.returncode:
        assert side not in ("memory", "napari-hagmil"), said.stderr[-2000:]
        return None
    return json.loads(said.stdout.splitlines()[-1])


def medians(found: list[dict]) -> dict[str, float]:
    """Least of all runs: of the first view, of the median of the further ones, of the peak."""
    views = [
        {kind: float(np.median([view[kind] for view in one["views"]])) for kind in KINDS}
        for one in found
    ]
    return {
        **{f"first {kind}": min(one["first"][kind] for one in found) for kind in KINDS},
        **{f"view {kind}": min(one[kind] for one in views) for kind in KINDS},
        "block": min(max(view["block"] for view in one["views"]) for one in found),
        "peak": min(one["peak"] for one in found),
    }


#: Seconds of the clock count on a machine that does nothing else; else those of the processor.
KINDS = ("clock", "processor")


@pytest.mark.parametrize("way", ["in the foreground", "in the background"])
def test_ours_beside_peers(benchmark, note, request, tmp_path, way):
    if not benchmark.enabled:
        pytest.skip("measured by make bench alone")
    slide = request.getfixturevalue("slide")
    options = ("--async",) if way == "in the background" else ()
    runs: dict[str, list[dict]] = {side: [] for side in SIDES}
    for _ in range(2):
        for side in SIDES:
            if (one := seen(side, slide, tmp_path, *options)) is not None:
                runs[side].append(one)
    benchmark(lambda: None)
    sides = {side: medians(found) for side, found in runs.items() if found}
    ours, memory = sides["napari-hagmil"], sides["memory"]
    peers = [sides[side] for side in SIDES[2:] if side in sides]
    tell(note, f"first sharp view, slices {way}", sides, "first", None)
    tell(note, f"twelve views, slices {way}, median", sides, "view", None)
    if peers:
        kind = "processor"
        first = ours[f"first {kind}"] / min(one[f"first {kind}"] for one in peers)
        view = (ours[f"view {kind}"] - memory[f"view {kind}"]) / (
            min(one[f"view {kind}"] for one in peers) - memory[f"view {kind}"]
        )
        peak = ours["peak"] / min(one["peak"] for one in peers)
        of = "of the best peer's, seconds of the processor"
        note("viewer", f"first view, {way}", f"{first:.2f} {of}", "≤ 0.6", first <= 0.6)
        what = f"views above an image in memory, {way}"
        note("viewer", what, f"{view:.2f} {of}", "≤ 0.5", view <= 0.5)
        said = ", ".join(f"{side} {one['peak'] / 1e6:.0f} MB" for side, one in sides.items())
        note("viewer", f"peak memory, {way}", f"{said}: {peak:.2f}", "≤ 0.9", peak <= 0.9)
    said = ", ".join(f"{side} {one['block']:.2f} s" for side, one in sides.items())
    what = f"longest block of twelve views, {way}"
    note("viewer", what, said, "≤ 0.1 s", ours["block"] <= 0.1)


def tell(note, what: str, sides: dict, name: str, met: bool | None) -> None:
    """Seconds of all sides, of the clock and of the processor."""
    said = ", ".join(
        f"{side} {one[f'{name} clock']:.2f} s ({one[f'{name} processor']:.2f})"
        for side, one in sides.items()
    )
    note("viewer", what, f"{said}; in brackets of the processor", "", met)
