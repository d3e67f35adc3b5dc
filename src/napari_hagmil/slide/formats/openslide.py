"""Formats that only OpenSlide reads here: MIRAX, VMS, Ventana BIF, CZI, Sakura.

It is the last resort, because it does not report everything it cannot decode: a truncated scan
comes out half grey, an absent tile black.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from pathlib import Path
from typing import Any

import numpy as np

from napari_hagmil.errors import MissingExtraError, SlideFormatError
from napari_hagmil.slide.color_profile import bounded
from napari_hagmil.slide.formats.damage import damaged_tile, reason_of
from napari_hagmil.slide.formats.file_bytes import fingerprint
from napari_hagmil.slide.formats.transparency import on_white
from napari_hagmil.slide.interface import (
    Address,
    LevelGrid,
    Meter,
    Pixels,
    PixelSize,
    SlideFacts,
)

#: Tile where the file names none, and the limits of what is taken from the file, px.
_TILE, _TILE_RANGE = 512, (64, 2048)


class OpenSlideReader:
    """A slide read through the OpenSlide library.

    Parameters
    ----------
    path : Path
        The file that OpenSlide wants: the .mrxs, the .vms …
    why : str
        Why OpenSlide reads it, for `info`.
    """

    backend = "openslide"

    def __init__(self, path: Path, why: str) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._library = _openslide(path.name, why)
        self._slide: Any = None
        try:
            self._slide = self._library.OpenSlide(path)
            self.facts = _facts(self._slide, why)
        except Exception as error:  # OpenSlide's errors, and numbers that are none
            self.close()
            raise SlideFormatError(
                path.name,
                f"is not a slide that OpenSlide can read ({reason_of(error)})",
                remedy="give it with all of its companion files, or export it as pyramidal TIFF",
            ) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            slide, self._slide = self._slide, None
        if slide is not None:
            slide.close()

    def fingerprint(self) -> str:
        """Hash of size, ends and samples of the files, and OpenSlide's own quick hash."""
        quick = self._slide.properties.get("openslide.quickhash-1", "")
        files = "".join(fingerprint(file) for file in (self.path, *_companions(self.path)))
        return hashlib.sha256(f"{quick}{files}".encode()).hexdigest()[:32]

    def read_tile(self, address: Address, meter: Meter) -> Pixels | None:
        """Decode one tile; None where the slide holds no pixel of it."""
        level, row, column = address
        grid = self.facts.grids[level]
        corner = row * grid.tile[0], column * grid.tile[1]
        shape = tuple(min(t, s - c) for t, s, c in zip(grid.tile, grid.shape, corner, strict=True))
        try:
            rgba = self._read(level, corner, (shape[0], shape[1]))
        except Exception as error:  # OpenSlide's errors, and those of a closed handle
            raise damaged_tile(self.path.name, address, error) from error
        alpha = rgba[..., 3:]
        if not alpha.any():
            return None
        # OpenSlide returns decoded pixels and does not say how many bytes it read.
        meter.add(0)
        return on_white(rgba)

    def _read(self, level: int, corner: tuple[int, int], shape: tuple[int, int]) -> Pixels:
        """Read (h, w, 4) RGBA, twice when the first error may have been another thread's.

        An error leaves an OpenSlide handle dead for every thread that shares it. So the shared
        one is replaced, and the tile tried once more with a handle of its own.
        """
        shared = self._slide
        try:
            return self._read_with(shared, level, corner, shape)
        except self._library.OpenSlideError:
            with self._lock:
                # Other threads may still read with it: it closes with its last reference.
                if self._slide is shared:
                    self._slide = self._library.OpenSlide(self.path)
            with self._library.OpenSlide(self.path) as own:
                return self._read_with(own, level, corner, shape)

    def _read_with(
        self, slide: Any, level: int, corner: tuple[int, int], shape: tuple[int, int]
    ) -> Pixels:
        if slide is None:
            raise ValueError("the slide is closed")
        downsample = slide.level_downsamples[level]
        y, x = (o + round(c * downsample) for o, c in zip(self.facts.origin, corner, strict=True))
        return np.asarray(slide.read_region((x, y), level, shape[::-1]))


def _companions(path: Path) -> list[Path]:
    """Files of the folder where MIRAX keeps what its .mrxs only stands for."""
    folder = path.with_suffix("")
    if path.suffix.lower() != ".mrxs" or not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if file.is_file())


def knows(path: Path) -> str | None:
    """Name the vendor when OpenSlide is installed and takes the file for a slide."""
    try:
        import openslide
    except ImportError:
        return None
    found = openslide.OpenSlide.detect_format(path)
    return str(found) if found else None


def _openslide(name: str, why: str) -> Any:
    try:
        import openslide
    except ImportError as error:
        raise MissingExtraError(
            name,
            f"needs OpenSlide ({why}), which is not installed",
            remedy="run: pip install 'napari-hagmil[openslide]'",
        ) from error
    return openslide


def _facts(slide: Any, why: str) -> SlideFacts:
    """Facts of the scanned area."""
    properties = dict(slide.properties)
    origin, scanned = _bounds(properties, slide.dimensions[::-1])
    grids = []
    for level, (width, height) in enumerate(slide.level_dimensions):
        step = slide.level_downsamples[level]
        shape = (
            (height, width)
            if scanned == slide.dimensions[::-1]
            else (max(1, round(scanned[0] / step)), max(1, round(scanned[1] / step)))
        )
        tile = tuple(
            _tile_side(properties.get(f"openslide.level[{level}].tile-{side}"), limit)
            for side, limit in zip(("height", "width"), shape, strict=True)
        )
        grids.append(LevelGrid(shape, (tile[0], tile[1]), "by OpenSlide"))
    vendor = properties.get("openslide.vendor", "unknown")
    return SlideFacts(
        grids=tuple(grids),
        pixel_sizes=_pixel_sizes(properties),
        objective=_number(properties.get("openslide.objective-power")),
        vendor=vendor,
        associated=tuple(sorted(slide.associated_images)),
        why=why,
        origin=origin,
        color_profile=_color_profile(slide),
    )


def _color_profile(slide: Any) -> bytes:
    """The profile that OpenSlide finds; versions before 4.0 look for none."""
    with contextlib.suppress(Exception):  # a damaged profile must not cost the slide
        profile = slide.color_profile
        return b"" if profile is None else bounded(profile.tobytes())
    return b""


def _bounds(
    properties: dict[str, str], shape: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """First pixel and size of what was scanned: MIRAX lays it on a larger, empty canvas."""
    found = [properties.get(f"openslide.bounds-{side}") for side in ("y", "x", "height", "width")]
    if any(value is None for value in found):
        return (0, 0), shape
    y, x, height, width = (int(value or 0) for value in found)
    inside = y >= 0 and x >= 0 and height > 0 and width > 0
    if not inside or y + height > shape[0] or x + width > shape[1]:
        return (0, 0), shape
    return (y, x), (height, width)


def _tile_side(stated: str | None, limit: int) -> int:
    side = int(stated) if stated and stated.isdigit() else _TILE
    if not _TILE_RANGE[0] <= side <= _TILE_RANGE[1]:
        side = _TILE
    return max(1, min(side, limit))


def _pixel_sizes(properties: dict[str, str]) -> tuple[PixelSize, ...]:
    y, x = (_number(properties.get(f"openslide.mpp-{axis}")) for axis in "yx")
    return () if y is None or x is None else (PixelSize((y, x), "OpenSlide mpp"),)


def _number(text: str | None) -> float | None:
    try:
        return float((text or "").replace(",", "."))
    except ValueError:
        return None
