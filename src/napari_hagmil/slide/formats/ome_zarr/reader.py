"""OME-Zarr 0.4 and 0.5 and plain Zarr, in a folder or behind a URL; read only."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_hagmil.errors import HagmilError, Problem, SlideFormatError
from napari_hagmil.slide.formats.colours import with_colours
from napari_hagmil.slide.formats.damage import absent_tiles, damaged_tile, reason_of
from napari_hagmil.slide.formats.limits import check_level_size
from napari_hagmil.slide.formats.ome_zarr.collection import slide_layout
from napari_hagmil.slide.formats.ome_zarr.guard import chunk_check, compressor_of
from napari_hagmil.slide.formats.ome_zarr.store import GuardedStore, local_keys, open_guarded
from napari_hagmil.slide.formats.transparency import on_white
from napari_hagmil.slide.interface import Address, LevelGrid, Meter, Pixels, SlideFacts
from napari_hagmil.slide.location import url_of

_NAMES = {
    "": "none",
    "blosc": "Blosc",
    "zstd": "Zstandard",
    "gzip": "Deflate",
    "zlib": "Deflate",
    "bz2": "bzip2",
    "lz4": "LZ4",
}

#: Chunks that the fingerprint reads, and files of a level that are listed at opening.
_N_SAMPLES, _MAX_LISTED = 32, 200_000


class ZarrReader:
    """The levels of one picture in a Zarr hierarchy.

    Parameters
    ----------
    path : Path
        A folder, or a URL that fsspec knows.
    """

    backend = "zarr"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._store: GuardedStore | None = open_guarded(path)
        try:
            node = zarr.open(self._store, mode="r")
            self._layout = slide_layout(path.name, node, self._store.text)
            self.facts = self._facts()
            self.facts = with_colours(self.facts, self.read_tile)
        except HagmilError:
            self.close()
            raise
        except Exception as error:  # zarr, its stores and the net raise their own kinds
            self.close()
            missing = isinstance(error, FileNotFoundError)  # zarr's tell of its stores
            why = "no array or group is there" if missing else reason_of(error)
            raise SlideFormatError(
                path.name,
                f"is no Zarr that can be read ({why})",
                remedy="check the address, or copy the folder again",
            ) from error

    def close(self) -> None:
        """Close the store."""
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def fingerprint(self) -> str:
        """Hash what the levels are, and chunks spread over the finest and the coarsest."""
        layout = self._layout
        facts = [(a.shape, a.chunks, str(a.dtype)) for a in layout.arrays]
        digest = hashlib.sha256(json.dumps(["zarr-v1", layout.axes, facts]).encode())
        for array in {id(a): a for a in (layout.arrays[0], layout.arrays[-1])}.values():
            for data in self._samples(array):
                digest.update(hashlib.sha256(data).digest())
        return digest.hexdigest()[:32]

    def read_tile(self, address: Address, meter: Meter) -> Pixels | None:
        """Decode the chunks of one tile; None where the store holds none."""
        level, row, column = address
        array, held = self._layout.arrays[level], self.facts.grids[level].held
        if held is not None and not held[row, column]:
            return None
        store = self._store
        try:
            if store is None:
                raise ValueError("the slide is closed")
            pixels = np.asarray(array[self._index(level, row, column)])
            meter.add(store.take_bytes_read())
            absent = self._is_fill(array, pixels) and self._is_absent(array, row, column)
        except Exception as error:  # codecs, stores and the net raise their own kinds
            raise damaged_tile(self.path.name, address, error) from error
        return None if absent else self._as_yxc(pixels)

    def _index(self, level: int, row: int, column: int) -> tuple[int | slice, ...]:
        rows, columns = self.facts.grids[level].tile
        places: dict[str, int | slice] = {
            "y": slice(row * rows, (row + 1) * rows),
            "x": slice(column * columns, (column + 1) * columns),
            "c": slice(None),
        }
        return tuple(places.get(axis, 0) for axis in self._layout.axes)

    def _as_yxc(self, pixels: Pixels) -> Pixels:
        kept = [axis for axis in self._layout.axes if axis in "cyx"]
        if "c" not in kept:
            return pixels[..., None]
        pixels = np.ascontiguousarray(np.transpose(pixels, [kept.index(axis) for axis in "yxc"]))
        is_rgba = self._layout.is_rgb and pixels.shape[2] == 4
        return on_white(pixels) if is_rgba else pixels

    def _is_fill(self, array: Any, pixels: Pixels) -> bool:
        fill = array.fill_value
        return bool((pixels == (0 if fill is None else fill)).all())

    def _is_absent(self, array: Any, row: int, column: int) -> bool:
        """Whether none of the chunks of a tile is stored; unknown for a shard."""
        if array.shards is not None:
            return True
        assert self._store is not None
        keys = [_full_key(array, key) for key in self._keys(array, row, column)]
        return not any(self._store.holds(key) for key in keys)

    def _keys(self, array: Any, row: int, column: int) -> list[str]:
        axes = self._layout.axes
        n_channels = (
            -(-self.facts.n_channels // array.chunks[axes.index("c")]) if "c" in axes else 1
        )
        return [
            array.metadata.encode_chunk_key(
                tuple({"y": row, "x": column, "c": channel}.get(axis, 0) for axis in axes)
            )
            for channel in range(n_channels)
        ]

    def _samples(self, array: Any) -> list[bytes]:
        """Encoded chunks (or shards) at even steps through a level."""
        axes = self._layout.axes
        stored = array.shards or array.chunks
        counts = [-(-array.shape[axes.index(a)] // stored[axes.index(a)]) for a in "yx"]
        total = prod(counts)
        picked = sorted({total * i // _N_SAMPLES for i in range(_N_SAMPLES)})
        keys = [self._keys(array, *divmod(i, counts[1]))[0] for i in picked]
        assert self._store is not None
        return self._store.fetch([_full_key(array, key) for key in keys])

    def _facts(self) -> SlideFacts:
        layout, name = self._layout, self.path.name
        grids, problems = [], []
        for i, array in enumerate(layout.arrays):
            grid = self._grid(array)
            grids.append(grid)
            if grid.sparse:
                problems.append(absent_tiles(name, i, grid.sparse, prod(grid.n_tiles)))
        for axis, word in (("z", "focal planes"), ("t", "time points")):
            if layout.size(axis) > 1:
                rule = f"has {layout.size(axis)} {word}; the first is shown"
                problems.append(Problem(name, rule))
        n_channels = 3 if layout.is_rgb else layout.n_channels
        kind = "grey" if n_channels == 1 else "fluorescence"
        return SlideFacts(
            grids=tuple(grids),
            n_channels=n_channels,
            dtype=np.dtype(layout.arrays[0].dtype).newbyteorder("="),
            is_rgb=layout.is_rgb,
            fluorescence=""
            if layout.is_rgb
            else f"{n_channels} {kind} channel{'s' if n_channels > 1 else ''}",
            pixel_sizes=layout.pixel_sizes,
            vendor=layout.kind,
            channels=layout.channels,
            associated=layout.associated,
            problems=tuple(problems),
            why=f"{layout.kind}{' behind a URL' if url_of(self.path) else ''}",
            placement=layout.placement,
        )

    def _grid(self, array: Any) -> LevelGrid:
        name, axes = self.path.name, self._layout.axes
        if array.dtype not in (np.uint8, np.uint16, np.float32):
            raise SlideFormatError(
                name, f"has pixels of {array.dtype}", remedy="convert it to 8 or 16 bits unsigned"
            )
        if min(array.chunks) < 1:
            raise SlideFormatError(
                name,
                f"declares chunks of {array.chunks} values, which hold none",
                remedy="write it again",
            )
        if array.dtype != self._layout.arrays[0].dtype:
            raise SlideFormatError(name, "has levels of different types", remedy="write it again")
        y, x = axes.index("y"), axes.index("x")
        shape = int(array.shape[y]), int(array.shape[x])
        tile = min(int(array.chunks[y]), shape[0]), min(int(array.chunks[x]), shape[1])
        held = max(1, prod(array.chunks) // (array.chunks[y] * array.chunks[x]))
        depth = max(held, self._layout.n_channels) * array.dtype.itemsize
        check_level_size(name, shape, (int(array.chunks[y]), int(array.chunks[x])), depth)
        compressor = compressor_of(array, name)
        assert self._store is not None
        self._store.checks[array.path] = chunk_check(array, compressor)
        grid = LevelGrid(shape, tile, _NAMES[compressor])
        held = self._held(array, grid)
        sparse = 0 if held is None else int(held.size - np.count_nonzero(held))
        return replace(grid, sparse=sparse, held=held if sparse else None)

    def _held(self, array: Any, grid: LevelGrid) -> NDArray[np.bool_] | None:
        """Which tiles are stored; None where listing them would take too long.

        What a folder holds bounds the time: a canvas of any size may have one chunk.
        """
        if url_of(self.path):
            return None
        keys = local_keys(self.path / array.path, _MAX_LISTED)
        if keys is None:
            return None
        axes, stored = self._layout.axes, array.shards or array.chunks
        sides = [axes.index(axis) for axis in "yx"]
        # Chunks of a shard are stored together.
        counts = [-(-array.shape[side] // stored[side]) for side in sides]
        held = np.zeros(counts, bool)
        for key in keys:
            at = [int(n) for n in re.split(r"[./]", key) if n.isdecimal() and n.isascii()]
            if len(at) == len(axes) and all(at[s] < n for s, n in zip(sides, counts, strict=True)):
                held[at[sides[0]], at[sides[1]]] = True
        for axis, side in enumerate(sides):
            held = held.repeat(stored[side] // array.chunks[side], axis)
        rows, columns = grid.n_tiles
        return held[:rows, :columns]


def _full_key(array: Any, key: str) -> str:
    return f"{array.path}/{key}".lstrip("/")
