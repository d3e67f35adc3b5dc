"""A slide of any size out of one phantom, repeated: its tissue grows exactly with its area.

Encoded tiles are copied, so that a slide of 100,000² px takes seconds to write and not minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

from napari_hagmil.phantom import PhantomConfig, write_phantom

#: Side of the phantom, px: three levels of whole tiles.
BASE, TILE, WHOLE = 5120, 256, 3


def write_base(path: Path) -> Path:
    """The phantom that is repeated, one lesion on it."""
    if not path.exists():
        write_phantom(path, PhantomConfig(seed=5, size=BASE, lesions=1))
    return path


def write_repeated(base: Path, path: Path, times: int) -> Path:
    """A slide of times × times copies of `base`, as a pyramid of JPEG tiles."""
    with tifffile.TiffFile(base) as source, tifffile.TiffWriter(path, bigtiff=True) as target:
        per_cm = source.pages[0].get_resolution(tifffile.RESUNIT.CENTIMETER)[0]
        for level, page in enumerate(source.pages):
            how = {
                "photometric": "ycbcr", "subsampling": (2, 2), "tile": (TILE, TILE),
                "compression": "jpeg", "resolution": (per_cm / 2**level, per_cm / 2**level),
                "resolutionunit": "CENTIMETER", "subfiletype": int(level > 0), "metadata": None,
                "description": page.description, "software": page.software,
            }  # fmt: skip
            if level < WHOLE:
                side = page.imagewidth * times
                tiles = _tiles(source, page, times)
                target.write(tiles, shape=(side, side, 3), dtype=np.uint8, **how)
            else:
                how["photometric"] = "rgb"
                target.write(np.tile(page.asarray(), (times, times, 1)), **how)
    return path


def _tiles(source: tifffile.TiffFile, page: tifffile.TiffPage, times: int) -> Iterator[bytes]:
    """Encoded tiles, row by row."""
    columns = page.imagewidth // TILE
    places = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    for row in range(columns * times):
        first = row % columns * columns
        line = []
        for offset, size in places[first : first + columns]:
            source.filehandle.seek(offset)
            line.append(source.filehandle.read(size))
        yield from line * times
