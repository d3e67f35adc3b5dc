"""Check what a TIFF declares before anything is decoded, allocated or followed.

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

#: Tags of a page. Vendors write some fifty; a damaged count reads as up to 65,535.
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
                    path.name,
                    f"is damaged or cut short: the page at byte {offset} claims "
                    f"{n_tags} tags in a file of {size} bytes",
                    remedy="copy or export it again",
                )
            file.seek(n_tags * tag_bytes, os.SEEK_CUR)
            offset = _number(file, to_offset)


def _check_page_offset(name: str, offset: int, seen: set[int], size: int) -> None:
    if offset in seen:
        raise SlideFormatError(
            name,
            f"is damaged: its chain of pages is a loop at byte {offset}",
            remedy="export the slide again",
        )
    if len(seen) >= MAX_PAGES:
        raise SlideFormatError(
            name,
            f"has more than {MAX_PAGES} pages, which no slide has",
            remedy="give a pyramidal TIFF of one slide",
        )
    if offset >= size:
        raise SlideFormatError(
            name,
            f"is cut short: a page stands at byte {offset} of a file of {size} bytes",
            remedy="copy or export it again",
        )


def _layout(name: str, head: bytes, size: int) -> tuple[str, bool] | None:
    """Byte order, and whether it is a BigTIFF; None when the chain cannot be walked so."""
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    version = struct.unpack(order + "H", head[2:4])[0] if order and len(head) == 16 else 0
    if order is None or version not in (42, 43):
        raise SlideFormatError(
            name,
            f"is not a TIFF (it starts with {head[:4]!r})",
            remedy="give a slide that was copied whole",
        )
    # Hamamatsu writes 8-byte offsets into a classic TIFF above 4 GB.
    if version == 42 and size >= 2**32:
        return None
    return order, version == 43


def _number(file: BinaryIO, layout: str) -> int:
    """Read one number; 0, which ends the chain, where the file ends."""
    data = file.read(struct.calcsize(layout))
    return int(struct.unpack(layout, data)[0]) if len(data) == struct.calcsize(layout) else 0


def check_tile_table(name: str, n_listed: int, n_needed: int) -> None:
    """Refuse a page whose table lists fewer tiles than its size needs.

    Raises
    ------
    SlideFormatError
        In one sentence.
    """
    if n_listed < n_needed:
        raise SlideFormatError(
            name,
            f"lists {n_listed} tiles where its size needs {n_needed}",
            remedy="copy or export it again",
        )


def held_tiles(
    tables: Iterable[tuple[Sequence[int], Sequence[int]]], grid: LevelGrid
) -> tuple[int, NDArray[np.bool_] | None]:
    """Find which tiles a level lacks.

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
