"""Read each picture's name, size, pixel size, objective and channels from the XML in a TIFF.

XML is searched by regular expressions and not parsed: descriptions come cut short or malformed, and
a parser would expand the entities of a hostile one.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from napari_hagmil.slide.interface import Channel, PixelSize

_MICROMETRES = {
    # In full, and as UTF-8 read as Latin-1, from programs that do not follow OME to the letter.
    **dict.fromkeys(("µm", "μm", "um", "Âµm", "micron", "microns"), 1.0),
    **dict.fromkeys(("micrometer", "micrometers", "micrometre", "micrometres"), 1.0),
    **{"pm": 1e-6, "Å": 1e-4, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "dm": 1e5, "m": 1e6},
    **{"in": 25_400.0, "pt": 25_400 / 72},  # as OME spells inch and point
}


@dataclass(frozen=True, slots=True)
class StatedPicture:
    """What the file's XML says about one picture.

    Attributes
    ----------
    name : str
        May be empty, and may hold what a user typed.
    shape : tuple of int
        Rows and columns, px.
    page : int or None
        Index of its first page, where the text says so.
    size : PixelSize or None
        Of its finest level.
    objective : float or None
        Magnification it was taken with.
    channels : tuple of Channel
        In the order of the file.
    shows_all : bool
        Whether it covers the whole of what was put on the scanner.
    origin : tuple of int
        Its first pixel (y, x) on a canvas of that, in its own pixels.
    """

    name: str
    shape: tuple[int, int]
    page: int | None = None
    size: PixelSize | None = None
    objective: float | None = None
    channels: tuple[Channel, ...] = ()
    shows_all: bool = False
    origin: tuple[int, int] = (0, 0)


def stated_pictures(tiff: Any) -> list[StatedPicture]:
    """Read what OME-XML or Leica's XML says; nothing of other files.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The open file; its text stands in the first page, whatever that page shows.
    """
    if not (tiff.is_scn or tiff.is_ome):
        return []
    text = str(tiff.pages[0].description or "")
    return list(_leica(text) if tiff.is_scn else ome_pictures(text))


def _elements(text: str, tag: str) -> Iterator[tuple[str, str]]:
    """Attributes of every element of a name, and the text up to the next of them."""
    heads = list(re.finditer(rf"<(?:\w+:)?{tag}\b([^<>]*)>", text))
    for head, following in zip_longest(heads, heads[1:]):
        yield head[1], text[head.end() : following.start() if following else len(text)]


def ome_pictures(text: str) -> Iterator[StatedPicture]:
    """What OME-XML says, in the order of its images."""
    lenses = {
        attribute(lens, "ID"): number(attribute(lens, "NominalMagnification"))
        for lens, _ in _elements(text, "Objective")
    }
    for head, body in _elements(text, "Image"):
        pixels = _head(body, "Pixels")
        height, width = (number(attribute(pixels, f"Size{axis}")) for axis in "YX")
        if height is None or width is None:
            continue
        lens = attribute(_head(body, "ObjectiveSettings"), "ID")
        only = next(iter(lenses.values())) if len(lenses) == 1 else None
        page = attribute(_head(body, "TiffData"), "IFD")
        yield StatedPicture(
            attribute(head, "Name"),
            (int(height), int(width)),
            int(page) if page.isdecimal() else None,
            _ome_size(pixels),
            lenses.get(lens, only),
            tuple(_ome_channels(body)),
        )


def _ome_size(pixels: str) -> PixelSize | None:
    """A pixel's sides; where one alone is stated, it is taken to be square."""
    sides = []
    for axis in "YX":
        value = number(attribute(pixels, f"PhysicalSize{axis}"))
        if value is None:
            continue
        unit = attribute(pixels, f"PhysicalSize{axis}Unit").strip() or "µm"
        if unit not in _MICROMETRES:
            return None
        sides.append(value * _MICROMETRES[unit])
    return PixelSize((sides[0], sides[-1]), "OME PhysicalSize") if sides else None


def _ome_channels(body: str) -> Iterator[Channel]:
    """A colour is a signed integer of red, green, blue, alpha."""
    for channel, _ in _elements(body, "Channel"):
        color = attribute(channel, "Color")
        rgba = f"{int(color) & 0xFFFFFFFF:08x}" if re.fullmatch(r"-?\d{1,10}", color) else ""
        yield Channel(attribute(channel, "Name"), rgba[:6])


def _leica(text: str) -> Iterator[StatedPicture]:
    """Sizes of views and of the collection are in nanometres."""
    glass = _sides(_head(text, "collection"))
    for head, body in _elements(text, "image"):
        shape, view = _sides(_head(body, "pixels")), _head(body, "view")
        covered, page = _sides(view), attribute(_head(body, "dimension"), "ifd")
        if shape is None:
            continue
        size, origin = None, (0, 0)
        if covered is not None and min(*shape, *covered) > 0:
            sides = (covered[0] / shape[0] / 1e3, covered[1] / shape[1] / 1e3)
            size = PixelSize(sides, "Leica view size")
            origin = _leica_origin(view, sides)
        yield StatedPicture(
            attribute(head, "name"),
            (int(shape[0]), int(shape[1])),
            int(page) if page.isdecimal() else None,
            size,
            number(first(r"<objective>\s*([\d.,]+)", body)),
            shows_all=covered is not None and covered == glass,
            origin=origin,
        )


def _leica_origin(view: str, mpp: tuple[float, float]) -> tuple[int, int]:
    y, x = (number(attribute(view, f"offset{axis}")) or 0.0 for axis in "YX")
    return int(y / 1e3 / mpp[0]), int(x / 1e3 / mpp[1])


def _sides(attributes: str) -> tuple[float, float] | None:
    height, width = (number(attribute(attributes, f"size{axis}")) for axis in "YX")
    return None if height is None or width is None else (height, width)


def _head(text: str, tag: str) -> str:
    return next((attributes for attributes, _ in _elements(text, tag)), "")


def attribute(attributes: str, name: str) -> str:
    """Value of an attribute; empty where there is none."""
    found = re.search(rf"""(?<![\w:]){name}\s*=\s*(?:"([^"]*)"|'([^']*)')""", attributes)
    return html.unescape(found[1] or found[2] or "") if found else ""


def first(pattern: str, text: str) -> str | None:
    """First group of the first match of a pattern; None where there is no match."""
    found = re.search(pattern, text)
    return found.group(1) if found else None


def number(value: Any) -> float | None:
    """Return a finite number, or None; scanners write decimal commas too."""
    try:
        found = float(str(value).replace(",", "."))
    except ValueError:
        return None
    return found if math.isfinite(found) else None
