"""Attention makes way for the tissue: at high power, and inside the region that is looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.polygons import fill
from napari_hagmil.review import ReviewRegion

#: Up to this magnification attention is as strong as it was set: it leads the eye from afar.
_FULL_TO = 10.0

#: Share of the strength that is left at high power: it can still be seen, and still be set.
_LEAST = 0.25


def strength(magnification: float) -> float:
    """Share of its opacity that attention has at a magnification: half at twice the power."""
    return float(np.clip(_FULL_TO / max(magnification, 1e-9), _LEAST, 1.0))


def cleared(
    values: NDArray[np.float32], placement: dict[str, Any], region: ReviewRegion, mpp: float
) -> NDArray[np.float32]:
    """Values of a raster over the slide, with none inside a region.

    Parameters
    ----------
    values : (h, w) float32
    placement : dict
        The layer's `scale` and `translate`, µm.
    region : ReviewRegion
    mpp : float
        µm per level-0 px.
    """
    rows, columns = (
        (placement["translate"][axis] + placement["scale"][axis] * np.arange(n)) / mpp
        for axis, n in enumerate(values.shape)
    )
    inside = fill((region.polygon, *region.holes), rows, columns)
    return np.where(inside, np.float32(np.nan), values)
