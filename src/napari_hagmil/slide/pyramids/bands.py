"""Compute area means of a slide's level 0 in one pass from top to bottom."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from napari_hagmil.files import reserve
from napari_hagmil.slide.interface import Pixels
from napari_hagmil.slide.resample import area_mean
from napari_hagmil.slide.slide import Slide

Bands = Iterator[Pixels]
"""(rows, width, c) arrays, from top to bottom; all but the last have the same number of rows."""

ReportShare = Callable[[float], None]
"""Called with the fraction done, 0 to 1; an exception it raises stops the work."""

#: Columns that one thread reads at a time, px.
_WIDTH = 4096

#: Share of the work that the pass over the slide is; the rest is the coarse levels'.
_FIRST = 0.9


def write_levels(
    slide: Slide,
    factors: Sequence[int],
    write_level: Callable[[int, Bands], None],
    *,
    rows: int,
    on_progress: ReportShare | None = None,
) -> None:
    """Write the area means of level 0, one after the other, each in bands.

    The slide is decoded once. The first mean goes straight out; the others wait on disk.

    Parameters
    ----------
    slide : Slide
        An open slide.
    factors : sequence of int
        Level-0 pixels per pixel, ascending powers of two.
    write_level : callable
        Given the index of a factor and the bands of its level.
    rows : int
        Rows of a band, a power of two.
    on_progress : callable, optional
        Called with the fraction done; an exception it raises stops the work.

    Raises
    ------
    SlideReadError
        When a tile cannot be decoded: a file has no way to mark a place as unread.
    """
    report = on_progress or _silent
    shapes = [_shape(slide, factor) for factor in factors]
    with tempfile.TemporaryDirectory(prefix="hagmil-levels-") as folder:
        spools = [
            _spool(Path(folder) / str(i), (*shape, slide.n_channels), slide.dtype)
            for i, shape in enumerate(shapes[1:])
        ]
        write_level(0, _first(slide, factors, spools, rows, report))
        for i, spool in enumerate(spools):
            write_level(i + 1, (spool[y : y + rows] for y in range(0, len(spool), rows)))
            report(_FIRST + (1 - _FIRST) * (i + 1) / len(spools))
        del spools


def _spool(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Pixels:
    """A memory-mapped array whose bytes are all allocated on the disk."""
    reserve(path, prod(shape) * dtype.itemsize)
    return np.memmap(path, dtype, mode="r+", shape=shape)


def _silent(_: float) -> None:
    """Report nothing."""


def _shape(slide: Slide, factor: int) -> tuple[int, int]:
    return -(-slide.shape[0] // factor), -(-slide.shape[1] // factor)


def _first(
    slide: Slide, factors: Sequence[int], spools: Sequence[Pixels], rows: int, report: ReportShare
) -> Bands:
    """Bands of the first factor; fills the spools of the others on the way."""
    height = max(rows * factors[0], factors[-1])
    for y, means in _means(slide, factors, height):
        for factor, spool, mean in zip(factors[1:], spools, means[1:], strict=True):
            spool[y // factor : y // factor + len(mean)] = mean
        for start in range(0, len(means[0]), rows):
            yield means[0][start : start + rows]
        report(_FIRST * min(1.0, (y + height) / slide.shape[0]))


def _means(slide: Slide, factors: Sequence[int], height: int) -> Iterator[tuple[int, list[Pixels]]]:
    """First row of a band of level 0, and its mean by each factor; one band read ahead."""
    width = max(_WIDTH, factors[-1])

    def read(y: int, x: int) -> list[Pixels]:
        shape = min(height, slide.shape[0] - y), min(width, slide.shape[1] - x)
        pixels = slide.read(0, (y, x), shape)
        return [area_mean(pixels, factor) for factor in factors]

    starts, pool = deque(range(0, slide.shape[0], height)), ThreadPoolExecutor(2, "bands")
    ahead: deque[tuple[int, list[Future[list[Pixels]]]]] = deque()
    try:
        while starts or ahead:
            # Two bands, one read while the other is written: each may hold hundreds of MB.
            while starts and len(ahead) < 2:
                y = starts.popleft()
                places = range(0, slide.shape[1], width)
                ahead.append((y, [pool.submit(read, y, x) for x in places]))
            y, futures = ahead.popleft()
            parts = [future.result() for future in futures]
            yield y, [np.concatenate(same, axis=1) for same in zip(*parts, strict=True)]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
