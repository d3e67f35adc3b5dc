"""Whether three channels that are stored apart are red, green and blue, or fluorescence.

Public H&E comes as OME-TIFF and OME-Zarr of three grey channels. Their names tell where they have
any; the colours that programs write beside them tell little, for the same red, green and blue are
what many give to the first three channels of fluorescence. Where nothing tells, pixels do: glass in
transmitted light is bright, and between fluorescent cells it is dark.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from napari_hagmil.errors import SlideReadError
from napari_hagmil.slide.interface import Address, Channel, Meter, Pixels, SlideFacts

RGB = ("ff0000", "00ff00", "0000ff")
_AROUND = r"(?:(?:channel|ch|c|rgb|brightfield|bf|h&e|he)[\s_:.-]*)?{}(?:[\s_:.-]*channel)?"
_NAMES = tuple(
    re.compile(_AROUND.format(f"(?:{word[0]}|{word})"), re.IGNORECASE)
    for word in ("red", "green", "blue")
)
_NO_NAME = re.compile(r"(?:channel|ch|c)?[\s_:.-]*(?:\d+[\s_:.-]*)*", re.IGNORECASE)

#: Tiles along each side that are looked at.
_LOOKS = 4

#: The brightest channel of a pixel, of 255: at least so much in the middle, and in the darkest
#: tenth. Nuclei of H&E keep 80 to 120 in red; the ground of fluorescence has 0 to 40. What is
#: darker than 8 is the border of a scan.
_BRIGHT, _DARKEST_TENTH, _BORDER = 100, 50, 8

ReadTile = Callable[[Address, Meter], Pixels | None]


def with_colours(facts: SlideFacts, read_tile: ReadTile) -> SlideFacts:
    """Facts of a slide of three grey channels, as RGB where that is what they are.

    Parameters
    ----------
    facts : SlideFacts
        What is known without decoding.
    read_tile : callable
        Decodes a tile; used where neither names nor colours tell.
    """
    if facts.is_rgb or facts.n_channels != 3 or facts.dtype not in (np.uint8, np.uint16):
        return facts
    told = _told(facts.channels)
    if told is None:
        told = facts.dtype == np.uint8 and _is_bright(facts, read_tile)
    return replace(facts, is_rgb=True, fluorescence="", channels=()) if told else facts


def _told(channels: Sequence[Channel]) -> bool | None:
    """Whether names and colours say red, green, blue; None where they say neither that nor else."""
    if len(channels) != 3:
        return None
    names = [channel.name.strip() for channel in channels]
    if all(pattern.fullmatch(name) for pattern, name in zip(_NAMES, names, strict=True)):
        return True
    if len(set(names)) > 1 and not all(_NO_NAME.fullmatch(name) for name in names):
        return False
    colours = tuple(channel.color for channel in channels)
    return None if len(set(colours)) == 1 or colours == RGB else False


def _is_bright(facts: SlideFacts, read_tile: ReadTile) -> bool:
    """Look at tiles spread over the coarsest level; what cannot be read tells nothing."""
    level = len(facts.grids) - 1
    rows, columns = (
        np.unique(np.linspace(0, n - 1, _LOOKS).round().astype(int))
        for n in facts.grids[level].n_tiles
    )
    values = [np.zeros(0, np.uint8)]
    for address in ((level, int(row), int(column)) for row in rows for column in columns):
        try:
            tile = read_tile(address, Meter())
        except SlideReadError:
            continue
        if tile is not None:
            brightest = tile.max(axis=2)
            values.append(brightest[brightest > _BORDER])
    seen = np.concatenate(values)
    if not seen.size:
        return True
    return bool(np.median(seen) >= _BRIGHT and np.percentile(seen, 10) >= _DARKEST_TENTH)
