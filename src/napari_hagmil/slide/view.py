"""Levels for a viewer: those of the file, and virtual ones between and beyond them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from napari_hagmil.errors import SlideReadError
from napari_hagmil.slide.ahead import Box as Rectangle
from napari_hagmil.slide.ahead import ReadAhead, around, middle
from napari_hagmil.slide.color_profile import Colors
from napari_hagmil.slide.hatching import Box, hatch, scaled
from napari_hagmil.slide.interface import LevelGrid, Pixels
from napari_hagmil.slide.resample import BLOCK_PIXELS, area_mean, blocks

#: Long side of the coarsest level, px: a viewer reads it whole.
COARSEST = 2048

#: Side of chunks, px, about: larger ones make a view decode, and keep, far more than it shows
#: (twelve views of a slide of 40,000 px: 784 tiles with 1024 px, 404 with 256).
CHUNK = 256


class _Source(Protocol):
    """The part of a slide that this module needs."""

    fingerprint: str

    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def n_channels(self) -> int: ...
    def read_around(
        self,
        level: int,
        top_left: tuple[int, int],
        shape: tuple[int, int],
        *,
        keep: bool = False,
    ) -> tuple[Pixels, list[Box]]: ...

    def in_colors(self, pixels: Pixels, colors: Colors) -> Pixels: ...

    @property
    def background(self) -> int: ...
    @property
    def reader(self) -> Any: ...


class KeptLevels(Protocol):
    """Means of level 0 that were made before, by 2, by 4 and so on."""

    def read(self, index: int, top_left: tuple[int, int], shape: tuple[int, int]) -> Pixels:
        """Pixels of a rectangle of the mean `index`."""

    def close(self) -> None:
        """Close the file that keeps them."""


@dataclass(frozen=True, slots=True)
class ViewLevel:
    """A level of the file, or an area mean of it.

    Attributes
    ----------
    level : int
        Level of the file.
    factor : int
        Its pixels per pixel of this one, a power of two; 1: the level itself.
    """

    level: int
    factor: int


def view_plan(shapes: Sequence[tuple[int, int]]) -> tuple[ViewLevel, ...]:
    """Choose levels that step by two, down to one that a viewer can hold.

    Parameters
    ----------
    shapes : sequence of tuple of int
        Rows and columns of the levels of the file, finest first.
    """
    plan: list[ViewLevel] = []
    for level, shape in enumerate(shapes):
        plan.append(ViewLevel(level, 1))
        coarser = shapes[level + 1] if level + 1 < len(shapes) else None
        factor = 2
        # A step of 2 in the file may be 2.01 by its shapes: only a step of 3 leaves a gap.
        while _wants(shape, factor, coarser):
            plan.append(ViewLevel(level, factor))
            factor *= 2
        if max(shape) <= COARSEST:
            break
    return tuple(plan)


def _wants(shape: tuple[int, int], factor: int, coarser: tuple[int, int] | None) -> bool:
    if coarser is None:
        return max(shape) * 2 / factor > COARSEST
    return max(shape) / max(coarser) >= 1.5 * factor


#: Most pixels of what counts as a view, and the coarsest mean whose tiles are read ahead: a cache
#: that overflows gives nothing back.
_VIEW, _CHEAP = 4096 * 4096, 2

#: Decoding leaves Python alone for most of its time; more threads than this wait for each other.
_MOST_THREADS = 4


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS), "view")


class LevelArray:
    """A level as an array (y, x, c): reads what is asked for, and no more, by several threads.

    A viewer, and what wants to compute with a level, takes it through `lazy.lazy_array`.

    Parameters
    ----------
    slide : Slide
    view : ViewLevel
    kept : KeptLevels, optional
        Means of level 0 that need not be made.
    colors : "file" or "srgb"
        What its pixels hold.
    """

    ndim = 3

    def __init__(
        self,
        slide: _Source,
        view: ViewLevel,
        kept: KeptLevels | None = None,
        colors: Colors = "file",
    ) -> None:
        self._slide, self._view, self._colors = slide, view, colors
        self._kept = kept if view.level == 0 and view.factor > 1 else None
        self._grid: LevelGrid = slide.reader.facts.grids[view.level]
        rows, columns = self._grid.shape
        self._source = (rows, columns)
        f = view.factor
        self._ahead = ReadAhead()
        self._finer: LevelArray | None = None
        self.shape: tuple[int, int, int] = (-(-rows // f), -(-columns // f), slide.n_channels)
        self.dtype = slide.dtype

    @property
    def chunks(self) -> tuple[int, int, int]:
        """Sides of what is read together: whole tiles, so that each is decoded once."""
        rows, columns = self._grid.tile
        return _chunk(rows), _chunk(columns), self.shape[2]

    @property
    def size(self) -> int:
        """How many values it has."""
        return int(np.prod(self.shape))

    @property
    def name(self) -> str:
        """A key that is the same for the same pixels."""
        colors = "" if self._colors == "file" else f"-{self._colors}"
        return f"slide-{self._slide.fingerprint}-{self._view.level}-{self._view.factor}{colors}"

    def __getitem__(self, key: Any) -> Pixels:
        key = key if isinstance(key, tuple) else (key,)
        key = (*key, *(slice(None),) * (3 - len(key)))
        rows, columns = (k if isinstance(k, slice) else slice(k, k + 1) for k in key[:2])
        y0, y1, _ = rows.indices(self.shape[0])
        x0, x1, _ = columns.indices(self.shape[1])
        block = self._read(y0, x0, max(y1 - y0, 0), max(x1 - x0, 0))
        if self._ahead.on:
            self._ahead.then(self._likely((y0, y1, x0, x1)))
        inner = tuple(slice(None, None, k.step) if isinstance(k, slice) else 0 for k in key[:2])
        return block[(*inner, key[2])]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Pixels:
        """All of it, in memory; in whole rows, since strips would be decoded for each chunk."""
        whole = self._part(0, 0, *self.shape[:2])
        return self._slide.in_colors(whole, self._colors).astype(dtype or self.dtype, copy=False)

    def share(self, ahead: ReadAhead, finer: LevelArray | None) -> None:
        """Share with the slide's other levels what reads ahead, once that is on."""
        self._ahead, self._finer = ahead, finer

    def _likely(self, box: Rectangle) -> list[Callable[[], object]]:
        """Reading a chunk each of what a viewer is likely to ask for after a view."""
        if not 0 < (box[1] - box[0]) * (box[3] - box[2]) <= _VIEW:
            return []
        boxes = [(self, one) for one in around(box, self.chunks[:2], self.shape[:2])]
        if (finer := self._finer) is not None:
            scale = finer.shape[0] / self.shape[0]
            boxes += [(finer, one) for one in middle(box, finer.chunks[:2], scale)]
        return [
            partial(level._part, top, left, bottom - top, right - left)
            for level, (top, bottom, left, right) in boxes
            if level._view.factor <= _CHEAP and level._kept is None
        ]

    def _read(self, y: int, x: int, height: int, width: int) -> Pixels:
        """Pixels of a rectangle inside the level, chunk by chunk."""
        rows, columns = (
            [start, *range(start - start % side + side, start + size, side), start + size]
            for start, size, side in zip((y, x), (height, width), self.chunks, strict=False)
        )
        out = np.empty((height, width, self.shape[2]), self.dtype)

        def fill(box: tuple[int, int, int, int]) -> None:
            top, bottom, left, right = box
            part = self._part(top, left, bottom - top, right - left)
            part = self._slide.in_colors(part, self._colors)
            out[top - y : bottom - y, left - x : right - x] = part

        boxes = [(*a, *b) for a in pairwise(rows) for b in pairwise(columns)]
        if len(boxes) == 1:
            return self._slide.in_colors(self._part(y, x, height, width), self._colors)
        for _ in _threads().map(fill, boxes):
            pass
        return out

    def _part(self, y: int, x: int, height: int, width: int) -> Pixels:
        f = self._view.factor
        if self._kept is not None:
            with contextlib.suppress(
                SlideReadError
            ):  # a damaged cache; the slide still has the pixels
                return self._kept.read(f.bit_length() - 2, (y, x), (height, width))
        out = np.empty((height, width, self.shape[2]), self.dtype)
        for rows, columns in blocks((height, width), max(1, BLOCK_PIXELS // f**2)):
            top, left = (y + rows.start) * f, (x + columns.start) * f
            # Cut at the edge, so that the last pixels average what is there and no background.
            bottom = min((y + rows.stop) * f, self._source[0])
            right = min((x + columns.stop) * f, self._source[1])
            size = bottom - top, right - left
            if not self._grid.holds((top, left), size):
                out[rows, columns] = self._slide.background
                continue
            source, unread = self._slide.read_around(
                self._view.level, (top, left), size, keep=self._ahead.on
            )
            block = area_mean(source, f)
            hatch(block, scaled(unread, 1 / f, 1 / f), (y + rows.start, x + columns.start))
            out[rows, columns] = block
        return out


def _chunk(tile: int) -> int:
    """Side of a chunk of tiles of that side; strips, and tiles larger than 1024 px, are cut."""
    return tile * max(1, round(CHUNK / tile)) if tile <= 4 * CHUNK else 2 * CHUNK
