"""Find the pages of a TIFF that are the slide's levels, and the tiles of these pages.

The only module that knows the shapes of tifffile's objects, over both of its generations
(`TiffFile.series` is a property before 2026.5 and a method after).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from napari_hagmil.errors import SlideFormatError
from napari_hagmil.slide.formats.limits import check_level_size
from napari_hagmil.slide.formats.tiff.guard import check_tile_table, held_tiles
from napari_hagmil.slide.formats.tiff.pictures import TiffPicture, scan_of, tiff_pictures
from napari_hagmil.slide.formats.tiff.rows import PART, row_starts
from napari_hagmil.slide.formats.tiff.stated import StatedPicture
from napari_hagmil.slide.formats.transparency import Alpha
from napari_hagmil.slide.interface import LevelGrid

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
_KNOWN = {22610: "JPEG XR", 34934: "JPEG XR", 34887: "LERC", 50002: "JPEG XL", 34933: "PNG"}
_GREY, _RGB, _YCBCR = (0, 1), 2, 6
_SUBSAMPLING = 530
#: Compressions that give back the numbers that were stored, of whatever colours.
_LOSSLESS = frozenset({1, 5, 8, 32773, 32946, 34925, 50000})
_PLANES = {"Z": "focal planes", "T": "time points"}


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
    start : int or None
        Byte at which plain rows begin, which are read in parts (`rows`); None: tiles and
        strips stand in the page's table.
    """

    page: Any
    first: int
    n_channels: int
    start: int | None = None


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
        Without an opacity.
    dtype : numpy.dtype
        Of the pixels.
    associated : tuple of str
        Names of the other pictures.
    unseen : tuple of str
        Parts of the slide that are not shown: "2 more focal planes".
    stated : StatedPicture or None
        What XML says of the slide.
    alpha : str
        What the fourth sample of an RGB picture is; empty where there is none.
    stored : str
        What the numbers are where no decoder makes RGB or grey of them: "ycbcr", "white is 0".
    """

    levels: tuple[TiffLevel, ...]
    is_rgb: bool
    n_channels: int
    dtype: np.dtype[Any]
    associated: tuple[str, ...]
    unseen: tuple[str, ...]
    stated: StatedPicture | None
    alpha: Alpha | Literal[""]
    stored: Literal["", "ycbcr", "white is 0"] = ""


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
            name, "holds no picture and may be cut short", remedy="copy or export it again"
        )
    pictures = tiff_pictures(tiff, all_series)
    scan = scan_of(pictures)
    main = scan.series
    found = _level_series(main, all_series)
    levels = sorted(
        (_level(name, series) for series in found), key=lambda lv: lv.grid.shape, reverse=True
    )
    page = main.keyframe
    samples = sum(plane.n_channels for plane in levels[0].planes)
    is_rgb = (
        int(page.photometric) in (_RGB, _YCBCR) and samples >= 3 and _pages_per_level(main) == 1
    )
    others = [p for p in pictures if all(p.series is not f for f in (*found, main))]
    return TiffLayout(
        tuple(_shrinking(levels)),
        is_rgb,
        3 if is_rgb else samples,
        np.dtype(main.dtype).newbyteorder("="),
        tuple(p.label for p in others),
        tuple(_unseen(main, others)),
        scan.stated,
        _alpha(page) if is_rgb and samples == 4 else "",
        _stored(page),
    )


def _alpha(page: Any) -> Alpha:
    """TIFF's ExtraSamples: 1 is associated, 2 unassociated alpha, 0 not said."""
    said = int((page.extrasamples or (0,))[0])
    return "multiplied" if said == 1 else "straight" if said == 2 else "unsure"


def _unseen(main: Any, others: Sequence[TiffPicture]) -> Iterator[str]:
    """Name planes beside the first, and other scans on the glass."""
    for axis, size in zip(main.axes, main.shape, strict=True):
        if axis not in "CYXS" and size > 1:
            yield f"{size - 1} more {_PLANES.get(axis, 'pictures of the same size')}"
    for other in others:
        if not other.kind and (other.stated or len(other.series.levels) > 1):
            yield "another scan of {}×{} pixels".format(*other.shape)


def _series(tiff: Any) -> list[Any]:
    series = tiff.series
    return list(series() if callable(series) else series)


def _level_series(main: Any, all_series: Sequence[Any]) -> list[Any]:
    """Find the levels: those tifffile recognised, or tiled pages of the same shape, smaller."""
    # Of an SVS that was exported without its thumbnail, tifffile takes a level for it; of generic
    # pyramids it knows only those that step evenly. Another image of an OME-TIFF is no level.
    known = main.kind == "ome" and len(main.levels) > 1
    if known or main.kind not in ("svs", "generic", "uniform", "shaped", "ome"):
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
    pages = _present(name, _first_pages(series))
    n_samples = int(key.samplesperpixel)
    per_page, per_tile = (n_samples, 1) if int(key.planarconfig or 1) == 2 else (1, n_samples)
    shape = int(key.imagelength), int(key.imagewidth)
    pixel_bytes = per_tile * key.dtype.itemsize
    # The planes of a tile are decoded together.
    all_bytes = pixel_bytes * len(pages) * per_page
    starts = row_starts(pages, per_page, math.prod(shape) * pixel_bytes)
    if starts is not None:
        check_level_size(name, shape, PART, all_bytes)
        return _plain_rows(pages, per_tile, starts)
    if key.is_tiled:
        tile = int(key.tilelength), int(key.tilewidth)
    else:
        tile = min(int(key.rowsperstrip), shape[0]), shape[1]
    check_level_size(name, shape, tile, all_bytes)
    grid = LevelGrid(shape, tile, compression_name(key))
    n_tiles = math.prod(grid.n_tiles)
    listed = min(min(len(p.dataoffsets), len(p.databytecounts)) for p in pages)
    check_tile_table(name, listed, n_tiles * per_page)
    key.decode  # noqa: B018  # compiled once, here: its first use is not thread-safe
    planes = tuple(
        Plane(page, sample * n_tiles, per_tile) for page in pages for sample in range(per_page)
    )
    ranges = ((p.page, slice(p.first, p.first + n_tiles)) for p in planes)
    sparse, held = held_tiles(((p.dataoffsets[at], p.databytecounts[at]) for p, at in ranges), grid)
    return TiffLevel(replace(grid, sparse=sparse, held=held), planes)


def _present(name: str, pages: list[Any]) -> list[Any]:
    if any(page is None for page in pages):
        raise SlideFormatError(
            name, "lacks pages that it announces", remedy="copy or export it again"
        )
    return pages


def _plain_rows(pages: Sequence[Any], samples: int, starts: Sequence[int]) -> TiffLevel:
    """Level whose rows stand one after the other, which is read in parts of any size."""
    key, per_page = pages[0].keyframe, len(starts) // len(pages)
    planes = (Plane(pages[i // per_page], 0, samples, start) for i, start in enumerate(starts))
    shape = int(key.imagelength), int(key.imagewidth)
    part = min(PART[0], shape[0]), min(PART[1], shape[1])
    return TiffLevel(LevelGrid(shape, part, compression_name(key)), tuple(planes))


def _stored(page: Any) -> Literal["", "ycbcr", "white is 0"]:
    """What the pixels are still to be turned from; decoders of JPEG, JPEG 2000, WebP give RGB."""
    photometric = int(page.photometric)
    if photometric == _YCBCR and int(page.compression) in _LOSSLESS:
        return "ycbcr"
    return "white is 0" if photometric == _GREY[0] and page.dtype.kind == "u" else ""


def _check_decodable(name: str, page: Any) -> None:
    compression, photometric = int(page.compression), int(page.photometric)
    if compression not in _NAMES:
        method = _KNOWN.get(compression, f"method {compression}")
        raise SlideFormatError(
            name,
            f"is compressed with {method}, which is not decoded here",
            remedy="convert it to JPEG or Deflate",
        )
    if photometric not in (*_GREY, _RGB, _YCBCR):
        raise SlideFormatError(
            name,
            f"stores colours as TIFF photometric {photometric}, not RGB, YCbCr or grey",
            remedy="convert it to RGB",
        )
    # Where the tag is missing, every second sample is meant.
    steps = page.tags.valueof(_SUBSAMPLING, (2, 2))
    if photometric == _YCBCR and compression in _LOSSLESS and tuple(steps) != (1, 1):
        raise SlideFormatError(
            name,
            "stores YCbCr with subsampled colours outside of a JPEG, which is not decoded here",
            remedy="convert it to RGB or JPEG",
        )
    if page.dtype is None or page.dtype not in (np.uint8, np.uint16, np.float32):
        raise SlideFormatError(
            name,
            f"has pixels of {page.bitspersample} bits ({page.dtype})",
            remedy="convert it to 8 or 16 bits unsigned",
        )


def compression_name(page: Any) -> str:
    """Name a page's compression as people do."""
    return _NAMES[int(page.compression)]
