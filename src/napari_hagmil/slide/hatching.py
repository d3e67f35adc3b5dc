"""Draw places that could not be decoded as diagonal stripes, never as glass.

Stripes are drawn at the resolution that is shown: drawn before an area mean, they would come out
as an even grey, which could pass for tissue.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from napari_hagmil.slide.interface import Pixels

Box = tuple[int, int, int, int]
"""First row and column, and those just after the last."""

#: Width of a stripe, px; its two values in 8 bits, which are in no stain beside each other.
_WIDTH, _DARK, _LIGHT = 8, 64, 160


def hatch(pixels: Pixels, boxes: Iterable[Box], origin: tuple[int, int] = (0, 0)) -> None:
    """Draw stripes over boxes of a picture, in place.

    Parameters
    ----------
    pixels : (h, w, c) array
        What is drawn on.
    boxes : iterable of Box
        px of the picture; may reach outside.
    origin : tuple of int
        Row and column of the picture's first pixel in the whole: stripes run on from one
        block to the next.
    """
    dark, light = _values(pixels.dtype)
    for y0, x0, y1, x1 in boxes:
        part = pixels[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
        rows = np.arange(part.shape[0]) + max(y0, 0) + origin[0]
        columns = np.arange(part.shape[1]) + max(x0, 0) + origin[1]
        stripes = (np.add.outer(rows, columns) // _WIDTH) % 2
        part[:] = np.where(stripes, dark, light).astype(pixels.dtype)[..., None]


def _values(dtype: np.dtype[Any]) -> tuple[float, float]:
    """Two values that can be told apart under any contrast limits."""
    if dtype == np.uint8:
        return _DARK, _LIGHT
    return 0, np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1.0


def scaled(boxes: Iterable[Box], y: float, x: float) -> list[Box]:
    """Boxes in a picture that has `y` and `x` pixels per pixel, grown to whole ones."""
    return [
        (int(y0 * y), int(x0 * x), int(np.ceil(y1 * y)), int(np.ceil(x1 * x)))
        for y0, x0, y1, x1 in boxes
    ]
