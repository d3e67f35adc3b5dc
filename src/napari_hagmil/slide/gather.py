"""Assemble any rectangle of a level from its tiles, through a cache bounded in bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from napari_hagmil.errors import SlideReadError
from napari_hagmil.slide.hatching import Box
from napari_hagmil.slide.interface import Address, LevelGrid, Meter, Pixels, SlideReader

#: Enough for a row of 256-px tiles of a slide 120,000 px wide. Twice as much would cost
#: more in fresh memory than it saves in decoding.
CACHE_BYTES = 96 * 2**20

TileStatus = Literal["unseen", "read", "absent", "unread"]
"""What became of a tile: absent, the file holds none; unread, it cannot be decoded."""

TILE_STATUSES: tuple[TileStatus, ...] = get_args(TileStatus)


class TileCache:
    """The tiles used most recently; safe to share between threads.

    At most `limit` bytes of them, or one that is larger: a strip that is the whole picture would
    be decoded for every patch otherwise.
    """

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self.limit = limit
        self.n_bytes = 0
        self._tiles: OrderedDict[Address, Pixels] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, address: Address) -> Pixels | None:
        """Return the tile if it is cached, and mark it as used."""
        with self._lock:
            tile = self._tiles.get(address)
            if tile is not None:
                self._tiles.move_to_end(address)
            return tile

    def put(self, address: Address, tile: Pixels) -> None:
        """Cache a tile, and evict those used least recently."""
        with self._lock:
            if address in self._tiles:
                return
            self._tiles[address] = tile
            self.n_bytes += tile.nbytes
            while self.n_bytes > self.limit and len(self._tiles) > 1:
                self.n_bytes -= self._tiles.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Evict everything."""
        with self._lock:
            self._tiles.clear()
            self.n_bytes = 0


@dataclass(frozen=True, slots=True)
class Gatherer:
    """Reads rectangles of a level of a reader.

    Attributes
    ----------
    reader : SlideReader
        Where tiles come from.
    background : int
        Value of what lies outside the slide, and of tiles that the file does not hold.
    meter : Meter
        Counts what is read from the file.
    unreadable : dict
        Damaged tiles met so far, with the sentence that says what is wrong.
    statuses : dict
        By level: a byte per tile, an index into `TILE_STATUSES`.
    """

    reader: SlideReader
    background: int
    cache: TileCache = field(default_factory=TileCache)
    meter: Meter = field(default_factory=Meter)
    unreadable: dict[Address, str] = field(default_factory=dict)
    statuses: dict[int, bytearray] = field(default_factory=dict)

    def status(self, address: Address) -> TileStatus:
        """The status of a tile so far."""
        level, row, column = address
        if not self._holds(address):
            return "absent"
        held = self.statuses.get(level)
        columns = self.reader.facts.grids[level].n_tiles[1]
        return TILE_STATUSES[held[row * columns + column]] if held else "unseen"

    def read(
        self,
        level: int,
        top_left: tuple[int, int],
        shape: tuple[int, int],
        *,
        unread: list[Box] | None = None,
        keep: bool = False,
    ) -> Pixels:
        """Pixels of a rectangle, which may reach outside of the level.

        Parameters
        ----------
        level : int
            Level of the file.
        top_left, shape : tuple of int
            First row and column, and size, px of that level.
        unread : list or None
            Collects the boxes of damaged tiles, px of the result, whose pixels become background.
            None: a damaged tile raises.
        keep : bool
            Whether a tile that is read as a whole is cached too: a viewer comes back to it.

        Returns
        -------
        (h, w, c) array
            A fresh array.
        """
        facts = self.reader.facts
        grid = facts.grids[level]
        if not keep and (whole := self._whole_tile(level, grid, top_left, shape)) is not None:
            return whole
        out = np.full((*shape, facts.n_channels), self.background, facts.dtype)
        rows, columns = (
            _span(start, size, grid.shape[axis])
            for axis, (start, size) in enumerate(zip(top_left, shape, strict=True))
        )
        if rows[0] >= rows[1] or columns[0] >= columns[1] or not grid.holds(top_left, shape):
            return out
        for row in range(rows[0] // grid.tile[0], -(-rows[1] // grid.tile[0])):
            for column in range(columns[0] // grid.tile[1], -(-columns[1] // grid.tile[1])):
                corner = (row * grid.tile[0], column * grid.tile[1])
                try:
                    tile = self.tile((level, row, column))
                except SlideReadError:
                    if unread is None:
                        raise
                    unread.append(_box(corner, grid, top_left, shape))
                    continue
                if tile is not None:
                    _paste(out, top_left, tile, corner, (rows[1], columns[1]))
        return out

    def _whole_tile(
        self,
        level: int,
        grid: LevelGrid,
        top_left: tuple[int, int],
        shape: tuple[int, int],
    ) -> Pixels | None:
        """Return a tile as decoded, where the rectangle is exactly that tile.

        It is not cached: whoever reads along the grid reads every tile once, and the copy
        would cost a fifth of the decoding.
        """
        if shape != grid.tile or top_left[0] % shape[0] or top_left[1] % shape[1]:
            return None
        inside = all(0 <= t <= n - s for t, n, s in zip(top_left, grid.shape, shape, strict=True))
        if not inside:
            return None
        address = level, top_left[0] // shape[0], top_left[1] // shape[1]
        if (held := self.cache.get(address)) is not None:
            return held.copy()
        if self.status(address) == "unread":
            return None
        try:
            tile = self.tile(address, keep=False)
        except SlideReadError:
            return None  # `read` meets it again, and raises or marks the place
        if tile is None or tile.shape[:2] != shape:
            return None
        return tile if tile.flags.writeable and tile.flags.c_contiguous else tile.copy()

    def tile(self, address: Address, *, keep: bool = True) -> Pixels | None:
        """Decode one tile, or take it from the cache, and record its status.

        Raises
        ------
        SlideReadError
            When it cannot be decoded.
        """
        if not self._holds(address):
            return None
        tile = self.cache.get(address) if keep else None
        if tile is not None:
            return tile
        try:
            tile = self.reader.read_tile(address, self.meter)
        except SlideReadError as error:
            self.unreadable[address] = str(error)
            self._note(address, "unread")
            raise
        self._note(address, "absent" if tile is None else "read")
        if tile is not None and keep:
            self.cache.put(address, tile)
        return tile

    def _holds(self, address: Address) -> bool:
        held = self.reader.facts.grids[address[0]].held
        return held is None or bool(held[address[1:]])

    def _note(self, address: Address, status: TileStatus) -> None:
        level, row, column = address
        rows, columns = self.reader.facts.grids[level].n_tiles
        held = self.statuses.get(level)
        if held is None:
            held = self.statuses.setdefault(level, bytearray(rows * columns))
        held[row * columns + column] = TILE_STATUSES.index(status)


def _box(
    corner: tuple[int, int], grid: LevelGrid, origin: tuple[int, int], shape: tuple[int, int]
) -> Box:
    """Where a tile lies in a result that begins at `origin`."""
    starts = [max(c - o, 0) for c, o in zip(corner, origin, strict=True)]
    ends = [
        min(c + t, s, o + n) - o
        for c, t, s, o, n in zip(corner, grid.tile, grid.shape, origin, shape, strict=True)
    ]
    return starts[0], starts[1], ends[0], ends[1]


def _span(start: int, size: int, limit: int) -> tuple[int, int]:
    return max(start, 0), min(start + size, limit)


def _paste(
    out: Pixels,
    origin: tuple[int, int],
    tile: Pixels,
    corner: tuple[int, int],
    limit: tuple[int, int],
) -> None:
    """Copy the part of a tile that lies in the picture and inside the level."""
    y0, x0 = max(origin[0], corner[0]), max(origin[1], corner[1])
    y1 = min(origin[0] + out.shape[0], corner[0] + tile.shape[0], limit[0])
    x1 = min(origin[1] + out.shape[1], corner[1] + tile.shape[1], limit[1])
    if y1 > y0 and x1 > x0:
        part = tile[y0 - corner[0] : y1 - corner[0], x0 - corner[1] : x1 - corner[1]]
        out[y0 - origin[0] : y1 - origin[0], x0 - origin[1] : x1 - origin[1]] = part
