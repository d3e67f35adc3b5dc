"""An open slide: its levels, its pixel size, its pixels."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from napari_hagmil.errors import (
    MissingPixelSizeError,
    Problem,
    SlideChangedError,
    SlideReadError,
)
from napari_hagmil.slide.ahead import ReadAhead
from napari_hagmil.slide.color_profile import ColorProfile, Colors, usable_profile
from napari_hagmil.slide.gather import Gatherer, TileStatus
from napari_hagmil.slide.hatching import Box, hatch
from napari_hagmil.slide.interface import PHANTOM, Address, Pixels, SlideReader, SlideSpec
from napari_hagmil.slide.pixel_size import choose_pixel_size
from napari_hagmil.slide.view import KeptLevels, LevelArray, ViewLevel, view_plan

#: A level may be this much coarser than asked for and still count as fine enough:
#: files round the sizes of their levels.
DOWNSAMPLE_TOLERANCE = 1e-3

#: From this step on, a mean of level 0 costs a viewer too many tiles to be made on the fly.
_FAR = 8

PyramidCache = Callable[["Slide", Sequence[int], Callable[[float], None] | None], KeptLevels | None]
"""Called with a slide, the factors of its means of level 0, and `on_progress`; returns the means,
kept from before or made now, or None where a viewer should make them on the fly."""


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of the file.

    Attributes
    ----------
    index : int
        0 is the finest.
    downsample : tuple of float
        Level-0 pixels per pixel, (y, x), exact ratios of the shapes.
    array : LevelArray
        Reads its pixels.
    """

    index: int
    downsample: tuple[float, float]
    array: LevelArray

    @property
    def data(self) -> Any:
        """A dask array (y, x, c). For looking; the encoder reads through `read_patches`."""
        from napari_hagmil.slide.lazy import lazy_array  # brings dask

        return lazy_array(self.array)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.array.shape[:2]


class Slide:
    """A slide that is open for reading, from any number of threads.

    Open one with `open_slide`; use it as a context manager, or call `close`.

    Parameters
    ----------
    spec : SlideSpec
        What it is opened from.
    reader : SlideReader
        The backend.
    pyramid_cache : callable, optional
        Keeps means of level 0 that take long to make (`pyramids.cache.open_cached`). It is handed
        in because it reads and writes slides itself. None: nothing is kept.

    Attributes
    ----------
    name : str
        The file's name. It can hold patient data: never export it.
    path : Path
        The file or folder.
    shape : tuple of int
        Rows and columns of level 0.
    levels : tuple of Level
        The levels of the file, finest first.
    mpp : float or None
        µm per level-0 pixel; None when the file states none that is plausible.
    mpp_source : str
        Where `mpp` comes from: "given", "Aperio MPP tag", "TIFF resolution",
        "objective power", "none" and the like.
    problems : tuple of Problem
        What the user should know before trusting the slide; `Problem.sentence` words each
        for the window or the command line.
    warnings : tuple of str
        The same as sentences for a caller in Python.
    colors : "file" or "srgb"
        What a viewer is shown: `view_levels` and `shown`. Everything else, what an encoder sees
        too, is in the numbers of the file.
    """

    def __init__(
        self, spec: SlideSpec, reader: SlideReader, pyramid_cache: PyramidCache | None = None
    ) -> None:
        self.spec = spec
        self.path: Path = spec.path
        self.name: str = spec.path.name
        self.reader = reader
        # A viewer's layers own their slide, and nobody closes a layer: the file goes with it.
        self._finalizer = weakref.finalize(self, reader.close)
        facts = reader.facts
        chosen = choose_pixel_size(self.name, facts, spec.mpp)
        self.mpp: float | None = chosen.mpp
        self.mpp_source: str = chosen.source
        self.problems: tuple[Problem, ...] = (*chosen.problems, *facts.problems)
        self._pixel_size = chosen
        self.shape: tuple[int, int] = facts.grids[0].shape
        self.fingerprint: str = reader.fingerprint()
        self._stamp = self._file_stamp()
        self._gather = Gatherer(reader, reader.facts.background)
        self._view_plan: tuple[ViewLevel, ...] = view_plan([g.shape for g in facts.grids])
        self.colors: Colors = "file"
        self._view: dict[Colors, list[Any]] = {}
        self._ahead = ReadAhead()
        self._pyramid_cache = pyramid_cache
        self._kept: KeptLevels | None = None
        self.levels: tuple[Level, ...] = tuple(
            Level(i, self._downsample(i), LevelArray(self, ViewLevel(i, 1)))
            for i in range(len(facts.grids))
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        size = f"{self.shape[0]}×{self.shape[1]} px"
        mpp = "no pixel size" if self.mpp is None else f"{self.mpp:.4g} µm/px"
        return f"<Slide {self.name}: {size}, {len(self.levels)} levels, {mpp}>"

    def close(self) -> None:
        """Close the file and drop the cached tiles."""
        self._ahead.stop()
        self._gather.cache.clear()
        self._finalizer()

    def has_changed(self) -> bool:
        """Whether the file was written to, cut or replaced since it was opened.

        Of a folder or an address only its own entry is compared.
        """
        return self._file_stamp() != self._stamp

    def require_unchanged(self) -> None:
        """Raise `SlideChangedError` when the file has changed since it was opened."""
        if self.has_changed():
            raise SlideChangedError(
                self.name,
                "was written to or replaced while it was read",
                remedy="read it again when the file is complete",
            )

    def _file_stamp(self) -> tuple[int, ...]:
        try:
            facts = self.path.stat()
        except OSError:
            return ()
        return facts.st_ino, facts.st_size, facts.st_mtime_ns

    @property
    def warnings(self) -> tuple[str, ...]:
        """The problems as sentences for a caller in Python."""
        return tuple(problem.sentence() for problem in self.problems)

    @property
    def n_channels(self) -> int:
        """Channels of every pixel."""
        return self.reader.facts.n_channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of every pixel."""
        return self.reader.facts.dtype

    @property
    def is_rgb(self) -> bool:
        """Whether the channels are red, green and blue."""
        return self.reader.facts.is_rgb

    @property
    def is_brightfield(self) -> bool:
        """Whether it is an 8-bit RGB picture of transmitted light, as encoders want it."""
        facts = self.reader.facts
        return facts.is_rgb and not facts.fluorescence and facts.dtype == np.uint8

    @property
    def background(self) -> int:
        """Value of empty glass: white in brightfield, black in fluorescence."""
        return self._gather.background

    @property
    def objective(self) -> float | None:
        """Magnification of the objective, as the file states it."""
        return self.reader.facts.objective

    @property
    def vendor(self) -> str:
        """Who wrote the file."""
        return self.reader.facts.vendor

    @property
    def is_phantom(self) -> bool:
        """Whether it is synthetic."""
        return self.vendor == PHANTOM

    @property
    def origin(self) -> tuple[int, int]:
        """Pixel (y, x) of OpenSlide's canvas on which level-0 pixel (0, 0) lies."""
        return self.reader.facts.origin

    @property
    def tile_shape(self) -> tuple[int, int]:
        """Rows and columns of a tile of level 0."""
        return self.reader.facts.grids[0].tile

    @property
    def associated(self) -> tuple[str, ...]:
        """Names of label, macro and thumbnail. Their pixels are never read here."""
        return self.reader.facts.associated

    @property
    def bytes_read(self) -> int:
        """Encoded bytes fetched so far."""
        return self._gather.meter.bytes_read

    @property
    def tiles_read(self) -> int:
        """Tiles decoded so far."""
        return self._gather.meter.tiles_read

    @cached_property
    def color_profile(self) -> ColorProfile | None:
        """What its numbers look like; None where the file does not say, or not of 8-bit RGB."""
        return usable_profile(self.reader.facts.color_profile) if self.is_brightfield else None

    def in_colors(self, pixels: Pixels, colors: Colors) -> Pixels:
        """Pixels of the file in some colours; as they are where there is no profile.

        Parameters
        ----------
        pixels : (h, w, c) array
        colors : "file" or "srgb"
        """
        profile = self.color_profile if colors == "srgb" else None
        return pixels if profile is None else profile.to_srgb(pixels)

    def shown(self, pixels: Pixels) -> Pixels:
        """Pixels of the file as a viewer is to see them."""
        return self.in_colors(pixels, self.colors)

    @property
    def unreadable(self) -> dict[Address, str]:
        """Damaged tiles met so far: (level, row, column) → what is wrong."""
        return dict(self._gather.unreadable)

    @property
    def downsamples(self) -> tuple[tuple[float, float], ...]:
        """Level-0 pixels per pixel (y, x) of every level."""
        return tuple(level.downsample for level in self.levels)

    @property
    def view_downsamples(self) -> tuple[tuple[float, float], ...]:
        """Exact level-0 pixels per pixel (y, x) of every level of `view_levels`."""
        return tuple(
            (y * v.factor, x * v.factor)
            for v in self._view_plan
            for y, x in [self._downsample(v.level)]
        )

    def require_mpp(self) -> float:
        """Return the pixel size in µm, or raise `MissingPixelSizeError` with why there is none."""
        if self.mpp is None:
            why = self._pixel_size.problems[0]
            raise MissingPixelSizeError(why.subject, why.rule, value=why.value, remedy=why.remedy)
        return self.mpp

    def level_for(self, downsample: float) -> int:
        """Index of the coarsest level that is at least as fine as `downsample`."""
        limit = downsample * (1 + DOWNSAMPLE_TOLERANCE)
        fine = [level.index for level in self.levels if max(level.downsample) <= limit]
        return fine[-1] if fine else 0

    def read(
        self,
        level: int,
        top_left: tuple[int, int],
        shape: tuple[int, int],
        *,
        mark_unreadable: bool = False,
    ) -> Pixels:
        """Pixels of a level of the file, outside of it background.

        Parameters
        ----------
        level : int
            0 is the finest.
        top_left, shape : tuple of int
            First row and column, and rows and columns, px of that level.
        mark_unreadable : bool
            Draw damaged tiles as hatching instead of raising.

        Returns
        -------
        (h, w, c) array
            A fresh array.

        Raises
        ------
        SlideReadError
            When a tile cannot be decoded.
        """
        if not mark_unreadable:
            return self._gather.read(level, top_left, shape)
        pixels, unread = self.read_around(level, top_left, shape)
        hatch(pixels, unread, top_left)
        return pixels

    def read_around(
        self,
        level: int,
        top_left: tuple[int, int],
        shape: tuple[int, int],
        *,
        keep: bool = False,
    ) -> tuple[Pixels, list[Box]]:
        """Read as `read` does, around what is damaged: pixels, and the boxes that are unread.

        `keep`: see `Gatherer.read`.
        """
        unread: list[Box] = []
        return self._gather.read(level, top_left, shape, unread=unread, keep=keep), unread

    def tile_status(self, address: Address) -> TileStatus:
        """What became of a tile (level, row, column): unseen, read, absent or unread."""
        return self._gather.status(address)

    def check_tile(self, address: Address) -> TileStatus:
        """Decode one tile, keep nothing of it, and say what became of it."""
        with contextlib.suppress(SlideReadError):
            self._gather.tile(address, keep=False)
        return self._gather.status(address)

    def read_views_ahead(self) -> None:
        """After each view of the levels for a viewer, read what is likely to be looked at next.

        What lies around the view, and what a zoom into its middle shows, goes into the cache of
        tiles once the viewer is idle.
        """
        self._ahead.on = True

    def view_levels(self, *, on_progress: Callable[[float], None] | None = None) -> Sequence[Any]:
        """Levels for a viewer, finest first, each at most twice as coarse as the one before.

        Levels that the file lacks are area means of the next finer one of the file. The
        last is an array in memory of at most 2048 px on its long side (a viewer reads it
        whole, on its main thread); the others read what is asked for, in chunks of whole tiles,
        as a `LevelArray` each. The first call reads the last level: make it in a worker. Damaged
        tiles are hatched.

        Colours are those of `colors`. The means of a large slide of one level are made once and
        kept on disk, in the numbers of the file;
        `on_progress` is called with the fraction done meanwhile, and an exception it
        raises stops the work.
        """
        colors = self.colors
        if colors not in self._view:
            if not self._view:
                self._kept = self._kept_levels(on_progress)
            arrays = [LevelArray(self, level, self._kept, colors) for level in self._view_plan]
            for finer, array in zip([None, *arrays], arrays, strict=False):
                array.share(self._ahead, finer)
            coarsest = self._view.get("file")
            last = np.asarray(arrays[-1]) if coarsest is None else coarsest[-1]
            whole = last if coarsest is None else self.in_colors(last, colors)
            self._view[colors] = [*arrays[:-1], whole]
        return list(self._view[colors])

    def _kept_levels(self, on_progress: Callable[[float], None] | None) -> KeptLevels | None:
        """Means of level 0 from the disk cache, where making them anew would take long."""
        factors = [v.factor for v in self._view_plan if v.level == 0 and v.factor > 1]
        if self._pyramid_cache is None or not factors or factors[-1] < _FAR:
            return None
        kept = self._pyramid_cache(self, factors, on_progress)
        if kept is not None:
            weakref.finalize(self, kept.close)
        return kept

    def _downsample(self, level: int) -> tuple[float, float]:
        shape = self.reader.facts.grids[level].shape
        return self.shape[0] / shape[0], self.shape[1] / shape[1]
