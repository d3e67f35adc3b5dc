"""Which pages of a TIFF are the slide's levels, and how their tiles are found.

The only module that knows the shapes of tifffile's objects, over both of its generations
(`TiffFile.series` is a property before 2026.5 and a method after).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_hagmil.errors import SlideFormatError
from napari_hagmil.slide.protocol import LevelGrid
from napari_hagmil.slide.tiff_guard import check_segments

_JPEG = frozenset({6, 7, 34892, 33007})

#: Compressions whose decoders stay within the tile's size, or whose tiles state theirs and are
#: looked into first. A JPEG XL of 28 KB took 73 s and 400 MB for a tile of 64².
_NAMES = {
    1: "none",
    5: "LZW",
    8: "Deflate",
    32946: "Deflate",
    32773: "PackBits",
    34925: "LZMA",
    50000: "Zstandard",
    34927: "WebP",
    50001: "WebP",
    **dict.fromkeys(_JPEG, "JPEG"),
    **dict.fromkeys((33003, 33004, 33005, 34712), "JPEG 2000"),
}
_KNOWN = {22610: "JPEG XR", 34887: "LERC", 50002: "JPEG XL", 34933: "PNG"}
_GREY, _RGB, _YCBCR = (0, 1), 2, 6


@dataclass(frozen=True, slots=True)
class Plane:
    """One run of tiles: a page, or one sample of a page that stores them apart.

    Attributes
    ----------
    page : tifffile.TiffPage or TiffFrame
        Holds offsets and byte counts.
    first : int
        Index of its first tile in the page's table.
    n_channels : int
        That a decoded tile has.
    """

    page: Any
    first: int
    n_channels: int


@dataclass(frozen=True, slots=True)
class TiffLevel:
    """A level of a TIFF: its grid, and the planes whose tiles lie on top of each other."""

    grid: LevelGrid
    planes: tuple[Plane, ...]


@dataclass(frozen=True, slots=True)
class TiffLayout:
    """The levels of a TIFF, and its other pictures.

    Attributes
    ----------
    levels : tuple of TiffLevel
        Finest first.
    is_rgb : bool
        Red, green and blue in one page.
    n_channels : int
        After an alpha channel was dropped.
    dtype : numpy.dtype
        Of the pixels.
    associated : tuple of str
        Names of the other pictures.
    """

    levels: tuple[TiffLevel, ...]
    is_rgb: bool
    n_channels: int
    dtype: np.dtype[Any]
    associated: tuple[str, ...]


def tiff_layout(name: str, tiff: Any) -> TiffLayout:
    """Find the levels.

    Parameters
    ----------
    name : str
        The slide, for messages.
    tiff : tifffile.TiffFile
        The open file.

    Raises
    ------
    SlideFormatError
        When there is no picture, or one that cannot be a slide.
    """
    all_series = _series(tiff)
    if not all_series:
        raise SlideFormatError(
            f"{name} holds no picture; it may be cut short, copy or export it again"
        )
    main = _main_series(all_series)
    found = _level_series(main, all_series)
    levels = sorted(
        (_level(name, series) for series in found), key=lambda lv: lv.grid.shape, reverse=True
    )
    page = main.keyframe
    samples = sum(plane.n_channels for plane in levels[0].planes)
    is_rgb = (
        int(page.photometric) in (_RGB, _YCBCR) and samples >= 3 and _pages_per_level(main) == 1
    )
    others = [s for s in all_series if all(s is not f for f in found) and s is not main]
    return TiffLayout(
        tuple(_shrinking(levels)),
        is_rgb,
        3 if is_rgb else samples,
        np.dtype(main.dtype).newbyteorder("="),
        tuple((s.name or "other").lower() for s in others),
    )


def _series(tiff: Any) -> list[Any]:
    series = tiff.series
    return list(series() if callable(series) else series)


def _main_series(all_series: Sequence[Any]) -> Any:
    """Vendor files name it; otherwise the largest picture."""
    for series in all_series:
        if series.name in ("Baseline", "Image0") or series.kind in (
            "svs",
            "ndpi",
            "qpi",
            "philips",
        ):
            return series
    return max(all_series, key=lambda s: _yx(s)[0] * _yx(s)[1])


def _level_series(main: Any, all_series: Sequence[Any]) -> list[Any]:
    """Find the levels: those tifffile recognised, or tiled pages of the same shape, smaller."""
    # Of an SVS that was exported without its thumbnail, tifffile takes a level for it.
    if main.kind != "svs" and (
        len(main.levels) > 1 or main.kind not in ("generic", "uniform", "shaped", "ome")
    ):
        return list(main.levels)
    height, width = _yx(main)
    key = main.keyframe

    def is_level(series: Any) -> bool:
        page, (rows, columns) = series.keyframe, _yx(series)
        same = page.is_tiled and page.dtype == key.dtype and series.axes == main.axes
        same = same and all(page is not level.keyframe for level in main.levels)
        ratio = height / max(rows, 1)
        return bool(same and ratio >= 1.5 and abs(width / ratio - columns) <= 1 + columns / 100)

    return [*main.levels, *(s for s in all_series if s is not main and is_level(s))]


def _shrinking(levels: Sequence[TiffLevel]) -> list[TiffLevel]:
    """Drop levels that are no smaller than the one before."""
    kept: list[TiffLevel] = []
    for level in levels:
        if not kept or max(level.grid.shape) < 0.9 * max(kept[-1].grid.shape):
            kept.append(level)
    return kept


def _yx(series: Any) -> tuple[int, int]:
    page = series.keyframe
    return int(page.imagelength), int(page.imagewidth)


def _pages_per_level(series: Any) -> int:
    return len(_first_pages(series))


def _first_pages(series: Any) -> list[Any]:
    """Pages of all channels at the first depth of focus and time point."""
    pages = list(series.pages)
    leading = [
        (axis, size)
        for axis, size in zip(series.axes, series.shape, strict=True)
        if axis not in "YXS"
    ]
    sizes = [size for _, size in leading]
    if math.prod(sizes) != len(pages):
        return pages[:1]
    index = np.arange(len(pages)).reshape(sizes)
    chosen = index[tuple(slice(None) if axis == "C" else 0 for axis, _ in leading)]
    return [pages[i] for i in np.atleast_1d(chosen).ravel()]


def _level(name: str, series: Any) -> TiffLevel:
    key = series.keyframe
    _check_decodable(name, key)
    shape = int(key.imagelength), int(key.imagewidth)
    if key.is_tiled:
        tile = int(key.tilelength), int(key.tilewidth)
    else:
        tile = min(int(key.rowsperstrip), shape[0]), shape[1]
    apart = int(key.planarconfig or 1) == 2
    n_samples = int(key.samplesperpixel)
    per_tile = 1 if apart else n_samples
    pages = _first_pages(series)
    if any(page is None for page in pages):
        raise SlideFormatError(f"{name} lacks pages that it announces; copy or export it again")
    n_tiles = (
        math.prod(-(-s // t) for s, t in zip(shape, tile, strict=True)) if min(tile) > 0 else 0
    )
    needed = n_tiles * (n_samples if apart else 1)
    listed = min(min(len(p.dataoffsets), len(p.databytecounts)) for p in pages)
    check_segments(name, shape, tile, per_tile * key.dtype.itemsize, (listed, needed))
    key.decode  # noqa: B018  # compiled once, here: its first use is not thread-safe
    planes = tuple(
        Plane(page, sample * n_tiles, per_tile)
        for page in pages
        for sample in range(n_samples if apart else 1)
    )
    sparse = sum(1 for p in pages for n in p.databytecounts[:needed] if n == 0)
    return TiffLevel(LevelGrid(shape, tile, compression_name(key), sparse), planes)


def _check_decodable(name: str, page: Any) -> None:
    compression, photometric = int(page.compression), int(page.photometric)
    if compression not in _NAMES:
        method = _KNOWN.get(compression, f"method {compression}")
        raise SlideFormatError(
            f"{name} is compressed with {method}, which is not decoded here; "
            "convert it to JPEG or Deflate"
        )
    if photometric not in (*_GREY, _RGB, _YCBCR):
        raise SlideFormatError(
            f"{name} stores colours as TIFF photometric {photometric}, not RGB, YCbCr or grey; "
            "convert it to RGB"
        )
    if page.dtype is None or page.dtype not in (np.uint8, np.uint16, np.float32):
        raise SlideFormatError(
            f"{name} has pixels of {page.bitspersample} bits ({page.dtype}); "
            "convert it to 8 or 16 bits unsigned"
        )


def compression_name(page: Any) -> str:
    """Name a page's compression as people do."""
    return _NAMES[int(page.compression)]
