"""Coordinates: regions in level-0 pixels, pixel size and magnification.

Coordinates are (y, x) in level-0 pixels, pixel centres at integers, as in napari. Files
that speak (x, y) with pixel edges at integers are converted here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: µm per pixel times magnification: 0.25 µm/px is shown as 40×.
MPP_AT_1X = 10.0

#: Pixel sizes outside this range (µm per pixel of level 0) must be confirmed by the user.
PLAUSIBLE_MPP = (0.05, 10.0)


@dataclass(frozen=True, slots=True)
class Region:
    """An axis-aligned rectangle of whole level-0 pixels.

    Attributes
    ----------
    y, x : int
        The first row and column; may be negative or beyond the slide.
    height, width : int
        Rows and columns, at least 1.
    """

    y: int
    x: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(
                f"a Region spans at least 1×1 pixel, got {self.height}×{self.width}; "
                "give a positive height and width"
            )

    @property
    def stop(self) -> tuple[int, int]:
        """The row and column just after the last."""
        return self.y + self.height, self.x + self.width


def square_around(
    bounds: tuple[float, float, float, float], side: float, slide_shape: tuple[int, int]
) -> Region:
    """The square around a place, for a picture; moved so that it stays on the slide.

    Parameters
    ----------
    bounds : tuple of float
        Least and greatest row and column, y0, x0, y1, x1, of the place, level-0 px.
    side : float
        Of the square, level-0 px. Along an axis on which the slide has less, the square lies in
        the middle of the slide.
    slide_shape : tuple of int
        Rows and columns of level 0.
    """
    y0, x0, y1, x1 = bounds
    length = max(round(side), 1)
    starts = []
    for low, high, extent in ((y0, y1, slide_shape[0]), (x0, x1, slide_shape[1])):
        wanted, last = round((low + high + 1 - length) / 2), extent - length
        starts.append(min(max(wanted, 0), last) if last >= 0 else last // 2)
    return Region(starts[0], starts[1], length, length)


def magnification(mpp: float) -> float:
    """Objective magnification that is displayed for a pixel size in µm: 10 / mpp."""
    return MPP_AT_1X / mpp


def magnification_text(value: float) -> str:
    """A magnification to three digits at least, no power of ten: ``"7.5×"``, ``"3200×"``."""
    return f"{value:.0f}×" if value >= 1000 else f"{value:.3g}×"


def magnification_label(mpp: float) -> str:
    """Magnification as people write it: ``"40×"``, ``"2.5×"``.

    Scanners write 0.2275 to 0.2527 µm/px for what everyone calls 40×; within 15 % of a
    doubling of 1.25× the doubling is shown.
    """
    value = magnification(mpp)
    nominal = 1.25 * 2.0 ** np.round(np.log2(value / 1.25))
    if abs(value / nominal - 1) <= 0.15:
        value = float(nominal)
    return magnification_text(value)


def is_plausible_mpp(mpp: float | None) -> bool:
    """Whether a pixel size (µm) can be that of a light-microscopy slide."""
    return mpp is not None and PLAUSIBLE_MPP[0] <= mpp <= PLAUSIBLE_MPP[1]


def overlay_placement(
    downsample: float, mpp: float, origin: tuple[float, float] = (0.0, 0.0)
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Scale and translation (µm) that lay a raster of coarse pixels over the slide.

    The centre of coarse pixel (0, 0) lies half a coarse pixel, less half a fine one, from
    the centre of level-0 pixel `origin`. Without that term a heat map sits half a patch off.

    Parameters
    ----------
    downsample : float
        Level-0 pixels per raster pixel.
    mpp : float
        µm per level-0 pixel.
    origin : tuple of float
        The level-0 pixel (y, x) whose corner is the raster's corner.
    """
    scale = mpp * downsample
    y, x = (mpp * (o + (downsample - 1) / 2) for o in origin)
    return (scale, scale), (y, x)


def to_file_xy(points: ArrayLike) -> NDArray[np.float64]:
    """(y, x) with pixel centres at integers → (x, y) with pixel edges at integers."""
    return np.asarray(points, dtype=np.float64)[..., ::-1] + 0.5


def from_file_xy(points: ArrayLike) -> NDArray[np.float64]:
    """(x, y) with pixel edges at integers → (y, x) with pixel centres at integers."""
    return np.asarray(points, dtype=np.float64)[..., ::-1] - 0.5
