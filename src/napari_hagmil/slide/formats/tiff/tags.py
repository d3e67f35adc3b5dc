"""What the vendors write into their TIFFs: pixel size, objective, kind of light, channels.

XML is searched by regular expressions and not parsed: descriptions come cut short or malformed, and
a parser would expand the entities of a hostile one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from napari_hagmil.slide.interface import Channel, PixelSize

_MICROMETRES = {"µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}
_UNIT_TAG = {2: 25400.0, 3: 10000.0}  # µm per inch, per centimetre
#: Private tags of Hamamatsu: magnification of the objective, fluorescence filter.
_NDPI_OBJECTIVE, _NDPI_FILTER = 65421, 65434


@dataclass(frozen=True, slots=True)
class VendorFacts:
    """What the tags of a file say.

    Attributes
    ----------
    vendor : str
        Who wrote the file.
    pixel_sizes : tuple of PixelSize
        Best first.
    objective : float or None
        Magnification.
    light : str
        Name of a fluorescence filter; empty for transmitted light.
    """

    vendor: str
    pixel_sizes: tuple[PixelSize, ...]
    objective: float | None
    light: str = ""


def vendor_facts(tiff: Any, page: Any) -> VendorFacts:
    """Read the tags of the finest page.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The open file.
    page : tifffile.TiffPage
        Its finest page.
    """
    text = str(getattr(page, "description", "") or "")
    vendor, stated, objective, light = "generic TIFF", None, None, ""
    if tiff.is_svs:
        vendor, stated, objective = _aperio(text)
    elif tiff.is_ndpi:
        vendor = "Hamamatsu"
        objective = _number(page.tags.valueof(_NDPI_OBJECTIVE))
        light = str(page.tags.valueof(_NDPI_FILTER) or "").strip()
    elif tiff.is_qpi:
        vendor = "Akoya"
        objective = _number(_first(r"<Objective>\s*([\d.]+)\s*[x×]?\s*</Objective>", text))
    elif tiff.is_philips:
        vendor, stated = "Philips", _philips(text)
    elif tiff.is_scn:
        vendor = "Leica"
        objective = _number(_first(r"<objective>\s*([\d.]+)", str(tiff.pages[0].description)))
    elif tiff.is_ome:
        # The OME text stands in the first page, which need not be the finest.
        vendor, stated, objective = _ome(str(tiff.pages[0].description or ""))
    sizes = tuple(s for s in (stated, _resolution(page)) if s is not None)
    return VendorFacts(vendor, sizes, objective, light)


def _aperio(text: str) -> tuple[str, PixelSize | None, float | None]:
    fields = {
        key.strip().lower(): value.strip()
        for key, found, value in (part.partition("=") for part in text.split("|"))
        if found
    }
    mpp = _number(fields.get("mpp"))
    size = PixelSize((mpp, mpp), "Aperio MPP tag") if mpp is not None else None
    return "Aperio", size, _number(fields.get("appmag"))


def _ome(text: str) -> tuple[str, PixelSize | None, float | None]:
    pixels = _first(r"<(?:\w+:)?Pixels\b([^>]*)>", text) or ""
    sides = []
    for axis in "YX":
        value = _number(_first(rf'PhysicalSize{axis}="([^"]*)"', pixels))
        unit = _first(rf'PhysicalSize{axis}Unit="([^"]*)"', pixels) or "µm"
        if value is not None and unit in _MICROMETRES:
            sides.append(value * _MICROMETRES[unit])
    size = PixelSize((sides[0], sides[1]), "OME PhysicalSize") if len(sides) == 2 else None
    return "OME", size, _number(_first(r'NominalMagnification="([^"]*)"', text))


def _philips(text: str) -> PixelSize | None:
    found = re.search(
        r'DICOM_PIXEL_SPACING"[^>]*>\s*(?:&quot;|")([\d.eE+-]+)(?:&quot;|")\s+(?:&quot;|")([\d.eE+-]+)',
        text,
    )
    sides = [_number(v) for v in found.groups()] if found else []
    if len(sides) != 2 or sides[0] is None or sides[1] is None:
        return None
    return PixelSize((sides[0] * 1e3, sides[1] * 1e3), "Philips pixel spacing")


def _resolution(page: Any) -> PixelSize | None:
    unit = _UNIT_TAG.get(int(page.tags.valueof(296, 0) or 0))
    if unit is None:
        return None
    sides = []
    for tag in (283, 282):
        value = page.tags.valueof(tag)
        if not isinstance(value, tuple) or len(value) != 2 or not value[0] or not value[1]:
            return None
        sides.append(unit * value[1] / value[0])
    return PixelSize((sides[0], sides[1]), "TIFF resolution")


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
        found = [_akoya_channel(str(getattr(page, "description", "") or "")) for page in pages]
    elif tiff.is_ome:
        found = list(_ome_channels(str(tiff.pages[0].description or "")))
    else:
        found = []
    return tuple(found)


def _akoya_channel(text: str) -> Channel:
    """Each page tells its own; the first Name is the channel's, later ones are its filters'."""
    name = re.search(r"<Name>([^<]*)</Name>", text)
    color = re.search(r"<Color>\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*</Color>", text)
    shares = [min(int(value), 255) for value in color.groups()] if color else []
    return Channel(name.group(1).strip() if name else "", bytes(shares).hex())


def _ome_channels(text: str) -> Iterator[Channel]:
    """Channels of the first image; a colour is a signed integer of red, green, blue, alpha."""
    image = re.search(r"<(?:\w+:)?Pixels\b.*?</(?:\w+:)?Pixels>", text, re.DOTALL)
    for attributes in re.findall(r"<(?:\w+:)?Channel\b([^>]*)>", image.group(0) if image else ""):
        name = re.search(r'\bName="([^"]*)"', attributes)
        color = re.search(r'\bColor="(-?\d{1,10})"', attributes)
        rgba = f"{int(color.group(1)) & 0xFFFFFFFF:08x}" if color else ""
        yield Channel(name.group(1) if name else "", rgba[:6])


def _first(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found.group(1) if found else None


def _number(value: Any) -> float | None:
    """Return a finite number, or None; scanners write decimal commas too."""
    try:
        number = float(str(value).replace(",", "."))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
