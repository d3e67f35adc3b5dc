"""Where a slide's epithelium and stroma lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.tissue import TissueMask

CLASSES = ("epithelium", "stroma", "lumen")
"""What `EpitheliumMap.values` counts from 1 on."""

#: How each class is drawn, RGB: Okabe and Ito's palette, told apart by the colour blind too.
CLASS_COLORS: Mapping[str, tuple[int, int, int]] = {
    "epithelium": (0, 158, 115),
    "stroma": (230, 159, 0),
    "lumen": (86, 180, 233),
}


@dataclass(frozen=True, eq=False)
class EpitheliumMap:
    """Classes of a slide's tissue: a raster, its corner at the slide's corner.

    Attributes
    ----------
    values : (h, w) uint8 array
        0 outside the tissue, else 1 + the place in `CLASSES`.
    downsample : float
        Level-0 pixels per raster pixel.
    mpp : float
        µm per level-0 pixel.
    """

    values: NDArray[np.uint8]
    downsample: float
    mpp: float

    @property
    def shares(self) -> dict[str, float]:
        """Of the tissue's area, by class."""
        counts = np.bincount(self.values.ravel(), minlength=len(CLASSES) + 1)[1:]
        area = max(int(counts.sum()), 1)
        return {name: int(n) / area for name, n in zip(CLASSES, counts, strict=True)}

    @property
    def tissue_mm2(self) -> float:
        """Area of the tissue."""
        return int((self.values > 0).sum()) * (self.downsample * self.mpp / 1000) ** 2

    @property
    def epithelium(self) -> TissueMask:
        """The epithelium as a mask of tissue: what a run looks at when nothing else is wanted."""
        return TissueMask(self.values == 1 + CLASSES.index("epithelium"), self.downsample)
