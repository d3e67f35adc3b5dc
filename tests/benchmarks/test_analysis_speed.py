"""What ``analyze`` costs: beside its work, again, twice at once, and against reading everything.

`make bench` measures on phantoms of up to 80,000² px, which it keeps in HAGMIL_BENCH_SLIDES where
that is set, and which HAGMIL_BENCH_SIZE makes smaller or larger (default 40,000). As plain tests
those that start no process of ``analyze`` run on a small one and assert what measuring rests on.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import Started, command, is_idle

from napari_hagmil.evaluation.localisation import lesions_met
from napari_hagmil.export.geojson_reader import read_polygons
from napari_hagmil.features.sources import encode_pixels, read_nodes
from napari_hagmil.phantom import PhantomConfig, write_phantom
from napari_hagmil.pipeline import analyze_with
from napari_hagmil.prepare import Options, load_model, prepare
from napari_hagmil.quadtree import children
from napari_hagmil.slide import open_slide

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

SMALL = 1024


@pytest.fixture(scope="module")
def measured(request) -> bool:
    return bool(request.config.getoption("benchmark_enable"))


@pytest.fixture(scope="module")
def only_measured(measured) -> None:
    """Processes of ``analyze`` take seconds each, and test nothing that other tests do not."""
    if not measured:
        pytest.skip("measured by make bench alone")


@pytest.fixture(scope="module")
def loaded():
    return load_model("demo")


@pytest.fixture(scope="module")
def size(measured) -> int:
    return int(os.environ.get("HAGMIL_BENCH_SIZE", "40000")) if measured else SMALL


@pytest.fixture(scope="module")
def slide_of(tmp_path_factory) -> Callable[[int], Path]:
    """The phantom of a size, written once."""
    kept = os.environ.get("HAGMIL_BENCH_SLIDES")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("slides")

    def made(size: int) -> Path:
        path = folder / f"p{size}.tiff"
        if not path.exists():
            write_phantom(path, PhantomConfig(seed=5, size=size, lesions=3 if size > SMALL else 1))
        return path

    return made


def test_a_phantom_is_written_soon(benchmark, note, tmp_path, size):
    size = min(size, 20_000)  # the speed does not depend on it
    started, spent = time.perf_counter(), time.process_time()
    write_phantom(tmp_path / "p.tiff", PhantomConfig(seed=5, size=size, lesions=1))
    seconds, spent = time.perf_counter() - started, time.process_time() - spent
    benchmark(lambda: None)
    rate, of_processor = size**2 / 1e6 / seconds, size**2 / 1e6 / spent
    said = f"{rate:.0f} Mpx/s; {of_processor:.0f} Mpx per second of the processor"
    note("analyze", f"phantom of {size:,}² px written", said, "107 Mpx/s", rate >= 107)
    assert open_slide(tmp_path / "p.tiff").shape == (size, size)


def test_help_is_there_at_once(benchmark, note, tmp_path, measured):
    costs = {"help": [], "python": []}
    for _ in range(7 if measured else 1):
        costs["help"].append(command(tmp_path, "--help").wait().processor)
        costs["python"].append(Started(["-c", "pass"], tmp_path / "no.txt", {}).wait().processor)
    benchmark(lambda: None)
    more = min(costs["help"]) - min(costs["python"])
    said = f"{more:.2f} s of the processor"
    note("analyze", "`--help` beyond Python's start", said, "≤ 0.3 s", more <= 0.3)
    assert "analyze" in (tmp_path / "log.txt").read_text("utf-8")


def analyze(slide: Path, folder: Path, *options: str, **environment: str) -> Started:
    words = ("analyze", slide, "--out", folder / "out", "--overwrite", *options)
    return command(folder, *words, **environment)


def result_in(folder: Path) -> dict:
    return json.loads((folder / "out" / "result.json").read_text("utf-8"))


@pytest.mark.usefixtures("only_measured")
def test_a_second_run_takes_features_from_the_disk(benchmark, note, tmp_path, slide_of, size):
    """Its processor's time is also what the command costs beyond reading and encoding."""
    slide, folder = slide_of(size), tmp_path
    first = analyze(slide, folder).wait()
    work = result_in(folder)["cost"]
    seconds = [analyze(slide, folder).wait() for _ in range(3)]
    again = min(one.processor for one in seconds)
    kept = result_in(folder)["cost"]
    benchmark(lambda: None)
    share = again / first.processor
    said = f"{first.processor:.1f} and {again:.1f} s of the processor: {share:.2f}"
    note("analyze", "second run, in another process", said, "≤ 0.1", share <= 0.1)
    encoded = (kept["seconds"]["read"] + kept["seconds"]["encode"]) / (
        work["seconds"]["read"] + work["seconds"]["encode"]
    )
    said = f"{encoded:.3f}"
    note("analyze", "second run, reading and encoding alone", said, "≤ 0.1", encoded <= 0.1)
    said = f"{again:.1f} s of the processor: start, imports, tissue, model, files"
    note("analyze", "`analyze` beyond reading and encoding", said, "≤ 1.5 s", again <= 1.5)
    assert kept["seconds"]["encode"] < 0.5 * work["seconds"]["encode"]


@pytest.mark.usefixtures("only_measured")
def test_two_at_once(benchmark, note, tmp_path, slide_of, size):
    slide = slide_of(min(size, 20_000))
    ratios = []
    for i in range(3):
        alone = analyze(slide, tmp_path / f"a{i}", "--no-cache").wait().seconds
        both = [analyze(slide, tmp_path / f"b{i}{k}", "--no-cache") for k in "12"]
        ratios.append(max(one.wait().seconds for one in both) / alone)
    benchmark(lambda: None)
    best = min(ratios)
    met = best <= 1.6 if is_idle() else None
    note("analyze", "two `analyze` at once", f"{best:.2f} times one alone", "≤ 1.6", met)


@pytest.mark.usefixtures("only_measured")
def test_freed_memory_is_kept(benchmark, note, tmp_path, slide_of, size):
    """glibc gives back each batch's maps, and the system zeroes them for the next one."""
    slide = slide_of(min(size, 20_000))
    ways = {"kept": {}, "given back": {"HAGMIL_MALLOPT": "0"}}
    costs = {
        name: analyze(slide, tmp_path / name, "--no-cache", **environment).wait()
        for name, environment in ways.items()
    }
    benchmark(lambda: None)
    kept, back = costs["kept"], costs["given back"]
    said = (
        f"system {kept.system:.1f} instead of {back.system:.1f} s, processor "
        f"{kept.processor:.1f} instead of {back.processor:.1f} s, peak {kept.peak / 1e6:.0f} "
        f"instead of {back.peak / 1e6:.0f} MB"
    )
    met = kept.system < back.system and kept.peak <= 1.05 * back.peak
    note("encoder", "freed memory kept for the next batch", said, "peak not higher", met)


@pytest.mark.usefixtures("only_measured")
def test_peak_memory_hardly_grows(benchmark, note, tmp_path, slide_of, size):
    small, large = size // 2, size * 2
    peaks = [
        analyze(slide_of(side), tmp_path / str(side), "--no-cache").wait().peak
        for side in (small, large)
    ]
    benchmark(lambda: None)
    more = peaks[1] / peaks[0] - 1
    said = f"{peaks[0] / 1e6:.0f} and {peaks[1] / 1e6:.0f} MB: {more:+.1%}"
    what = f"peak memory of `analyze`, {small:,}² and {large:,}² px"
    note("analyze", what, said, "< +5 %", more < 0.05)


def test_the_cascade_against_reading_everything(benchmark, note, slide_of, size, loaded):
    slide = slide_of(size)
    seconds, results = {}, {}
    for name, exhaustive in (("cascade", False), ("exhaustive", True)):
        options = Options(exhaustive=exhaustive, keep_features=False)
        with open_slide(slide) as opened:
            spent = time.process_time()
            results[name] = analyze_with(loaded, opened, options)
            seconds[name] = time.process_time() - spent
    benchmark(lambda: None)
    cascade, all_of_it = results["cascade"], results["exhaustive"]
    last = cascade.stages[-1]
    met = lesions_met(
        read_polygons(slide.with_suffix(".geojson")), cascade.grids[last.depth], last.nodes
    )
    share, recall = seconds["cascade"] / seconds["exhaustive"], float(np.mean(met))
    patches = cascade.cost.patches_encoded / all_of_it.cost.patches_encoded
    calls = [one.cascade.predicted_class for one in (cascade, all_of_it)]
    said = (
        f"{share:.3f} of the processor's time, {patches:.3f} of the patches; called {calls[0]} and "
        f"{calls[1]}, lesions met {sum(met)} of {len(met)}"
    )
    good = share <= 0.1 and calls[0] == calls[1] and recall >= 0.95
    goal = "≤ 0.1, same call, recall ≥ 0.95"
    note("analyze", f"cascade against exhaustive, {size:,}² px", said, goal, good)
    assert cascade.cost.patches_encoded < all_of_it.cost.patches_encoded or size == SMALL


@pytest.mark.usefixtures("only_measured")
def test_lesions_met_on_several_phantoms(benchmark, note, tmp_path, loaded):
    """One phantom has three lesions: too few to tell 0.95 from less."""
    met: list[bool] = []
    for seed in range(11, 19):
        path = tmp_path / f"{seed}.tiff"
        write_phantom(path, PhantomConfig(seed=seed, size=10_240, lesions=3))
        with open_slide(path) as opened:
            result = analyze_with(loaded, opened, Options(keep_features=False))
        last, outlines = result.stages[-1], read_polygons(path.with_suffix(".geojson"))
        met += lesions_met(outlines, result.grids[last.depth], last.nodes)
        path.unlink()
    benchmark(lambda: None)
    recall = float(np.mean(met))
    said = f"{sum(met)} of {len(met)}"
    note("analyze", "lesions met, eight phantoms of 10,240² px", said, "≥ 0.95", recall >= 0.95)
    assert len(met) == 24


def test_the_pipeline_against_the_encoder_alone(benchmark, note, slide_of, size, loaded):
    """The processor's time of the encoder, of that of reading and encoding the same patches."""
    slide = slide_of(size)
    spent = {"read": 0.0, "encode": 0.0}
    with open_slide(slide) as opened:
        prepared = prepare(opened, *loaded)
        grids, nodes = prepared.quadtree.grids, prepared.quadtree.nodes[0]
        rng = np.random.default_rng(0)
        for depth, grid in enumerate(grids):
            some = nodes[rng.permutation(len(nodes))[: 16 if size > SMALL else 1]]
            wanted, nodes = children(some) if depth else some, children(some)
            for start in range(0, len(wanted), 32):
                before = time.process_time()
                pixels = read_nodes(opened, grid, wanted[start : start + 32], workers=2)
                between = time.process_time()
                encode_pixels(loaded.encoder, pixels)
                spent["encode"] += time.process_time() - between
                spent["read"] += between - before
            nodes = wanted
    benchmark(lambda: None)
    share = spent["encode"] / sum(spent.values())
    note("encoder", "pipeline against the encoder alone", f"{share:.3f}", "≥ 0.92", share >= 0.92)
    assert spent["read"] > 0
