"""Levels as a tiled pyramid TIFF: a page per level, the reduced ones marked as such.

This generic layout is what OpenSlide, QuPath and libtiff read without a vendor's conventions.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile

from napari_hagmil.slide.interface import Pixels
from napari_hagmil.slide.pyramids.bands import Bands, ReportShare, write_levels
from napari_hagmil.slide.slide import Slide


@dataclass(frozen=True, slots=True)
class TiffStyle:
    """How the tiles of a TIFF are stored.

    Attributes
    ----------
    compression : str
        "jpeg" (lossy), "deflate" or "zstd".
    quality : int
        Of JPEG, 1 to 100.
    tile : int
        Side of a tile, px.
    """

    compression: str = "jpeg"
    quality: int = 90
    tile: int = 256


def write_tiff(
    path: Path,
    slide: Slide,
    factors: tuple[int, ...],
    style: TiffStyle,
    on_progress: ReportShare | None = None,
) -> None:
    """Write the area means of a slide's level 0 by each factor.

    JPEG is for 8-bit RGB and grey; anything else is stored by zstd.
    """
    lossy = style.compression == "jpeg" and slide.dtype == np.uint8 and slide.n_channels in (1, 3)
    name = "zstd" if style.compression == "jpeg" and not lossy else style.compression
    encode = _encoder(style.quality) if lossy else None
    with tifffile.TiffWriter(path, bigtiff=True) as tiff, ThreadPoolExecutor(2, "encode") as pool:

        def write_level(index: int, bands: Bands) -> None:
            tiles: Iterator[Any] = (t for band in bands for t in _tiles(band, style.tile))
            if encode is not None:
                tiles = _ahead(pool, encode, tiles)
            tiff.write(tiles, **_page(slide, factors[index], style.tile, name))

        write_levels(slide, factors, write_level, rows=style.tile, on_progress=on_progress)


def _page(slide: Slide, factor: int, tile: int, compression: str) -> dict[str, Any]:
    """Options of a level's page."""
    shape = tuple(-(-side // factor) for side in slide.shape)
    n = slide.n_channels
    options: dict[str, Any] = {
        "shape": shape if n == 1 else (*shape, n),
        "dtype": slide.dtype,
        "tile": (tile, tile),
        "compression": compression,
        "photometric": "rgb" if slide.is_rgb else "minisblack",
        "subfiletype": int(factor > 1),
        "software": False,
        "metadata": None,
        "maxworkers": 2,
    }
    if n > 1:
        options["planarconfig"] = "contig"
    if compression == "jpeg" and n == 3:
        # The tiles are encoded already, and hold YCbCr.
        options |= {"photometric": "ycbcr", "subsampling": (1, 1)}
    elif compression != "jpeg" and slide.dtype != np.float32:
        options["predictor"] = True
    if slide.mpp is not None:
        per_cm = 1e4 / (slide.mpp * factor)
        options |= {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
    return options


def _tiles(band: Pixels, side: int) -> Iterator[Any]:
    """Tiles of one row of tiles; those at the edge are filled up with their last pixels."""
    missing = side - band.shape[0], -band.shape[1] % side
    if any(missing):
        band = np.pad(band, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
    if band.shape[2] == 1:
        band = band[..., 0]
    for x in range(0, band.shape[1], side):
        yield np.ascontiguousarray(band[:, x : x + side])


def _encoder(quality: int) -> Any:
    def encode(tile: Pixels) -> bytes:
        if tile.ndim == 2:
            return bytes(imagecodecs.jpeg8_encode(tile, level=quality))
        return bytes(
            imagecodecs.jpeg8_encode(
                tile,
                level=quality,
                colorspace="RGB",
                outcolorspace="YCBCR",
                subsampling="444",
            )
        )

    return encode


def _ahead(pool: ThreadPoolExecutor, encode: Any, tiles: Iterator[Any]) -> Iterator[bytes]:
    """Encode in threads, in order, a few tiles ahead of the writer."""
    waiting = []
    for tile in tiles:
        waiting.append(pool.submit(encode, tile))
        if len(waiting) > 8:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()
