"""What a TIFF claims is checked before anything is decoded, allocated or followed.

A 272 KB file can declare a tile of 268 MB, a 1 MB JPEG can hold 8192² pixels behind a tile
of 256², and a chain of pages can bite its own tail.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.errors import SlideFormatError
from napari_hagmil.slide.interface import LevelGrid

#: Pages of a file. Slides have tens, multiplexed ones hundreds.
MAX_PAGES = 5000

#: Decoded bytes of one tile or strip. Scanners write 0.2 MB, strips reach tens of MB.
MAX_SEGMENT_BYTES = 128 * 2**20

#: Pixels on a side; slides reach 400,000.
MAX_SIDE = 4_000_000

#: Pixels of a level, and tiles that it is cut into: a canvas of 1,048,576² px in tiles of 256.
MAX_PIXELS, MAX_TILES = 2**40, 2**24

#: Tags of a page.
_MAX_TAGS = 4096


def check_page_chain(path: Path) -> None:
    """Follow the chain of pages, and refuse what is no TIFF, a loop, or endless.

    Raises
    ------
    SlideFormatError
        In one sentence.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        layout = _layout(path.name, head, size)
        if layout is None:
            return
        order, wide = layout
        # Formats of an offset and of the number of tags, and the bytes of a tag.
        to_offset, to_count, tag_bytes = (
            (order + "Q", order + "Q", 20) if wide else (order + "I", order + "H", 12)
        )
        file.seek(8 if wide else 4)
        offset = _number(file, to_offset)
        seen: set[int] = set()
        while offset:
            _check_page_offset(path.name, offset, seen, size)
            seen.add(offset)
            file.seek(offset)
            n_tags = _number(file, to_count)
            if not 0 < n_tags <= _MAX_TAGS or offset + n_tags * tag_bytes > size:
                raise SlideFormatError(
                    f"{path.name} is damaged or cut short: the page at byte {offset} claims "
                    f"{n_tags} tags in a file of {size} bytes; copy or export it again"
                )
            file.seek(n_tags * tag_bytes, os.SEEK_CUR)
            offset = _number(file, to_offset)


def _check_page_offset(name: str, offset: int, seen: set[int], size: int) -> None:
    if offset in seen:
        raise SlideFormatError(
            f"{name} is damaged: its chain of pages is a loop at byte {offset}; "
            "export the slide again"
        )
    if len(seen) >= MAX_PAGES:
        raise SlideFormatError(
            f"{name} has more than {MAX_PAGES} pages, which no slide has; "
            "give a pyramidal TIFF of one slide"
        )
    if offset >= size:
        raise SlideFormatError(
            f"{name} is cut short: a page stands at byte {offset} of a file of {size} bytes; "
            "copy or export it again"
        )


def _layout(name: str, head: bytes, size: int) -> tuple[str, bool] | None:
    """Byte order, and whether it is a BigTIFF; None when the chain cannot be walked so."""
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    version = struct.unpack(order + "H", head[2:4])[0] if order and len(head) == 16 else 0
    if order is None or version not in (42, 43):
        raise SlideFormatError(
            f"{name} is not a TIFF (it starts with {head[:4]!r}); "
            "give a slide that was copied whole"
        )
    # Hamamatsu writes 8-byte offsets into a classic TIFF above 4 GB.
    if version == 42 and size >= 2**32:
        return None
    return order, version == 43


def _number(file: BinaryIO, layout: str) -> int:
    """Read one number; 0, which ends the chain, where the file ends."""
    data = file.read(struct.calcsize(layout))
    return int(struct.unpack(layout, data)[0]) if len(data) == struct.calcsize(layout) else 0


def check_segments(
    name: str,
    shape: tuple[int, int],
    segment: tuple[int, int],
    pixel_bytes: int,
    counts: tuple[int, int],
) -> None:
    """Refuse absurd sizes of a page, its tiles or its table of tiles.

    Parameters
    ----------
    name : str
        The slide, for messages.
    shape, segment : tuple of int
        Rows and columns of the page and of its tiles, px.
    pixel_bytes : int
        Bytes of a decoded pixel.
    counts : tuple of int
        Entries in the table of tiles, and how many are needed.
    """
    if not all(0 < side <= MAX_SIDE for side in shape):
        raise SlideFormatError(
            f"{name} declares {shape[0]}×{shape[1]} pixels, more than any slide has "
            f"(at most {MAX_SIDE} on a side); export it again"
        )
    if shape[0] * shape[1] > MAX_PIXELS:
        raise SlideFormatError(
            f"{name} declares {shape[0]}×{shape[1]} pixels, more than any slide has "
            f"(at most {MAX_PIXELS / 1e9:.0f} gigapixels); export it again"
        )
    n_bytes = segment[0] * segment[1] * pixel_bytes
    if n_bytes <= 0 or n_bytes > MAX_SEGMENT_BYTES:
        raise SlideFormatError(
            f"{name} declares tiles of {segment[0]}×{segment[1]} pixels ({n_bytes / 1e6:.0f} MB), "
            f"above the limit of {MAX_SEGMENT_BYTES / 1e6:.0f} MB; "
            "convert it to tiles of 256 to 1024"
        )
    n_tiles = -(-shape[0] // segment[0]) * -(-shape[1] // segment[1])
    if n_tiles > MAX_TILES:
        raise SlideFormatError(
            f"{name} is cut into {n_tiles} tiles of {segment[0]}×{segment[1]} pixels, more than "
            f"the limit of {MAX_TILES}; convert it to tiles of 256 to 1024"
        )
    if counts[0] < counts[1]:
        raise SlideFormatError(
            f"{name} lists {counts[0]} tiles where its size needs {counts[1]}; "
            "copy or export it again"
        )


def held_tiles(
    tables: Iterable[tuple[Sequence[int], Sequence[int]]], grid: LevelGrid
) -> tuple[int, NDArray[np.bool_] | None]:
    """Tell which tiles a level lacks.

    Parameters
    ----------
    tables : iterable of (offsets, byte counts)
        By plane, an entry per tile of the grid.
    grid : LevelGrid
        The level.

    Returns
    -------
    sparse : int
        Tiles without bytes, of all planes together.
    held : (rows, columns) bool array or None
        Where all planes have bytes; None when none lacks any.
    """
    sparse, held = 0, np.ones(grid.n_tiles, bool)
    for offsets, counts in tables:
        if 0 in offsets or 0 in counts:
            there = (np.asarray(offsets) != 0) & (np.asarray(counts) != 0)
            sparse += there.size - int(np.count_nonzero(there))
            held &= there.reshape(grid.n_tiles)
    return sparse, held if sparse else None
