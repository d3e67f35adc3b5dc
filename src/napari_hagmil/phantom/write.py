"""Write a phantom as a pyramidal BigTIFF, and its truth as GeoJSON beside it.

Generic pyramidal TIFF: 256-px JPEG tiles, every level a page of its own, reduced ones flagged with
NewSubfileType 1. OpenSlide and QuPath take it without a vendor's conventions; level k is the exact
2 x 2 area mean of level k - 1, `size >> k` pixels wide.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import cv2
import imagecodecs
import numpy as np
import tifffile

from napari_hagmil.files import drafting, move, reserve
from napari_hagmil.phantom.config import PhantomConfig, PhantomError
from napari_hagmil.phantom.layout import PhantomPlan, plan_phantom
from napari_hagmil.phantom.noise import ByteArray
from napari_hagmil.phantom.render import BLOCK, render_block
from napari_hagmil.phantom.truth import PhantomTruth, truth_geojson
from napari_hagmil.slide.interface import PHANTOM

TILE = 256
SUPER = 2048  # px of level 0 rendered, encoded and reduced at a time
STREAMED = 4  # levels 0 to 3 come straight from the super-tiles, smaller ones from level 3
SMALLEST = 1024  # the last level is at most as large
QUALITY = 85

Tiles = dict[tuple[int, int], bytes]  # (row, column) of one level → JPEG
_ReportShare = Callable[[float], None]


@dataclass(frozen=True)
class _Reduced:
    """One super-tile: its encoded tiles at each streamed level, and the rest of it at level 3."""

    tiles: list[list[list[bytes]]]
    last: ByteArray


def write_phantom(
    path: str | os.PathLike[str],
    config: PhantomConfig,
    *,
    workers: int = 2,
    progress: _ReportShare | None = None,
) -> PhantomTruth:
    """Render and write a slide and its truth; both files appear only when complete.

    Parameters
    ----------
    path
        Where the TIFF goes; the truth goes to the same name with `.geojson`.
    config
        The slide. The same config gives the same bytes.
    workers
        Rendering threads.
    progress
        Called with the fraction done, 0 to 1, from the calling thread. It may raise to cancel.

    Returns
    -------
    PhantomTruth
        What was planted, as in the GeoJSON.
    """
    target = Path(path)
    if workers < 1:
        raise PhantomError("workers", "must be 1 or more", value=workers)
    if not target.parent.is_dir():
        raise PhantomError(str(target.parent), "is not a folder", remedy="make it first")
    plan = plan_phantom(config)
    with drafting(target) as folder:
        folder.mkdir()
        slide, truth = folder / "slide.tiff", folder / "truth.geojson"
        _write_tiff(slide, plan, workers, progress or _silent)
        truth.write_text(truth_geojson(config, plan.truth), encoding="utf-8")
        move(truth, target.with_suffix(".geojson"))
        move(slide, target)
    return plan.truth


def _silent(_: float) -> None:
    """Report nothing."""


def level_sizes(size: int) -> list[int]:
    """Side of each level in pixels: halved, rounding down, until at most SMALLEST."""
    sizes = [size]
    while sizes[-1] > SMALLEST:
        sizes.append(sizes[-1] // 2)
    return sizes


def encode(tile: ByteArray) -> bytes:
    """One RGB tile → a JPEG stream of its own, YCbCr 4:2:0."""
    return bytes(
        imagecodecs.jpeg8_encode(
            np.ascontiguousarray(tile), level=QUALITY, colorspace="RGB",
            outcolorspace="YCBCR", subsampling="420",
        )
    )  # fmt: skip


def _halve(image: ByteArray) -> ByteArray:
    """Exact 2 x 2 area mean."""
    size = (image.shape[1] // 2, image.shape[0] // 2)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _tiles(image: ByteArray) -> list[list[bytes]]:
    """Encode an image whose sides are multiples of TILE, by rows."""
    return [
        [encode(image[y : y + TILE, x : x + TILE]) for x in range(0, image.shape[1], TILE)]
        for y in range(0, image.shape[0], TILE)
    ]


def _reduce(plan: PhantomPlan, y: int, x: int, levels: int) -> _Reduced:
    """Render one super-tile (reaching over the slide's edge if need be) and its reductions."""
    image = np.empty((SUPER, SUPER, 3), np.uint8)
    for dy in range(0, SUPER, BLOCK):
        for dx in range(0, SUPER, BLOCK):
            if y + dy < plan.config.size and x + dx < plan.config.size:
                block = render_block(plan, y + dy, x + dx)
                image[dy : dy + BLOCK, dx : dx + BLOCK] = block
            else:
                image[dy : dy + BLOCK, dx : dx + BLOCK] = 255
    tiles = [_tiles(image)]
    for _ in range(1, min(levels, STREAMED)):
        image = _halve(image)
        tiles.append(_tiles(image))
    return _Reduced(tiles, image)


class _Spool:
    """Encoded tiles of the streamed levels but the first, on disk, and level 3 as pixels."""

    def __init__(self, folder: Path, sizes: list[int]) -> None:
        self._sizes = sizes
        streamed = min(len(sizes), STREAMED)
        self._files: list[IO[bytes]] = [
            (folder / f"level{k}").open("w+b") for k in range(1, streamed)
        ]
        self._lengths: list[list[int]] = [[] for _ in self._files]
        side = -(-sizes[0] // SUPER) * (SUPER >> (streamed - 1))
        # On disk too: at 100 000 px it would be half a gigabyte.
        reserve(folder / "last", 3 * side * side)
        self.last: ByteArray = np.memmap(
            folder / "last", dtype=np.uint8, mode="r+", shape=(side, side, 3)
        )

    def add_row(self, row: int, parts: list[_Reduced]) -> list[bytes]:
        """Keep one row of super-tiles; returns its tiles of level 0 in file order."""
        step = parts[0].last.shape[0]
        for column, part in enumerate(parts):
            place = slice(row * step, (row + 1) * step), slice(column * step, (column + 1) * step)
            self.last[place] = part.last
        ordered = [self._in_order(k, row, parts) for k in range(len(self._files) + 1)]
        for file, lengths, tiles in zip(self._files, self._lengths, ordered[1:], strict=True):
            file.writelines(tiles)
            lengths.extend(map(len, tiles))
        return ordered[0]

    def _in_order(self, level: int, row: int, parts: list[_Reduced]) -> list[bytes]:
        """Tiles of one level under a row of super-tiles, without those wholly off the level."""
        across = -(-self._sizes[level] // TILE)
        down = (SUPER >> level) // TILE
        rows = range(down)[: max(0, across - row * down)]
        return [t for r in rows for t in [t for p in parts for t in p.tiles[level][r]][:across]]

    def read(self, level: int) -> Iterator[bytes]:
        """Tiles of a spooled level in file order."""
        file = self._files[level - 1]
        file.seek(0)
        for length in self._lengths[level - 1]:
            yield file.read(length)

    def close(self) -> None:
        """Close the files; the folder is the caller's to remove."""
        for file in self._files:
            file.close()


def _render_rows(plan: PhantomPlan, levels: int, workers: int) -> Iterator[list[_Reduced]]:
    """Rows of super-tiles in order, a few super-tiles ahead of the reader."""
    starts = range(0, plan.config.size, SUPER)
    places = iter([(y, x) for y in starts for x in starts])
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[_Reduced]] = deque()
        try:
            for _ in starts:
                row = []
                for _ in starts:
                    while len(ahead) < workers + 2 and (place := next(places, None)):
                        ahead.append(pool.submit(_reduce, plan, *place, levels))
                    row.append(ahead.popleft().result())
                yield row
        finally:
            pool.shutdown(cancel_futures=True)


def _first_level(
    plan: PhantomPlan, spool: _Spool, levels: int, workers: int, progress: _ReportShare
) -> Iterator[bytes]:
    """Tiles of level 0 in file order; fills the spool on the way."""
    rows = -(-plan.config.size // SUPER)
    for number, parts in enumerate(_render_rows(plan, levels, workers)):
        yield from spool.add_row(number, parts)
        progress(0.98 * (number + 1) / rows)


def _small_level(spool: _Spool, halvings: int, size: int) -> Iterator[bytes]:
    """Tiles of a level below the streamed ones, from the pixels of the last streamed level."""
    image = np.asarray(spool.last)
    for _ in range(halvings):
        image = _halve(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])
    side = -(-size // TILE) * TILE
    image = image[:side, :side]
    missing = (0, side - image.shape[0]), (0, side - image.shape[1]), (0, 0)
    for row in _tiles(np.pad(image, missing, mode="edge")):
        yield from row


def _write_tiff(path: Path, plan: PhantomPlan, workers: int, progress: _ReportShare) -> None:
    """Write all levels; temporary files go beside `path`."""
    config, sizes = plan.config, level_sizes(plan.config.size)
    spool = _Spool(path.parent, sizes)
    streamed = min(len(sizes), STREAMED)
    try:
        with tifffile.TiffWriter(path, bigtiff=True) as file:
            for level, size in enumerate(sizes):
                if level == 0:
                    tiles = _first_level(plan, spool, len(sizes), workers, progress)
                elif level < streamed:
                    tiles = spool.read(level)
                else:
                    tiles = _small_level(spool, level - streamed + 1, size)
                _write_level(file, tiles, level, size, config)
        progress(1.0)
    finally:
        spool.close()


def _write_level(
    file: tifffile.TiffWriter, tiles: Iterator[bytes], level: int, size: int, config: PhantomConfig
) -> None:
    """Write one level as a page from its encoded tiles."""
    per_cm = 1e4 / (config.mpp * 2**level)
    file.write(
        tiles,
        shape=(size, size, 3),
        dtype=np.uint8,
        tile=(TILE, TILE),
        photometric="ycbcr",  # the tiles are encoded already, and hold YCbCr
        subsampling=(2, 2),
        compression="jpeg",
        subfiletype=1 if level else 0,
        resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER",
        description=f"{PHANTOM} seed={config.seed} mpp={config.mpp}",
        software=False,
        metadata=None,
        maxworkers=1,
    )
