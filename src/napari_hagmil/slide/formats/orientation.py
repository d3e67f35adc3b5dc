"""Pictures stored rotated or mirrored, as tag 274 of TIFF 6.0 and EXIF says."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace

import numpy as np

from napari_hagmil.errors import Problem
from napari_hagmil.slide.gather import Gatherer, TileCache
from napari_hagmil.slide.interface import (
    Address,
    LevelGrid,
    Meter,
    Pixels,
    PixelSize,
    SlideFacts,
    SlideReader,
)

_TAG = 274


@dataclass(frozen=True, slots=True)
class Turn:
    """The transform that makes a stored picture upright: first transpose, then mirror.

    Attributes
    ----------
    swaps : bool
        Whether rows and columns are transposed.
    flips_y, flips_x : bool
        The result is mirrored top to bottom, and left to right.
    """

    swaps: bool
    flips_y: bool
    flips_x: bool


_TURNS = {
    2: Turn(False, False, True),
    3: Turn(False, True, True),
    4: Turn(False, True, False),
    5: Turn(True, False, False),
    6: Turn(True, False, True),
    7: Turn(True, True, True),
    8: Turn(True, True, False),
}


def upright(reader: SlideReader, name: str, orientation: int) -> SlideReader:
    """Wrap a reader whose picture is stored turned; return it as it is where it is not.

    Parameters
    ----------
    reader : SlideReader
        Of the picture as it is stored.
    name : str
        The slide, for messages.
    orientation : int
        1: upright; 2 to 8 as in TIFF; others say nothing.
    """
    turn = _TURNS.get(orientation)
    return reader if turn is None else TurnedReader(reader, name, turn)


class TurnedReader:
    """A picture made upright tile by tile.

    Parameters
    ----------
    reader : SlideReader
        Of the picture as it is stored.
    name : str
        The slide, for messages.
    turn : Turn
        What makes it upright.
    """

    def __init__(self, reader: SlideReader, name: str, turn: Turn) -> None:
        self._reader, self._turn = reader, turn
        self._cache = TileCache()
        self.facts = self._turned(reader.facts, name)

    @property
    def backend(self) -> str:
        """Of the picture as it is stored."""
        return self._reader.backend

    def read_tile(self, address: Address, meter: Meter) -> Pixels | None:
        """Gather the stored pixels of one upright tile, and turn them."""
        level, row, column = address
        grid, turn = self.facts.grids[level], self._turn
        y, x = row * grid.tile[0], column * grid.tile[1]
        height, width = min(grid.tile[0], grid.shape[0] - y), min(grid.tile[1], grid.shape[1] - x)
        y = grid.shape[0] - y - height if turn.flips_y else y
        x = grid.shape[1] - x - width if turn.flips_x else x
        gather = Gatherer(self._reader, self.facts.background, self._cache, meter)
        if turn.swaps:
            pixels = gather.read(level, (x, y), (width, height)).transpose(1, 0, 2)
        else:
            pixels = gather.read(level, (y, x), (height, width))
        pixels = pixels[::-1] if turn.flips_y else pixels
        return np.ascontiguousarray(pixels[:, ::-1] if turn.flips_x else pixels)

    def fingerprint(self) -> str:
        """Hash of the content and of how it is turned."""
        text = f"{self._reader.fingerprint()}{self._turn}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def close(self) -> None:
        """Close the file and drop the cached tiles."""
        self._cache.clear()
        self._reader.close()

    def _turned(self, facts: SlideFacts, name: str) -> SlideFacts:
        told = Problem(
            name,
            "is stored turned or mirrored and is shown upright, as its orientation tag asks; "
            "programs that ignore the tag have other coordinates",
        )
        sizes, grids = facts.pixel_sizes, facts.grids
        if self._turn.swaps:
            sizes = tuple(PixelSize(size.mpp[::-1], size.source) for size in sizes)
        return replace(
            facts,
            grids=tuple(self._grid(grid) for grid in grids),
            pixel_sizes=sizes,
            origin=(0, 0),
            problems=(*facts.problems, told),
        )

    def _grid(self, grid: LevelGrid) -> LevelGrid:
        # Upright tiles lie across stored ones: which the file lacks is known when they are read.
        sides = (grid.shape[::-1], grid.tile[::-1]) if self._turn.swaps else (grid.shape, grid.tile)
        return replace(grid, shape=sides[0], tile=sides[1], held=None)


def exif_orientation(head: bytes) -> int:
    """Orientation in the EXIF of a JPEG; 1 where there is none that can be read.

    Parameters
    ----------
    head : bytes
        The beginning of the file.
    """
    at = head.find(b"Exif\0\0")
    start = at + 6
    order = {b"II": "<", b"MM": ">"}.get(head[start : start + 2])
    try:
        if at < 0 or order is None:
            return 1
        (first,) = struct.unpack_from(order + "I", head, start + 4)
        (n_tags,) = struct.unpack_from(order + "H", head, start + first)
        for i in range(n_tags):
            tag, _, _, value = struct.unpack_from(order + "HHIH", head, start + first + 2 + 12 * i)
            if tag == _TAG:
                return int(value)
    except struct.error:  # cut short
        return 1
    return 1
