"""What shows at 10× only: focus and grains, of one picture at about 1 µm per pixel."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

#: px a side of the cell that gets one value; 8 µm, as a pixel of the tissue mask.
CELL = 8

#: px around a picture that its cells depend on.
HALO = 64

#: Least ratio of the finest detail (0 to 1 µm) to that twice as coarse. Sharp tissue has 1.0 to 2.4
#: (1st to 99th percentile of three scans and phantoms), blurred by 1 µm 0.6 to 0.8, by 1.5 µm 0.5
#: to 0.6.
SHARP = 0.72

#: Coarser detail (grey levels, squared) below which nothing tells sharp from blurred.
_FLAT = 0.5

#: Least absorbance of blue in pigment, and least shares of blue and red in that of green. Both
#: dyes absorb half as much blue as green, and haemoglobin hardly any red.
_BLUE, _BLUE_SHARE, _RED_SHARE = 0.45, 0.75, 0.35

#: Share of a window of 24 µm that grains cover.
GRAINY = 0.08

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]


def detail(image: Image) -> tuple[Floats, Floats]:
    """Squared detail of 0 to 1 µm, and of 1 to 2 µm, about the centre of each cell.

    Parameters
    ----------
    image : (h, w, 3) uint8 array
        RGB at about 1 µm per pixel; whole cells.
    """
    green = image[..., 1].astype(np.float32)
    once, twice = (cv2.GaussianBlur(green, (0, 0), sigma) for sigma in (1.0, 2.0))
    around = [
        cv2.GaussianBlur(band * band, (0, 0), 2.0 * CELL)[CELL // 2 :: CELL, CELL // 2 :: CELL]
        for band in (green - once, once - twice)
    ]
    return around[0], around[1]


def is_blurred(fine: Floats, coarse: Floats, noise: tuple[float, float]) -> NDArray[np.bool_]:
    """Where the finest detail is missing, `noise` being what the glass has of both."""
    seen = np.maximum(coarse - noise[1], 0) + _FLAT
    return np.asarray(np.maximum(fine - noise[0], 0) < SHARP**2 * seen)


def grains(image: Image, glass: Floats) -> Floats:
    """Share of brown and black pixels within 24 µm of the centre of each cell.

    Parameters
    ----------
    image : (h, w, 3) uint8 array
        RGB; whole cells.
    glass : (3,) array
        Colour of the glass.
    """
    levels = np.maximum(np.arange(256, dtype=np.float32), 1)
    red, green, blue = (
        np.maximum(np.log10(glass[c] / levels), 0).astype(np.float32)[image[..., c]]
        for c in range(3)
    )
    dark = (blue > _BLUE) & (blue > _BLUE_SHARE * green) & (red > _RED_SHARE * green)
    share = cv2.blur(dark.astype(np.float32), (3 * CELL, 3 * CELL))
    return np.asarray(share[CELL // 2 :: CELL, CELL // 2 :: CELL], np.float32)
