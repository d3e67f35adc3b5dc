"""Display colours of more than 8 bits: from black to the white of the scanner."""

from __future__ import annotations

import numpy as np

from napari_hagmil.slide.interface import Pixels

#: Bits that cameras have; a file of 16 bits a sample may use fewer.
_BITS = (8, 10, 12, 14, 16)


def white_of(pixels: Pixels) -> float:
    """Value of white in a picture of a whole slide: the largest that its camera can give.

    Parameters
    ----------
    pixels : array
        RGB of the whole slide, at any resolution; float has 0 to 1.
    """
    if pixels.dtype.kind != "u":
        return 1.0
    top = int(pixels.max(initial=0))
    return float(2 ** next(bits for bits in _BITS if top < 2**bits) - 1)


def in_8_bits(pixels: Pixels, white: float) -> Pixels:
    """Colours as bytes, `white` as 255."""
    if pixels.dtype == np.uint8:
        return pixels
    shares = np.clip(pixels.astype(np.float32) * (255 / white), 0, 255)
    return np.asarray(np.rint(shares), np.uint8)
