"""A small picture of the whole slide, with its attention as a tint."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from napari.utils.colormaps import ensure_colormap
from numpy.typing import NDArray

from napari_hagmil.attention import AttentionMap
from napari_hagmil.slide.shown import in_8_bits, white_of

#: Share of the attention's colour in the tint.
_TINT = 0.45

Picture = NDArray[np.uint8]


def overview_picture(
    overview: NDArray[Any], side: int, *, rgb: bool = True, white: float | None = None
) -> Picture:
    """The slide as an RGB picture.

    Parameters
    ----------
    overview : (h, w, c) array
        The whole slide; RGB is kept (more than 8 bits between black and white), other channels
        become grey.
    side : int
        Longest side of the picture, px; smaller overviews are not enlarged.
    rgb : bool
        Whether the channels are red, green and blue.
    white : float or None
        Value of white in more than 8 bits; None: found in the picture (`slide.shown.white_of`).

    Returns
    -------
    (h, w, 3) uint8
    """
    scale = min(1.0, side / max(overview.shape[:2]))
    size = [max(1, round(one * scale)) for one in overview.shape[1::-1]]
    picture = cv2.resize(_as_rgb(overview, rgb, white), size, interpolation=cv2.INTER_AREA)
    return np.asarray(picture, dtype=np.uint8)


def tinted(
    picture: Picture, slide_shape: tuple[int, int], amap: AttentionMap, colormap: str
) -> Picture:
    """The picture of a slide under its attention; places without attention stay clear.

    Parameters
    ----------
    picture : (h, w, 3) uint8
        The whole slide.
    slide_shape : tuple of int
        Rows and columns of level 0.
    amap : AttentionMap
        Percentiles; NaN: no attention.
    colormap : str
        A name that napari knows.
    """
    rows, columns = (_cells(amap, axis, picture.shape, slide_shape) for axis in (0, 1))
    inside = np.ix_(rows >= 0, columns >= 0)
    values = np.full(picture.shape[:2], np.nan, dtype=np.float32)
    values[inside] = amap.values[np.ix_(rows[rows >= 0], columns[columns >= 0])]
    known = np.isfinite(values)
    colors = ensure_colormap(colormap).map(values[known] / 100)[:, :3] * 255
    out = picture.copy()
    out[known] = ((1 - _TINT) * picture[known] + _TINT * colors).astype(np.uint8)
    return out


def _cells(
    amap: AttentionMap, axis: int, shape: tuple[int, ...], slide_shape: tuple[int, int]
) -> NDArray[np.int64]:
    """Which cell of the map each pixel of the picture shows along an axis; −1: none."""
    at = (np.arange(shape[axis]) + 0.5) * slide_shape[axis] / shape[axis]
    cells = np.floor((at - amap.origin[axis]) / amap.downsample).astype(np.int64)
    return np.where((cells >= 0) & (cells < amap.values.shape[axis]), cells, -1)


def _as_rgb(overview: NDArray[Any], rgb: bool, white: float | None) -> Picture:
    if rgb:
        return np.ascontiguousarray(in_8_bits(overview[..., :3], white or white_of(overview)))
    channels = np.atleast_3d(overview).astype(np.float32)
    # A channel may use a corner of its range; a single hot pixel is not its top.
    low, high = np.percentile(channels, (1, 99.8), axis=(0, 1))
    shares = np.clip((channels - low) / np.maximum(high - low, 1e-6), 0, 1)
    return np.repeat((255 * shares.mean(axis=2)).astype(np.uint8)[..., None], 3, axis=2)
