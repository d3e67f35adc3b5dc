"""Pixels of a region, at the requested resolution."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from napari_hagmil.errors import SlideFormatError, SlideReadError
from napari_hagmil.geometry import Region
from napari_hagmil.slide.hatching import Box, hatch, scaled
from napari_hagmil.slide.interface import Pixels
from napari_hagmil.slide.resample import BLOCK_PIXELS, area_mean, blocks, resize
from napari_hagmil.slide.slide import Slide

#: Patches that one thread reads in a row, so that those that share a tile find it cached.
_RUN = 8


def read_region(slide: Slide, region: Region, *, mpp: float | None = None) -> Pixels:
    """Read a rectangle of the slide; what lies outside of the slide is background.

    It is read from the coarsest level that is fine enough (or, where that is damaged, from a
    finer one) and averaged by area. Whole factors are exact means of that level's pixels;
    others err by at most half a pixel of it.

    Parameters
    ----------
    slide : Slide
        An open slide.
    region : Region
        Level-0 px; may reach outside.
    mpp : float or None
        µm per pixel of the result; None: as level 0.

    Returns
    -------
    (round(height · slide.mpp / mpp), round(width · slide.mpp / mpp), c) array
        uint8 RGB for a brightfield slide. White outside; black for fluorescence.

    Raises
    ------
    SlideReadError
        When a tile cannot be decoded.
    MissingPixelSizeError
        When `mpp` is given, but the slide has no pixel size.
    """
    if mpp is None:
        return slide.read(0, (region.y, region.x), (region.height, region.width))
    if not mpp > 0:
        raise ValueError(f"mpp must be positive, got {mpp}; give µm per pixel of the result")
    scale = slide.require_mpp() / mpp
    shape = max(1, round(region.height * scale)), max(1, round(region.width * scale))
    return read_scaled(slide, region, shape)


def read_scaled(
    slide: Slide, region: Region, shape: tuple[int, int], *, mark_unreadable: bool = False
) -> Pixels:
    """Read a rectangle of the slide as a picture of `shape` rows and columns.

    Parameters
    ----------
    slide : Slide
        An open slide.
    region : Region
        Level-0 px; may reach outside.
    shape : tuple of int
        Rows and columns of the result.
    mark_unreadable : bool
        Draw damaged tiles as hatching instead of raising; `Slide.unreadable` names them.

    Returns
    -------
    (rows, columns, c) array
    """
    best = slide.level_for(min(region.height / shape[0], region.width / shape[1]))
    if mark_unreadable:
        unread: list[Box] = []
        pixels = _read_level(slide, best, region, shape, unread)
        hatch(pixels, unread)
        return pixels
    for level in range(best, 0, -1):
        # What a coarse level has lost, the finer ones still hold.
        with contextlib.suppress(SlideReadError):
            return _read_level(slide, level, region, shape)
    return _read_level(slide, 0, region, shape)


def _read_level(
    slide: Slide,
    level: int,
    region: Region,
    shape: tuple[int, int],
    unread: list[Box] | None = None,
) -> Pixels:
    """Read a rectangle from one level; `unread` takes the boxes of the result that are not."""
    downsample = slide.levels[level].downsample
    rows = _window(region.y, region.height, shape[0], downsample[0])
    columns = _window(region.x, region.width, shape[1], downsample[1])
    scale = shape[0] / rows[1], shape[1] / columns[1]

    def place(y: slice, x: slice) -> tuple[tuple[int, int], tuple[int, int]]:
        corner = rows[0] + y.start, columns[0] + x.start
        return corner, (y.stop - y.start, x.stop - x.start)

    def is_empty(y: slice, x: slice) -> bool:
        return not slide.reader.facts.grids[level].holds(*place(y, x))

    def read(y: slice, x: slice) -> Pixels:
        corner, size = place(y, x)
        if unread is None:
            return slide.read(level, corner, size)
        pixels, found = slide.read_around(level, corner, size)
        moved = [(a + y.start, b + x.start, c + y.start, d + x.start) for a, b, c, d in found]
        unread.extend(scaled(moved, *scale))
        return pixels

    if rows[1] * columns[1] <= BLOCK_PIXELS:
        return resize(read(slice(0, rows[1]), slice(0, columns[1])), shape)
    # First by a whole factor, block by block, so that memory stays bounded; then the rest.
    factor = max(1, min(rows[1] // shape[0], columns[1] // shape[1]))
    coarse = -(-rows[1] // factor), -(-columns[1] // factor)
    out = np.empty((*coarse, slide.n_channels), slide.dtype)
    for y, x in blocks(coarse, max(1, BLOCK_PIXELS // factor**2)):
        source = _times(y, factor, rows[1]), _times(x, factor, columns[1])
        if is_empty(*source):
            out[y, x] = slide.background
        else:
            out[y, x] = area_mean(read(*source), factor)
    return resize(out, shape)


def _times(part: slice, factor: int, limit: int) -> slice:
    return slice(part.start * factor, min(part.stop * factor, limit))


def _window(start: int, size: int, n_pixels: int, downsample: float) -> tuple[int, int]:
    """First pixel and number of pixels of a level, along one axis.

    Files round the size of their levels, so that a step of 4 reads as 4.0004. When the
    window is a whole multiple of the result but for less than a pixel, that multiple is
    taken: a picture that is off by a fraction of a pixel, but not blurred.
    """
    first = round(start / downsample)
    exact = size / downsample
    whole = max(1, round(exact / n_pixels)) * n_pixels
    return first, whole if abs(whole - exact) < 1 else max(1, round(exact))


def read_patches(
    slide: Slide, regions: Sequence[Region], size: int, *, workers: int = 2
) -> Iterator[tuple[int, Pixels | SlideReadError]]:
    """Read many places for the encoder, each as a square of `size` pixels.

    Places are read in the order in which they lie in the file, so that a tile that two of
    them share is decoded once. A damaged place is yielded as the error it caused, and
    the others are still read.

    Parameters
    ----------
    slide : Slide
        An open brightfield slide.
    regions : sequence of Region
        Level-0 px; may reach outside.
    size : int
        Rows and columns of each patch.
    workers : int
        Threads that decode.

    Yields
    ------
    index : int
        Which of the regions.
    pixels : (size, size, 3) uint8 array, or SlideReadError

    Raises
    ------
    SlideFormatError
        When the slide is not an RGB brightfield picture.
    """
    require_brightfield(slide)
    return _read_patches(slide, regions, size, workers)


def _read_patches(
    slide: Slide, regions: Sequence[Region], size: int, workers: int
) -> Iterator[tuple[int, Pixels | SlideReadError]]:
    def read(index: int) -> Pixels | SlideReadError:
        try:
            return read_scaled(slide, regions[index], (size, size))
        except SlideReadError as error:
            return error

    order = _file_order(slide, regions, size)
    if workers < 2:
        yield from ((index, read(index)) for index in order)
        return
    # Neighbours go to one thread, so that two do not decode the tile they share.
    runs = [order[i : i + _RUN] for i in range(0, len(order), _RUN)]
    pool = ThreadPoolExecutor(workers, thread_name_prefix="slide")
    waiting: deque[tuple[list[int], Future[list[Pixels | SlideReadError]]]] = deque()
    try:
        for run in runs:
            waiting.append((run, pool.submit(lambda run: [read(i) for i in run], run)))
            # A bounded queue: pixels are made no faster than they are used.
            if len(waiting) > 2 * workers:
                yield from _take(waiting)
        while waiting:
            yield from _take(waiting)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _take(
    waiting: deque[tuple[list[int], Future[list[Pixels | SlideReadError]]]],
) -> Iterator[tuple[int, Pixels | SlideReadError]]:
    run, future = waiting.popleft()
    yield from zip(run, future.result(), strict=True)


def _file_order(slide: Slide, regions: Sequence[Region], size: int) -> list[int]:
    """Sort indices along the rows of tiles of the level that will be read."""
    if not regions:
        return []
    first = regions[0]
    level = slide.level_for(min(first.height, first.width) / size)
    tile = slide.reader.facts.grids[level].tile
    # Strips are a few rows high: a band of patches, not of strips, makes a row.
    band = max(tile[0] * slide.levels[level].downsample[0], first.height)
    return sorted(range(len(regions)), key=lambda i: (regions[i].y // band, regions[i].x))


def require_brightfield(slide: Slide) -> None:
    """Raise `SlideFormatError` unless the slide is what encoders know: RGB brightfield."""
    if slide.is_brightfield:
        return
    facts = slide.reader.facts
    if slide.is_rgb and not facts.fluorescence:
        raise SlideFormatError(
            slide.name,
            f"has colours of {8 * slide.dtype.itemsize} bits ({slide.dtype}), "
            "and the cascade needs RGB brightfield of 8",
            remedy="convert it to 8 bits a sample, its white to 255",
        )
    what = facts.fluorescence or f"{slide.n_channels} channels of {slide.dtype}"
    raise SlideFormatError(
        slide.name,
        f"has {what}, and the cascade needs RGB brightfield",
        remedy="give an H&E or IHC slide",
    )
