"""Treat transparent pixels as glass: blend them onto white, whatever colour they hold."""

from __future__ import annotations

from typing import Literal

import numpy as np

from napari_hagmil.slide.interface import Pixels

Alpha = Literal["straight", "multiplied", "unsure"]
"""How colours stand beside their opacity: as they are, already times it, or perhaps none of both:
a fourth sample that the file does not explain."""


def on_white(pixels: Pixels, alpha: Alpha = "straight") -> Pixels:
    """Blend pixels with an alpha channel onto white.

    Parameters
    ----------
    pixels : (h, w, 4) array
        Red, green, blue, opacity; of an unsigned type or float of 0 to 1.
    alpha : str
        What the fourth sample is. When unsure, only black places of opacity 0 become white.

    Returns
    -------
    (h, w, 3) array
        Of the same type.
    """
    colours, opacity = pixels[..., :3], pixels[..., 3:]
    whole = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    if alpha == "unsure":
        empty = (opacity == 0) & (colours == 0).all(axis=2, keepdims=True)
        return np.where(empty, pixels.dtype.type(whole), colours)
    if (opacity == whole).all():
        return np.ascontiguousarray(colours)
    exact = np.float64 if pixels.dtype.itemsize > 1 else np.float32
    share: Pixels = np.divide(opacity, whole, dtype=exact)
    shown = np.asarray(colours * share if alpha == "straight" else colours, share.dtype)
    shown = np.minimum(shown + whole * (1 - share), whole)
    return np.asarray(np.rint(shown) if pixels.dtype.kind == "u" else shown, pixels.dtype)
