"""TIFF slides: Aperio SVS, Hamamatsu NDPI, Leica SCN, Philips, QPTIFF, OME-TIFF, generic ones.

tifffile reads the structure; tiles are fetched by position and decoded one by one, which
costs a quarter of what its zarr store does and shares no file cursor between threads.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile

from napari_hagmil.errors import HagmilError, Problem, SlideFormatError
from napari_hagmil.slide.formats.colours import with_colours
from napari_hagmil.slide.formats.damage import absent_tiles, damaged_tile, reason_of
from napari_hagmil.slide.formats.file_bytes import FileBytes, fingerprint
from napari_hagmil.slide.formats.segments import check_scan, check_segment, jpeg2000_is_plain
from napari_hagmil.slide.formats.tiff.guard import check_page_chain
from napari_hagmil.slide.formats.tiff.layout import Plane, TiffLayout, TiffLevel, tiff_layout
from napari_hagmil.slide.formats.tiff.rows import PlainRows, read_rows
from napari_hagmil.slide.formats.tiff.tags import (
    VendorFacts,
    tiff_channels,
    tiff_profile,
    vendor_facts,
)
from napari_hagmil.slide.formats.transparency import on_white
from napari_hagmil.slide.interface import Address, Channel, Meter, Pixels, SlideFacts

#: Aperio's JPEG 2000 of YCbCr: the codestream does not say so, only this TIFF compression does.
_APERIO_YCBCR = 33003

#: JPEGs are whole blocks: a tile of 250 px may hold 256.
_BLOCK = 16


class UnstitchedTiffError(SlideFormatError):
    """A TIFF whose tiles are no grid; its sentence says what it is, for another backend to read."""


class TiffReader:
    """A TIFF slide.

    Parameters
    ----------
    path : Path
        The file.

    Attributes
    ----------
    orientation : int
        How the scan is stored (tag 274); 1: upright.

    Raises
    ------
    SlideFormatError
        When it is no TIFF, is damaged, or claims what no slide has.
    UnstitchedTiffError
        When its tiles overlap.
    """

    backend = "tiff"

    def __init__(self, path: Path) -> None:
        # tifffile logs what is wrong with a file; it would reach a user's terminal raw.
        logging.getLogger("tifffile").addHandler(logging.NullHandler())
        check_page_chain(path)
        self.path = path
        self._tiff: Any = None
        try:
            self._tiff = tifffile.TiffFile(path)
            if self._tiff.is_bif:
                raise UnstitchedTiffError("a Ventana BIF", "whose tiles overlap")
            layout = tiff_layout(path.name, self._tiff)
            pages = [plane.page for plane in layout.levels[0].planes]
            vendor = vendor_facts(self._tiff, pages[0].keyframe, layout.stated)
            self.orientation = int(pages[0].keyframe.tags.valueof(274, 1) or 1)
            channels = () if layout.is_rgb else tiff_channels(self._tiff, pages, layout.stated)
        except HagmilError:
            self._close_tiff()
            raise
        except Exception as error:  # a parser raises anything on a hostile file
            self._close_tiff()
            raise SlideFormatError(
                path.name,
                f"is a damaged TIFF ({reason_of(error)})",
                remedy="copy or export it again",
            ) from error
        self._levels, self._alpha, self._stored = layout.levels, layout.alpha, layout.stored
        self._bytes = FileBytes(path)
        profile = tiff_profile(pages[0].keyframe)
        self.facts = replace(_facts(path.name, layout, vendor, channels), color_profile=profile)
        if not vendor.light:
            self.facts = with_colours(self.facts, self.read_tile)

    def _close_tiff(self) -> None:
        if self._tiff is not None:
            self._tiff.close()

    def close(self) -> None:
        """Close the file."""
        self._close_tiff()
        self._bytes.close()

    def fingerprint(self) -> str:
        """Hash of size, ends and samples."""
        return fingerprint(self.path)

    def read_tile(self, address: Address, meter: Meter) -> Pixels | None:
        """Decode one tile; None where the file holds none."""
        level, row, column = address
        tiff_level = self._levels[level]
        index = row * tiff_level.grid.n_tiles[1] + column
        try:
            parts = [self._decode(tiff_level, p, index, meter) for p in tiff_level.planes]
        except Exception as error:  # decoders raise their own kinds, and on damage any
            raise damaged_tile(self.path.name, address, error) from error
        if any(part is None for part in parts):
            return None
        if len(parts) == 1:
            pixels = parts[0]
        else:
            pixels = np.concatenate([p for p in parts if p is not None], axis=2)
        if pixels is None:
            return None
        if self._stored == "ycbcr":
            pixels = np.concatenate([_ycbcr_to_rgb(pixels), pixels[..., 3:]], axis=2)
        elif self._stored == "white is 0":
            pixels = np.asarray(np.iinfo(pixels.dtype).max - pixels)
        if self._alpha:
            return on_white(pixels, self._alpha)
        return pixels[..., : self.facts.n_channels]

    def _decode(self, level: TiffLevel, plane: Plane, index: int, meter: Meter) -> Pixels | None:
        """Fetch and decode one tile of one plane, (h, w, c)."""
        if plane.start is not None:
            return self._rows(level, plane, index, meter)
        page, key = plane.page, plane.page.keyframe
        index += plane.first
        offset, n_bytes = page.dataoffsets[index], page.databytecounts[index]
        if n_bytes == 0 or offset == 0:
            return None
        if n_bytes < 0 or offset + n_bytes > self._bytes.size:
            raise ValueError("it lies beyond the end of the file")
        data = self._bytes.read(offset, n_bytes)
        meter.add(len(data))
        options = {}
        if level.grid.compression == "JPEG":
            options = {"jpegtables": page.jpegtables, "jpegheader": key.jpegheader}
        rows, columns = level.grid.tile
        limit = rows + -rows % _BLOCK, columns + -columns % _BLOCK
        check_segment(data, level.grid.compression, limit, header=options.get("jpegheader") is None)
        pixels: Pixels = _decoded(key, data, index, options)
        if int(key.compression) == _APERIO_YCBCR and jpeg2000_is_plain(data):
            return _ycbcr_to_rgb(pixels)
        if options:
            row, column = divmod(index - plane.first, level.grid.n_tiles[1])
            inside = level.grid.shape[0] - row * rows, level.grid.shape[1] - column * columns
            check_scan(data, pixels, inside, lambda d: _decoded(key, d, index, options))
        return pixels

    def _rows(self, level: TiffLevel, plane: Plane, index: int, meter: Meter) -> Pixels:
        """Read a part of uncompressed rows, (h, w, c)."""
        key, grid = plane.page.keyframe, level.grid
        row, column = divmod(index, grid.n_tiles[1])
        corner = row * grid.tile[0], column * grid.tile[1]
        stored = key.dtype.newbyteorder(self._tiff.byteorder)
        rows = PlainRows(plane.start or 0, grid.shape, stored, plane.n_channels)
        pixels = read_rows(self._bytes, rows, corner)
        meter.add(pixels.nbytes)
        return pixels


def _decoded(page: Any, data: bytes, index: int, options: dict[str, Any]) -> Pixels:
    """Decode one tile to (h, w, c)."""
    pixels, _, shape = page.decode(data, index, **options)
    return np.asarray(pixels).reshape(shape[1:])


def _ycbcr_to_rgb(pixels: Pixels) -> Pixels:
    swapped = np.ascontiguousarray(pixels[..., [0, 2, 1]])  # as OpenCV wants them
    return np.asarray(cv2.cvtColor(swapped, cv2.COLOR_YCrCb2RGB))


def _facts(
    name: str, layout: TiffLayout, vendor: VendorFacts, channels: tuple[Channel, ...]
) -> SlideFacts:
    grids = tuple(level.grid for level in layout.levels)
    fluorescence = ""
    if vendor.light:
        fluorescence = f"1 fluorescence channel ({vendor.light})"
    elif not layout.is_rgb:
        plural = "s" if layout.n_channels > 1 else ""
        kind = "grey" if layout.n_channels == 1 else "fluorescence"
        fluorescence = f"{layout.n_channels} {kind} channel{plural}"
    return SlideFacts(
        grids=grids,
        n_channels=layout.n_channels,
        dtype=layout.dtype,
        is_rgb=layout.is_rgb,
        fluorescence=fluorescence,
        pixel_sizes=vendor.pixel_sizes,
        objective=vendor.objective,
        vendor=vendor.vendor,
        channels=channels,
        associated=layout.associated,
        problems=tuple(_problems(name, layout)),
        origin=layout.stated.origin if layout.stated else (0, 0),
        why=f"a TIFF by {vendor.vendor}" if vendor.vendor != "generic TIFF" else "a generic TIFF",
    )


def _problems(name: str, layout: TiffLayout) -> list[Problem]:
    found = [Problem(name, f"holds more than is shown: {what}") for what in layout.unseen]
    for i, level in enumerate(layout.levels):
        if level.grid.sparse:
            n_tiles = level.grid.n_tiles[0] * level.grid.n_tiles[1] * len(level.planes)
            found.append(absent_tiles(name, i, level.grid.sparse, n_tiles))
    return found
