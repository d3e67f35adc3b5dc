"""Read vendors' TIFF tags: pixel size, objective, kind of light, channels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from napari_hagmil.slide.color_profile import MAX_PROFILE_BYTES, bounded
from napari_hagmil.slide.formats.tiff.stated import StatedPicture, first, number
from napari_hagmil.slide.interface import PHANTOM, Channel, PixelSize

_UNIT_TAG = {2: 25400.0, 3: 10000.0}  # µm per inch, per centimetre
_ICC_PROFILE = 34675
#: Private tags of Hamamatsu: magnification of the objective, fluorescence filter.
_NDPI_OBJECTIVE, _NDPI_FILTER = 65421, 65434


@dataclass(frozen=True, slots=True)
class VendorFacts:
    """What the tags of a file say about the slide.

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


def vendor_facts(tiff: Any, page: Any, picture: StatedPicture | None) -> VendorFacts:
    """Read the tags that describe the slide among the pictures of a file.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The open file.
    page : tifffile.TiffPage
        The finest page of the slide.
    picture : StatedPicture or None
        What XML says of the slide.
    """
    text = str(getattr(page, "description", "") or "")
    vendor, stated, objective, light = "generic TIFF", None, None, ""
    if tiff.is_svs:
        vendor, stated, objective = _aperio(text)
    elif tiff.is_ndpi:
        vendor = "Hamamatsu"
        objective = number(page.tags.valueof(_NDPI_OBJECTIVE))
        light = str(page.tags.valueof(_NDPI_FILTER) or "").strip()
    elif tiff.is_qpi:
        vendor = "Akoya"
        objective = number(first(r"<Objective>\s*([\d.]+)\s*[x×]?\s*</Objective>", text))
    elif tiff.is_philips:
        vendor, stated = "Philips", _philips(text)
    elif text.startswith(PHANTOM):
        vendor = PHANTOM
    elif tiff.is_scn or tiff.is_ome:
        vendor = "Leica" if tiff.is_scn else "OME"
        if picture is not None:
            stated, objective = picture.size, picture.objective
    resolution = tiff_resolution(page)
    # Leica's resolution tags are those of the page; its views are rounded.
    sizes = (resolution, stated) if tiff.is_scn else (stated, resolution)
    return VendorFacts(vendor, tuple(s for s in sizes if s is not None), objective, light)


def _aperio(text: str) -> tuple[str, PixelSize | None, float | None]:
    fields = {
        key.strip().lower(): value.strip()
        for key, found, value in (part.partition("=") for part in text.split("|"))
        if found
    }
    mpp = number(fields.get("mpp"))
    size = PixelSize((mpp, mpp), "Aperio MPP tag") if mpp is not None else None
    return "Aperio", size, number(fields.get("appmag", "").rstrip(" xX×"))


def _philips(text: str) -> PixelSize | None:
    found = re.search(
        r'DICOM_PIXEL_SPACING"[^>]*>\s*(?:&quot;|")([\d.eE+-]+)(?:&quot;|")\s+(?:&quot;|")([\d.eE+-]+)',
        text,
    )
    sides = [number(v) for v in found.groups()] if found else []
    if len(sides) != 2 or sides[0] is None or sides[1] is None:
        return None
    return PixelSize((sides[0] * 1e3, sides[1] * 1e3), "Philips pixel spacing")


def tiff_resolution(page: Any) -> PixelSize | None:
    """Pixel size by the resolution tags; None where they have no unit or no value.

    Parameters
    ----------
    page : tifffile.TiffPage
        The page they stand in.
    """
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


def tiff_profile(page: Any) -> bytes:
    """The ICC profile of a page; empty where there is none.

    Parameters
    ----------
    page : tifffile.TiffPage
        The page it stands in.
    """
    tag = page.tags.get(_ICC_PROFILE)
    if tag is None or tag.count > MAX_PROFILE_BYTES:  # read only when asked for its value
        return b""
    return bounded(tag.value)


def tiff_channels(
    tiff: Any, pages: Sequence[Any], picture: StatedPicture | None
) -> tuple[Channel, ...]:
    """What the channels are called, and the colour each is to be shown in.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The open file.
    pages : sequence of tifffile.TiffPage
        Pages of the finest level, in the order of the channels.
    picture : StatedPicture or None
        What XML says of the slide.
    """
    if tiff.is_qpi:
        return tuple(_akoya_channel(str(getattr(p, "description", "") or "")) for p in pages)
    return picture.channels if picture else ()


def _akoya_channel(text: str) -> Channel:
    """Each page tells its own; the first Name is the channel's, later ones are its filters'."""
    name = re.search(r"<Name>([^<]*)</Name>", text)
    color = re.search(r"<Color>\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*</Color>", text)
    shares = [min(int(value), 255) for value in color.groups()] if color else []
    return Channel(name.group(1).strip() if name else "", bytes(shares).hex())
