"""What other decoders make of the bytes of a damaged tile.

JPEG has no checksum, and a flipped bit decodes to something: that is what the file holds now.
Whether it was decoded right can be told by asking another decoder than the package's.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
from PIL import Image

Address = tuple[int, int, int]
Reference = Callable[[Address, bytes], np.ndarray]
"""Level, row and column of a tile, and its bytes → (h, w, c), or an error of the decoder."""

#: Says that three colours are RGB, not YCbCr (an Adobe marker with transform 0).
_RGB_MARKER = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"


class NoReferenceError(Exception):
    """Nobody else here decodes these bytes."""


def reference_of(path: Path) -> Reference | None:
    """The other decoder of an intact slide's tiles; None where tiles are no runs of bytes."""
    if path.suffix == ".zarr":
        return _zarr(path)
    if path.is_dir() or path.suffix in (".png", ".jpeg"):
        return None
    return _tiff(path)


def _tiff(path: Path) -> Reference:
    from napari_hagmil.slide import open_slide

    with open_slide(path) as slide:
        pages = [level.planes[0].page for level in slide.reader._levels]
        facts = [_page_facts(page) for page in pages]

    def decode(address: Address, data: bytes) -> np.ndarray:
        return _decoded(facts[address[0]], data)

    return decode


def _page_facts(page: Any) -> dict[str, Any]:
    rows = page.tilelength if page.is_tiled else page.rowsperstrip
    columns = page.tilewidth if page.is_tiled else page.imagewidth
    return {
        "compression": int(page.compression),
        "predictor": int(page.predictor),
        "tables": page.jpegtables,
        "header": page.jpegheader,
        "rgb": int(page.photometric) == 2,
        "shape": (rows, columns, page.samplesperpixel),
    }


def _decoded(facts: dict[str, Any], data: bytes) -> np.ndarray:
    compression = facts["compression"]
    if compression == 7:
        if facts["header"] is not None:
            data = facts["header"] + data[:-2] + b"\xff\xd9"
        elif facts["tables"] is not None:
            data = data[:2] + facts["tables"][2:-2] + data[2:]
        if facts["rgb"]:
            data = data[:2] + _RGB_MARKER + data[2:]
        return np.asarray(Image.open(io.BytesIO(data)))
    if compression in (33003, 33005):
        return np.asarray(Image.open(io.BytesIO(data)))
    if compression == 1:
        return np.frombuffer(data, np.uint8).reshape(facts["shape"])
    if compression in (8, 32946):
        pixels = np.frombuffer(zlib.decompress(data), np.uint8).reshape(facts["shape"])
        return np.cumsum(pixels, axis=1, dtype=np.uint8) if facts["predictor"] == 2 else pixels
    raise NoReferenceError(compression)


def _zarr(path: Path) -> Reference:
    plain = (path / ".zarray").is_file()

    def decode(address: Address, data: bytes) -> np.ndarray:
        folder = path if plain else path / str(address[0])
        shape, codec = _chunk_facts(folder)
        pixels = np.frombuffer(codec.decode(data), np.uint8).reshape(shape)
        return pixels if plain else np.moveaxis(pixels, 0, -1)

    return decode


def _chunk_facts(folder: Path) -> tuple[tuple[int, ...], Any]:
    """Shape of a chunk and its codec, of either version."""
    if (folder / ".zarray").is_file():
        array = json.loads((folder / ".zarray").read_text())
        return tuple(array["chunks"]), numcodecs.get_codec(array["compressor"])
    array = json.loads((folder / "zarr.json").read_text())
    assert [codec["name"] for codec in array["codecs"]] == ["bytes", "zstd"]
    return tuple(array["chunk_grid"]["configuration"]["chunk_shape"]), numcodecs.Zstd()
