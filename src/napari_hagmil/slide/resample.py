"""Shrink pictures by area means, exact where the factor is whole."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from napari_hagmil.slide.interface import Pixels

#: Most source pixels that are held at once while a coarse picture is made: 50 MB of RGB.
BLOCK_PIXELS = 4096 * 4096


def area_mean(pixels: Pixels, factor: int) -> Pixels:
    """Mean of every factor × factor square; partial squares at the end average what they have.

    Parameters
    ----------
    pixels : (h, w, c) array
        uint8, uint16 or float32.
    factor : int
        Pixels per pixel of the result.

    Returns
    -------
    (ceil(h / factor), ceil(w / factor), c) array
    """
    if factor == 1:
        return pixels
    height, width = (side - side % factor for side in pixels.shape[:2])
    rows = [_area_mean_columns(pixels[:height], factor, width)] if height else []
    if height < pixels.shape[0]:
        rows.append(_area_mean_columns(pixels[height:], factor, width))
    return rows[0] if len(rows) == 1 else np.concatenate(rows)


def _area_mean_columns(pixels: Pixels, factor: int, width: int) -> Pixels:
    n_rows = -(-pixels.shape[0] // factor)
    parts = [resize(pixels[:, :width], (n_rows, width // factor))] if width else []
    if width < pixels.shape[1]:
        parts.append(resize(pixels[:, width:], (n_rows, 1)))
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def resize(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
    """Resize to rows and columns: by area where it shrinks, linearly where it grows.

    Parameters
    ----------
    pixels : (h, w, c) array
        uint8, uint16 or float32.
    shape : tuple of int
        Rows and columns of the result.
    """
    if pixels.shape[:2] == shape:
        return pixels
    shrinks = shape[0] <= pixels.shape[0] and shape[1] <= pixels.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    out: Pixels = cv2.resize(np.ascontiguousarray(pixels), shape[::-1], interpolation=method)
    return out.reshape(*shape, pixels.shape[2])


def blocks(shape: tuple[int, int], limit: int) -> Iterator[tuple[slice, slice]]:
    """Cut a picture into blocks of at most `limit` pixels, as square as it goes."""
    side = max(1, int(limit**0.5))
    for y in range(0, shape[0], side):
        for x in range(0, shape[1], side):
            yield slice(y, min(y + side, shape[0])), slice(x, min(x + side, shape[1]))
