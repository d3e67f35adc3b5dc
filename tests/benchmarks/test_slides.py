"""CPU time per 256-px tile: ours against OpenSlide's and the bare decoder's.

`make bench` measures a slide of 8192² px and asserts the targets; as a plain test the same code
runs on a small one and asserts that all sides see the same pixels. The slide is a phantom: a
pyramid of JPEG tiles of 256 px. Tiles of tissue are read, as the cascade does; glass is cheap.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_hagmil.phantom import PhantomConfig, write_phantom
from napari_hagmil.slide import open_slide
from napari_hagmil.slide.formats.file_bytes import FileBytes
from napari_hagmil.slide.gather import CACHE_BYTES

openslide = pytest.importorskip("openslide", reason="the extra openslide is not installed")

TILE = 256
#: Side of the slide (px), places that are read, and rounds: measured, and as a plain test.
MEASURED, SMALL = (8192, 400, 5), (1024, 6, 1)
#: Which places, against whom → the most that ours may take of their CPU time.
TARGETS = {
    ("aligned", "decoder"): 1.5,
    ("aligned", "openslide"): 0.6,
    ("unaligned", "openslide"): 1.0,
    ("walk", "openslide"): 1.0,
}

Place = tuple[int, int]
Read = Callable[[Place], np.ndarray]


@contextmanager
def by_us(path: Path) -> Iterator[Read]:
    with open_slide(path) as slide:
        yield lambda place: slide.read(0, place, (TILE, TILE))


@contextmanager
def by_openslide(path: Path) -> Iterator[Read]:
    """With a cache as large as ours; RGB in the end, as we give it."""
    with openslide.OpenSlide(path) as slide:
        slide.set_cache(openslide.OpenSlideCache(CACHE_BYTES))

        def read(place: Place) -> np.ndarray:
            region = slide.read_region(place[::-1], 0, (TILE, TILE))
            return np.asarray(region)[..., :3]

        yield read


@contextmanager
def by_decoder(path: Path) -> Iterator[Read]:
    """Bytes in, pixels out: nothing is checked, counted, cached or cut."""
    with tifffile.TiffFile(path) as tiff:
        page, file = tiff.pages[0], FileBytes(path)
        options = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}

        def read(place: Place) -> np.ndarray:
            index = place[0] // TILE * (page.imagewidth // TILE) + place[1] // TILE
            data = file.read(page.dataoffsets[index], page.databytecounts[index])
            return page.decode(data, index, **options)[0][0]

        yield read
        file.close()


OPENERS = {"ours": by_us, "openslide": by_openslide, "decoder": by_decoder}


@pytest.fixture(scope="module")
def phantom_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    folder = tmp_path_factory.mktemp("benchmark")

    def write(size: int) -> Path:
        path = folder / f"{size}.tiff"
        if not path.exists():
            write_phantom(path, PhantomConfig(seed=3, size=size, lesions=0, mpp=0.5))
        return path

    return write


def tissue(path: Path, n: int, rng: np.random.Generator) -> list[Place]:
    """Corners of tiles, without the last row and column; those that hold most bytes."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        side = page.imagewidth // TILE
        sizes = np.reshape(page.databytecounts[: side * side], (side, side))[:-1, :-1]
    most = np.argsort(sizes, axis=None)[::-1][: max(n, sizes.size // 2)]
    picked = rng.choice(most, n, replace=False)
    return [(int(i) // (side - 1) * TILE, int(i) % (side - 1) * TILE) for i in picked]


def places(kind: str, path: Path, n: int, size: int) -> list[Place]:
    """Corners of what is read: on the grid, off it, or each near the one before."""
    rng = np.random.default_rng(0)
    corners = tissue(path, n, rng)
    if kind == "aligned":
        return corners
    if kind == "unaligned":  # each touches four tiles
        steps = rng.integers(1, TILE, (n, 2))
        return [(y + int(dy), x + int(dx)) for (y, x), (dy, dx) in zip(corners, steps, strict=True)]
    steps = rng.integers(-TILE // 2, TILE // 2 + 1, (n, 2))
    walk = np.clip(np.cumsum(steps, axis=0) + corners[0], 0, size - TILE)
    return [(int(y), int(x)) for y, x in walk]


def cpu_times(path: Path, wanted: list[Place], rounds: int, sides: list[str]) -> dict[str, float]:
    """Least CPU seconds per place of all rounds; every round begins with empty caches."""
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(rounds):
        with ExitStack() as stack:
            reads = {side: stack.enter_context(OPENERS[side](path)) for side in sides}
            for side, read in reads.items():  # in turns, so that the machine's moods hit all
                start = time.process_time()
                for place in wanted:
                    read(place)
                best[side] = min(best[side], (time.process_time() - start) / len(wanted))
    return best


def check_equal(path: Path, wanted: list[Place], sides: list[str]) -> None:
    with ExitStack() as stack:
        reads = [stack.enter_context(OPENERS[side](path)) for side in sides]
        for place in wanted:
            first, *others = (read(place) for read in reads)
            assert first.std() > 1  # not glass
            for other in others:
                np.testing.assert_array_equal(first, other)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["aligned", "unaligned", "walk"])
def test_cpu_time_per_tile(benchmark: Any, capsys: Any, phantom_of, kind: str) -> None:
    size, n, rounds = MEASURED if benchmark.enabled else SMALL
    path = phantom_of(size)
    wanted = places(kind, path, n, size)
    sides = [side for side in OPENERS if kind == "aligned" or side != "decoder"]
    check_equal(path, wanted[:6], sides)
    benchmark.pedantic(cpu_times, (path, wanted[:6], 1, ["ours"]), rounds=1)
    if not benchmark.enabled:
        return
    times = cpu_times(path, wanted, rounds, sides)
    ratios = {side: times["ours"] / times[side] for side in sides[1:]}
    benchmark.extra_info.update(ms={side: 1e3 * t for side, t in times.items()}, ratios=ratios)
    with capsys.disabled():
        spent = ", ".join(f"{side} {1e3 * t:.2f} ms" for side, t in times.items())
        told = ", ".join(f"{ratio:.2f} of {side}" for side, ratio in ratios.items())
        print(f"\n{kind:9} {spent}; ours {told}")
    missed = {s: r for s, r in ratios.items() if r > TARGETS.get((kind, s), float("inf"))}
    assert not missed, f"{kind}: CPU time above the target: {missed}"
