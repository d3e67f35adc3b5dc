"""The ICC profile of a slide: what its numbers look like, and its pixels in sRGB."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageCms

from napari_hagmil.slide.interface import Pixels

Colors = Literal["file", "srgb"]
"""What pixels hold: the numbers of the file, or those that its profile gives for sRGB."""

#: Larger profiles are none: those of scanners have up to 3 MB.
MAX_PROFILE_BYTES = 2**24

_LONGEST_NAME = 80


class ColorProfile:
    """An ICC profile of RGB.

    Parameters
    ----------
    data : bytes
        The profile, as it stands in the file.

    Attributes
    ----------
    name : str
        Its description, shortened; "unnamed" where it has none.

    Raises
    ------
    ValueError
        When it is no profile, or one of other colours than RGB.
    """

    def __init__(self, data: bytes) -> None:
        if len(data) > MAX_PROFILE_BYTES:
            raise ValueError("it is too large")
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
            colors = str(profile.profile.xcolor_space).strip()
            name = str(ImageCms.getProfileDescription(profile))
            if colors != "RGB":
                raise ValueError(f"it is of {colors}")
            # Built here, for a profile that opens may still hold no way to other colours.
            self._transform: Any = ImageCms.buildTransform(
                profile, ImageCms.createProfile("sRGB"), "RGB", "RGB"
            )
        except (ImageCms.PyCMSError, OSError) as error:
            raise ValueError("it is damaged") from error
        printable = "".join(c for c in name if c.isprintable()).strip()
        self.name = printable[:_LONGEST_NAME] or "unnamed"

    def to_srgb(self, pixels: Pixels) -> Pixels:
        """(h, w, 3) uint8 in the colours of the profile → the same in sRGB, a new array.

        By the intent that profiles state for looking (perceptual). From any number of threads.
        """
        if not pixels.size:
            return pixels.copy()
        picture = Image.fromarray(np.ascontiguousarray(pixels))
        return np.array(ImageCms.applyTransform(picture, self._transform))


def usable_profile(data: bytes) -> ColorProfile | None:
    """A slide's profile; None where it has none, or one that leads nowhere."""
    if not data:
        return None
    with contextlib.suppress(ValueError):
        return ColorProfile(data)
    return None


def embedded_profile(path: Any) -> bytes:
    """The profile in a PNG or JPEG; empty where there is none. No pixel is decoded."""
    with contextlib.suppress(Exception), warnings.catch_warnings():  # a parser raises anything
        warnings.simplefilter("ignore")  # of sizes, which the reader of the picture judges
        with Image.open(path) as picture:
            return bounded(picture.info.get("icc_profile"))
    return b""


def bounded(data: object) -> bytes:
    """A profile as it stands in a file; empty where it is none, or larger than any."""
    found = bytes(data) if isinstance(data, bytes | bytearray) else b""
    return found if len(found) <= MAX_PROFILE_BYTES else b""
