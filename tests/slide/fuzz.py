"""Damage slides at random, and see that each is refused in a sentence or read right.

    python tests/slide/fuzz.py --mutants 3200

Every mutant is opened, described and read whole, tile by tile, in a process of its own that is
killed when it takes too long. What may come of it: a `HagmilError` at opening; tiles that raise
one; tiles whose bytes nobody touched, and these equal the original. Anything else fails the run:
another exception, a crash, a hang, more than 5 s of CPU time, more than 1 GB of memory, an
untouched tile with other pixels.

Pixels of a tile whose own bytes were changed can be wrong without anyone knowing: JPEG has no
checksum. So they are compared with what another decoder makes of the same damaged bytes (Pillow for
JPEG and JPEG 2000, Python's zlib, numcodecs): what both make of them are the pixels that the file
holds now. Tiles of a slide whose header says something else than before are counted only.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import importlib.util
import json
import multiprocessing as mp
import re
import shutil
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import fuzz_references as references
import made_slides as made
import numpy as np
import odd_slides as odd

from napari_hagmil.slide import LevelGrid

MAX_SECONDS, MAX_MEGABYTES = 5.0, 1000
_MAX_READ_PIXELS = 2**24

Ranges = dict[tuple[int, int, int], tuple[str, int, int]]
"""Tile → file within the slide, first byte and those after the last."""


# -- seeds --------------------------------------------------------------------------------


def pictures() -> list[np.ndarray]:
    """Something like tissue, 700×600 px at two levels."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(90, 240, (35, 30, 3)).astype(np.float32)
    smooth = np.kron(coarse, np.ones((20, 20, 1))) + rng.normal(0, 6, (700, 600, 3))
    return made.halved(np.clip(smooth, 0, 255).astype(np.uint8), (1, 2))


@dataclass(frozen=True)
class Seed:
    """A slide to be damaged.

    Attributes
    ----------
    path : Path
        The file, or the folder that holds the slide.
    entry : str
        File of the folder that is opened; empty: `path` itself.
    backend : str
        "openslide" to read with OpenSlide what another backend would take.
    """

    path: Path
    entry: str = ""
    backend: str = ""

    @property
    def name(self) -> str:
        """As the report calls it."""
        return f"{self.path.name}{' by OpenSlide' if self.backend else ''}"

    def opened(self, path: Path) -> Path:
        """What is opened of a copy at `path`."""
        return path / self.entry if self.entry else path


def vms(path: Path, levels: list[np.ndarray]) -> Path:
    path.mkdir()
    made.write_vms(path / "a.vms", np.ascontiguousarray(levels[0][:512, :512]))
    return path


def plain(kind: str) -> Callable[[Path, list[np.ndarray]], Path]:
    def write(path: Path, levels: list[np.ndarray]) -> Path:
        odd.picture(kind)(path, levels[1])
        return path

    return write


def from_odd(write: odd.Write) -> Callable[[Path, list[np.ndarray]], Path]:
    def written(path: Path, levels: list[np.ndarray]) -> Path:
        write(path, levels[0])
        return path

    return written


SEEDS: dict[str, Callable[[Path, list[np.ndarray]], Path]] = {
    "jpeg.tif": made.write_jpeg,
    "deflate.tif": made.write_generic,
    "one-strip.tif": from_odd(odd.one_level(np.asarray)),
    "aperio.svs": from_odd(odd.svs),
    "jp2k.svs": made.write_jpeg_2000,
    "hamamatsu.ndpi": from_odd(odd.ndpi),
    "sub-ifds.ome.tif": made.write_ome_tiff,
    "leica.scn": made.write_scn,
    "v4.zarr": lambda path, levels: made.write_zarr(path, levels, "0.4"),
    "v5.zarr": made.write_zarr,
    "plain.zarr": made.write_plain_zarr,
    "plain.png": plain("png"),
    "plain.jpeg": plain("jpeg"),
    "progressive.jpeg": plain("progressive"),
}
#: Read with OpenSlide: what no other backend takes, and a TIFF whose tiles can be judged.
BY_OPENSLIDE: dict[str, tuple[Callable[[Path, list[np.ndarray]], Path], str]] = {
    "hamamatsu-vms": (vms, "a.vms"),
    "tiles.tif": (made.write_generic, ""),
}
#: Real slides that are small enough, where they are at hand.
REAL = (
    "CMU-1-Small-Region-dicom",
    "openslide-python-boxes.tiff",
    "broken/openslide-python-unreadable.svs",
)


def make_seeds(folder: Path, slides: Path | None) -> list[Seed]:
    levels = pictures()
    seeds = [Seed(write(folder / name, levels)) for name, write in SEEDS.items()]
    if importlib.util.find_spec("openslide") is not None:
        for name, (write, entry) in BY_OPENSLIDE.items():
            seeds.append(Seed(write(folder / name, levels), entry, "" if entry else "openslide"))
    for name in REAL if slides is not None and slides.is_dir() else ():
        assert slides is not None
        copy = shutil.copytree if (slides / name).is_dir() else shutil.copy
        seeds.append(Seed(Path(copy(slides / name, folder / Path(name).name))))
    return seeds


def tile_ranges(seed: Seed) -> Ranges:
    """Where the tiles of a TIFF or Zarr lie; nothing for formats that hide it."""
    path = seed.path
    if path.suffix == ".zarr":
        chunks = [p for p in sorted(path.rglob("*")) if p.is_file() and re.search(r"\d$", p.name)]
        found = {}
        for chunk in chunks:
            name = chunk.relative_to(path).as_posix()
            numbers = [int(n) for n in re.findall(r"\d+", name)]
            # (level, channel, row, column), and (row, column, channel) of a plain one
            tile = (0, *numbers[:2]) if path.name == "plain.zarr" else (numbers[0], *numbers[-2:])
            found[tile] = name, 0, chunk.stat().st_size
        return found
    if path.is_dir() or path.suffix in (".png", ".jpeg"):
        return {}
    ranges: Ranges = {}
    from napari_hagmil.slide import open_slide

    with open_slide(path) as slide:
        for i, level in enumerate(slide.reader._levels):
            page, columns = level.planes[0].page, level.grid.n_tiles[1]
            if len(page.dataoffsets) != columns * level.grid.n_tiles[0]:
                continue  # a strip that is read in parts
            for index, place in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
                ranges[i, *divmod(index, columns)] = "", place[0], place[0] + place[1]
    return ranges


# -- mutations ----------------------------------------------------------------------------


def flip(data: bytearray, rng: np.random.Generator) -> None:
    """A few bits, anywhere."""
    for _ in range(int(rng.integers(1, 40))):
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))


def truncate(data: bytearray, rng: np.random.Generator) -> None:
    """The end is missing, or has become zeros (a copy that stopped)."""
    at = int(rng.integers(len(data)))
    if rng.random() < 0.5:
        del data[at:]
    else:
        data[at:] = bytes(len(data) - at)


def swap(data: bytearray, rng: np.random.Generator) -> None:
    """Two words of 4 or 8 bytes change places, near each other: offsets and byte counts."""
    size = int(rng.choice([4, 8]))
    if len(data) < 4 * size:
        return
    a = int(rng.integers(len(data) - 2 * size))
    b = min(len(data) - size, a + size * int(rng.integers(1, 20)))
    if b >= a + size:
        data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]


def lie(data: bytearray, rng: np.random.Generator) -> None:
    """Numbers of the header become others."""
    if data[:1] == b"{":
        text = data.decode("utf-8", "replace")
        numbers = list(re.finditer(r"\d+", text))
        if numbers:
            at = numbers[int(rng.integers(len(numbers)))]
            value = str(rng.choice([0, 1, 7, 255, 65536, 2**31, 2**40]))
            data[:] = (text[: at.start()] + value + text[at.end() :]).encode()
        return
    for _ in range(int(rng.integers(1, 6))):
        value = int(rng.choice([0, 1, 3, 255, 2**15, 2**16 - 1, 2**31, 2**32 - 1]))
        at = _header_place(data, rng)
        data[at : at + 4] = struct.pack("<I", value)[: max(0, min(4, len(data) - at))]


def _header_place(data: bytearray, rng: np.random.Generator) -> int:
    """A byte of a TIFF's page, or of the first kilobyte."""
    if data[:2] == b"II" and len(data) > 16:
        big = data[2] == 43
        start = struct.unpack_from("<Q" if big else "<I", data, 8 if big else 4)[0]
        if start < len(data) - 8:
            return min(len(data) - 1, int(start) + int(rng.integers(0, 500)))
    return int(rng.integers(min(len(data), 1024)))


KINDS = (flip, truncate, swap, lie)


def mutate(seed: Path, target: Path, rng: np.random.Generator) -> tuple[str, set[str]]:
    """Copy a slide and damage one of its files; returns the kind and the files touched."""
    kind = KINDS[int(rng.integers(len(KINDS)))]
    if not seed.is_dir():
        data = bytearray(seed.read_bytes())
        kind(data, rng)
        target.write_bytes(data)
        return kind.__name__, {""}
    shutil.copytree(seed, target)
    files = sorted(p for p in target.rglob("*") if p.is_file())
    documents = [p for p in files if p.name.startswith(".z") or p.name == "zarr.json"]
    pool = documents if documents and rng.random() < 0.6 else files
    chosen = pool[int(rng.integers(len(pool)))]
    data = bytearray(chosen.read_bytes())
    if data:
        kind(data, rng)
    chosen.write_bytes(data)
    return kind.__name__, {chosen.relative_to(target).as_posix()}


def changes(seed: Path, target: Path, names: set[str], ranges: Ranges) -> tuple[bool, set[Any]]:
    """Whether anything but tiles was changed, and which tiles were."""
    structure, touched = not ranges, set()
    for name in names:
        before = np.frombuffer((seed / name if name else seed).read_bytes(), np.uint8)
        after = np.frombuffer((target / name if name else target).read_bytes(), np.uint8)
        size = min(len(before), len(after))
        where = np.flatnonzero(before[:size] != after[:size])
        changed = np.zeros(len(before), bool)
        changed[where], changed[size:] = True, True
        structure |= len(after) > len(before)
        for tile, (file, first, last) in ranges.items():
            if file == name:
                if changed[first:last].any():
                    touched.add(tile)
                changed[first:last] = False
        structure |= bool(changed.any())
    return structure, touched


# -- the process that reads ---------------------------------------------------------------


@dataclass
class Answer:
    """What came of a mutant."""

    outcome: str
    tiles: dict[tuple[int, int, int], int | str]
    shapes: tuple[Any, ...] = ()
    seconds: float = 0.0
    megabytes: float = 0.0


def open_as(path: Path, backend: str) -> Any:
    from napari_hagmil.slide import open_slide
    from napari_hagmil.slide.formats.openslide import OpenSlideReader
    from napari_hagmil.slide.interface import SlideSpec
    from napari_hagmil.slide.slide import Slide

    if backend:
        return Slide(SlideSpec(path), OpenSlideReader(path, "a test"))
    return open_slide(path)


def read_whole(path: Path, backend: str = "") -> Answer:
    """Open, describe and read a slide; the checksum of every tile, or why there is none."""
    from napari_hagmil.errors import HagmilError
    from napari_hagmil.slide import slide_info
    from napari_hagmil.slide.interface import Meter

    tiles: dict[tuple[int, int, int], int | str] = {}
    try:
        with open_as(path, backend) as slide:
            json.dumps(slide_info(slide))
            grids = slide.reader.facts.grids
            shapes = tuple((grid.shape, grid.tile) for grid in grids)
            for level, grid in enumerate(grids):
                rows, columns = grid.n_tiles
                for index in range(min(rows * columns, 64)):
                    address = level, *divmod(index, columns)
                    try:
                        pixels = slide.reader.read_tile(address, Meter())
                    except HagmilError as error:
                        tiles[address] = check_sentence(error)
                    else:
                        tiles[address] = "absent" if pixels is None else crc(pixels, grid, address)
            if slide.shape[0] * slide.shape[1] <= _MAX_READ_PIXELS:
                slide.view_levels()
    except HagmilError as error:
        return Answer(check_sentence(error), tiles)
    return Answer("opened", tiles, shapes)


def crc(pixels: np.ndarray, grid: Any, address: tuple[int, int, int]) -> int:
    """Checksum of what lies inside of the level."""
    inside = [s - i * t for s, i, t in zip(grid.shape, address[1:], grid.tile, strict=True)]
    return zlib.crc32(np.ascontiguousarray(pixels[: inside[0], : inside[1]]).tobytes())


def check_sentence(error: Exception) -> str:
    text = str(error)
    return "refused" if text and "\n" not in text else f"no sentence: {text!r}"


def serve(pipe: Connection) -> None:
    """Answer paths until told to stop."""
    import napari_hagmil.slide.formats.dicom
    import napari_hagmil.slide.formats.ome_zarr.reader  # noqa: F401  # imports are not what is timed

    while (asked := pipe.recv()) is not None:
        reset_peak()
        started = time.process_time()
        try:
            answer = read_whole(Path(asked[0]), asked[1])
        except BaseException as error:  # this is what is looked for
            answer = Answer(f"{type(error).__name__}: {error}", {})
        answer.seconds, answer.megabytes = time.process_time() - started, peak_megabytes()
        pipe.send(answer)


def reset_peak() -> None:
    """Forget the peak, and give back what the mutants before have left in the allocator."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    path = Path("/proc/self/clear_refs")
    if path.exists():
        path.write_text("5")


def peak_megabytes() -> float:
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else 0.0


class Reader:
    """A process that reads, replaced when it hangs or dies."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._pipe, far = mp.get_context("spawn").Pipe()
        self._process = mp.get_context("spawn").Process(target=serve, args=(far,), daemon=True)
        self._process.start()
        far.close()
        self._warm = False

    def read(self, path: Path, backend: str) -> Answer:
        try:
            self._pipe.send((str(path), backend))
            # Twice: whoever runs this may have been paused, and time has passed nevertheless.
            for _ in range(2):
                if self._pipe.poll(2 * MAX_SECONDS if self._warm else 60):
                    self._warm = True
                    return self._pipe.recv()
            outcome = "hang"
        except (EOFError, OSError):
            outcome = "crash"
        self.close()
        self._start()
        return Answer(outcome, {}, seconds=4 * MAX_SECONDS)

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


# -- the run ------------------------------------------------------------------------------


def judge(answer: Answer, original: Answer, structure: bool, touched: set[Any]) -> Iterator[str]:
    """What is wrong with an outcome."""
    if answer.outcome not in ("opened", "refused"):
        yield answer.outcome
    if answer.seconds > MAX_SECONDS:
        yield f"{answer.seconds:.1f} s"
    if answer.megabytes > MAX_MEGABYTES:
        yield f"{answer.megabytes:.0f} MB"
    for tile, found in answer.tiles.items():
        if isinstance(found, str) and found not in ("refused", "absent"):
            yield found
        right = structure or tile in touched or original.tiles.get(tile) == found
        if not right and answer.outcome == "opened":
            yield f"untouched tile {tile} has other pixels ({found})"


def judge_changed(
    seed: SeedFacts, answer: Answer, target: Path, touched: set[Any], count: Counter[str]
) -> Iterator[str]:
    """What is wrong with the pixels of tiles whose bytes were changed, asked of another decoder."""
    for tile in touched:
        found = answer.tiles.get(tile)
        if not isinstance(found, int) or seed.reference is None:
            continue
        name, first, last = seed.ranges[tile]
        data = (target / name if name else target).read_bytes()[first:last]
        shape, side = seed.original.shapes[tile[0]]
        try:
            pixels = seed.reference(tile, data)
        except zlib.error as error:  # a checksum does not agree: nobody may decode this
            if not seed.seed.backend:
                yield f"changed tile {tile} is decoded, which zlib refuses ({error})"
            count["changed tiles that zlib refuses"] += 1
            continue
        except Exception:  # decoders raise their own kinds
            count["changed tiles that only we decode"] += 1
            continue
        if crc(pixels, LevelGrid(shape, side), tile) == found:
            count["changed tiles as another decoder reads them"] += 1
        else:
            yield f"changed tile {tile} is decoded to other pixels than elsewhere"


@dataclass
class SeedFacts:
    """What is known of an intact seed."""

    seed: Seed
    original: Answer
    ranges: Ranges
    reference: references.Reference | None


def facts_of(seed: Seed, reader: Reader) -> SeedFacts:
    original = reader.read(seed.opened(seed.path), seed.backend)
    ranges = tile_ranges(seed)
    return SeedFacts(seed, original, ranges, references.reference_of(seed.path) if ranges else None)


def run(n_mutants: int, seed: int, slides: Path | None, keep: Path | None = None) -> dict[str, Any]:
    """Read mutants of every seed in turn; returns counts and what failed."""
    counts: dict[str, Counter[str]] = {}
    failures: list[str] = []
    worst: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory(prefix="hagmil-fuzz-") as folder:
        reader = Reader()
        known = [facts_of(s, reader) for s in make_seeds(Path(folder), slides)]
        for number in range(n_mutants):
            facts = known[number % len(known)]
            name = facts.seed.name
            rng = np.random.default_rng([seed, number])
            target = Path(folder) / "mutant" / facts.seed.path.name
            target.parent.mkdir(exist_ok=True)
            kind, names = mutate(facts.seed.path, target, rng)
            answer = reader.read(facts.seed.opened(target), facts.seed.backend)
            structure, touched = changes(facts.seed.path, target, names, facts.ranges)
            count = counts.setdefault(name, Counter())
            tally(count, answer, facts.original, structure)
            problems = list(judge(answer, facts.original, structure, touched))
            if not structure:
                problems += judge_changed(facts, answer, target, touched, count)
            failures += [f"{name} #{number} ({kind}): {problem}" for problem in problems]
            if problems and keep is not None:
                save(target, keep / f"{number}-{target.name}")
            before = worst.get(name, (0.0, 0.0))
            worst[name] = max(before[0], answer.seconds), max(before[1], answer.megabytes)
            shutil.rmtree(target.parent)
        reader.close()
    return {
        "mutants": n_mutants,
        "seconds_slowest": round(max(seconds for seconds, _ in worst.values()), 2),
        "megabytes_peak": round(max(megabytes for _, megabytes in worst.values())),
        "counts": {
            name: {**count, "seconds": round(worst[name][0], 2), "megabytes": round(worst[name][1])}
            for name, count in counts.items()
        },
        "failures": failures,
    }


def tally(count: Counter[str], answer: Answer, original: Answer, structure: bool) -> None:
    """Count the mutant, and its tiles by what became of them."""
    count["mutants"] += 1
    count[answer.outcome if answer.outcome in ("opened", "refused") else "failed"] += 1
    for tile, found in answer.tiles.items():
        if found == original.tiles.get(tile):
            count["tiles right"] += 1
        elif isinstance(found, str):
            count[f"tiles {'unread' if found == 'refused' else found}"] += 1
        elif structure:
            count["tiles as the header says"] += 1


def save(target: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        shutil.copytree(target, to, dirs_exist_ok=True)
    else:
        shutil.copy(target, to)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutants", type=int, default=3200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slides", type=Path, help="folder of real slides")
    parser.add_argument("--keep", type=Path, help="where mutants that fail are kept")
    arguments = parser.parse_args()
    report = run(arguments.mutants, arguments.seed, arguments.slides, arguments.keep)
    print(json.dumps(report, indent=1))
    return int(bool(report["failures"]))


if __name__ == "__main__":
    sys.exit(main())
