"""Names and colours of the channels of a fluorescence TIFF, where its maker wrote them down."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from napari_hagmil.slide.interface import Channel


def tiff_channels(tiff: Any, pages: Sequence[Any]) -> tuple[Channel, ...]:
    """What the channels are called, and the colour each is to be shown in.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The open file.
    pages : sequence of tifffile.TiffPage
        Pages of the finest level, in the order of the channels.
    """
    if tiff.is_qpi:
        found = [_akoya(str(getattr(page, "description", "") or "")) for page in pages]
    elif tiff.is_ome:
        found = list(_ome(str(tiff.pages[0].description or "")))
    else:
        found = []
    return tuple(found)


def _akoya(text: str) -> Channel:
    """Each page tells its own; the first Name is the channel's, later ones are its filters'."""
    name = re.search(r"<Name>([^<]*)</Name>", text)
    color = re.search(r"<Color>\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*</Color>", text)
    shares = [min(int(value), 255) for value in color.groups()] if color else []
    return Channel(name.group(1).strip() if name else "", bytes(shares).hex())


def _ome(text: str) -> Iterator[Channel]:
    """Channels of the first image; a colour is a signed integer of red, green, blue, alpha."""
    image = re.search(r"<(?:\w+:)?Pixels\b.*?</(?:\w+:)?Pixels>", text, re.DOTALL)
    for attributes in re.findall(r"<(?:\w+:)?Channel\b([^>]*)>", image.group(0) if image else ""):
        name = re.search(r'\bName="([^"]*)"', attributes)
        color = re.search(r'\bColor="(-?\d{1,10})"', attributes)
        rgba = f"{int(color.group(1)) & 0xFFFFFFFF:08x}" if color else ""
        yield Channel(name.group(1) if name else "", rgba[:6])
