"""Names of the pictures that a slide's file holds beside the scan."""

from __future__ import annotations

import re

#: Names that scanners and converters give to pictures that are no scan: alone, with "image" or a
#: number, or at the end of the slide's own name ("a.svs - label", "a.ndpi [macro]").
_ASSOCIATED = re.compile(
    r"(?:.*[\[(#:|/]\s*|.*\s-\s+|.*\.\w{2,6}[\s_]+)?(?:slide[\s_-]*|whole[\s_-]*)?"
    r"(label|macro|overview|thumbnail|thumb|barcode|preview|map)"
    r"(?:[\s_-]*(?:image|img|picture|photo))?(?:[\s_#-]*\d{1,4}(?:x\d{1,4})?)?[\])\s]*",
    re.IGNORECASE,
)
_NAME_LENGTH = 120

#: A camera's picture of the glass has pixels of this many µm (resolutions of 72, 96, 150 and 300
#: dots per inch, which say nothing, are larger) and is this many times coarser than the scan.
_MACRO_MPP, _COARSER = (2.5, 60.0), 4.0


def associated_kind(name: str) -> str:
    """What a picture of this name shows, "macro", "label", "thumbnail" …; "" for a scan."""
    found = _ASSOCIATED.fullmatch(name.strip()[-_NAME_LENGTH:])
    return found[1].lower() if found else ""


def is_camera_picture(mpp: float | None, others: list[float | None]) -> bool:
    """Whether a picture of `mpp` µm per pixel is the scanner's photograph of the glass.

    Parameters
    ----------
    mpp : float or None
        None: unknown.
    others : list of float or None
        Pixel sizes of the other pictures of the file.
    """
    if mpp is None or not _MACRO_MPP[0] <= mpp <= _MACRO_MPP[1]:
        return False
    return any(other is not None and other * _COARSER <= mpp for other in others)
