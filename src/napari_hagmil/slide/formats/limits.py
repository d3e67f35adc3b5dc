"""Limits on the declared sizes of levels and tiles; anything larger is refused before decoding.

The same for every format whose files state these sizes themselves (TIFF, Zarr): a file of a few
hundred bytes can claim anything.
"""

from __future__ import annotations

from math import prod

from napari_hagmil.errors import SlideFormatError

#: Decoded bytes of one tile or strip. Scanners write 0.2 MB, strips reach tens of MB.
MAX_TILE_BYTES = 128 * 2**20

#: Pixels on a side; slides reach 400,000.
MAX_SIDE = 4_000_000

#: Pixels of a level, and tiles that it is cut into: a canvas of 1,048,576² px in tiles of 256.
#: A byte is kept for every tile, so that more would cost memory before anything is read.
MAX_PIXELS, MAX_TILES = 2**40, 2**24


def check_level_size(
    name: str, shape: tuple[int, int], tile: tuple[int, int], pixel_bytes: int
) -> None:
    """Refuse absurd sizes of a level and its tiles.

    Parameters
    ----------
    name : str
        The slide, for messages.
    shape, tile : tuple of int
        Rows and columns of the level and of its tiles, px.
    pixel_bytes : int
        Bytes of a decoded pixel, of all channels that are decoded together.

    Raises
    ------
    SlideFormatError
        In one sentence.
    """
    size, tile_size = f"{shape[0]}×{shape[1]} pixels", f"{tile[0]}×{tile[1]} pixels"
    if not all(0 < side <= MAX_SIDE for side in shape):
        raise SlideFormatError(
            name,
            f"declares {size}, more than any slide has (at most {MAX_SIDE} on a side)",
            remedy="export it again",
        )
    if prod(shape) > MAX_PIXELS:
        raise SlideFormatError(
            name,
            f"declares {size}, more than any slide has (at most {MAX_PIXELS / 1e9:.0f} gigapixels)",
            remedy="export it again",
        )
    n_bytes = prod(tile) * pixel_bytes
    if n_bytes <= 0 or n_bytes > MAX_TILE_BYTES:
        raise SlideFormatError(
            name,
            f"declares tiles of {tile_size} ({n_bytes / 1e6:.0f} MB), "
            f"above the limit of {MAX_TILE_BYTES / 1e6:.0f} MB",
            remedy="convert it to tiles of 256 to 1024",
        )
    n_tiles = -(-shape[0] // tile[0]) * -(-shape[1] // tile[1])
    if n_tiles > MAX_TILES:
        raise SlideFormatError(
            name,
            f"is cut into {n_tiles} tiles of {tile_size}, more than the limit of {MAX_TILES}",
            remedy="convert it to tiles of 256 to 1024",
        )
