"""What shows at 8 µm per pixel: folds, and ink that crosses tissue."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

#: µm a side of the window that tissue is compared with: a fold fills less than half of it.
_AROUND_UM = 568.0

#: How many times as dense as around, in both dyes, the middle of a fold is, and its rim.
_DOUBLED, _RIM = 1.5, 1.25

#: Side of the square with the area of the smallest fold, and of the smallest ink on tissue, µm.
_FOLD_UM, _INK_UM = 50.0, 150.0

#: Absorbance of red, green and blue by haematoxylin and by eosin (Ruifrok and Johnston 2001).
_DYES = np.array([(0.65, 0.70, 0.29), (0.07, 0.99, 0.11)], np.float32)

#: Absorbance below which a place says nothing about the dyes.
_STAINED = 0.12

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]


def find_folds(density: Floats, tissue: Bools, um: float) -> Bools:
    """Where tissue lies on itself: both dyes are about twice as dense as around.

    Crowded nuclei add haematoxylin alone, blood and collagen eosin alone.

    Parameters
    ----------
    density : (h, w, 3) float32 array
        Absorbance.
    tissue : (h, w) bool array
        Without ink.
    um : float
        µm per pixel, about 8.
    """
    dyes = _DYES / np.linalg.norm(_DYES, axis=1, keepdims=True)
    amounts = np.maximum(cv2.GaussianBlur(density, (0, 0), 1.0) @ np.linalg.pinv(dyes), 0)
    known = tissue & (density.mean(axis=2) > _STAINED)
    times = np.full(tissue.shape, np.inf, np.float32)
    for dye in range(2):
        usual = _median_around(amounts[..., dye], known, um)
        times = np.minimum(times, amounts[..., dye] / np.maximum(usual, 0.05))
    middle = larger_than(tissue & (times > _DOUBLED), (24.0 / um) ** 2)
    found = touching(tissue & (times > _RIM), middle)
    closed = cv2.morphologyEx(found.view(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    return larger_than(closed.astype(bool) & tissue, (_FOLD_UM / um) ** 2)


def find_ink(ink: Bools, density: Floats, tissue: Bools, um: float) -> Bools:
    """Marker ink on the glass, where it was found already, and where it crosses tissue.

    On tissue the dyes and the ink absorb together: what is more than around is the ink's.
    """
    known = tissue & ~ink & (density.mean(axis=2) > _STAINED)
    if not known.any():
        return ink
    # Below the median, since ink that is yet to be found is dark.
    usual = np.percentile(density[known], 35, axis=0)
    more = np.maximum(cv2.GaussianBlur(density, (0, 0), 1.0) - usual, 0).astype(np.float32)
    crossing = larger_than(_is_ink(more) & tissue, (_INK_UM / um) ** 2)
    wide = cv2.dilate(ink.view(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    large = larger_than(crossing, (2 * _INK_UM / um) ** 2)
    return ink | large | touching(crossing | wide, wide) & crossing


def _is_ink(more: Floats) -> Bools:
    """Whether added absorbance has the hue of blue, green or black ink."""
    red, green, blue = (more[..., c] for c in range(3))
    low, high = more.min(axis=2), more.max(axis=2)
    return np.asarray(
        (red > 0.3) & (red > 1.05 * green) & (blue < 0.6 * red)  # blue
        | (np.minimum(red, blue) > 0.25) & (green < 0.85 * np.minimum(red, blue))  # green
        | (low > 0.3) & (high < 1.5 * low)  # black
    )


def _median_around(values: Floats, known: Bools, um: float) -> Floats:
    """Median over a window of what is known; where little is, of the mean."""
    side = 2 * round(_AROUND_UM / um / 2) + 1
    weight = cv2.GaussianBlur(known.astype(np.float32), (0, 0), side / 3)
    mean = cv2.GaussianBlur(np.where(known, values, 0).astype(np.float32), (0, 0), side / 3)
    filled = np.where(known, values, mean / np.maximum(weight, 1e-3))
    scale = 255 / 2.0  # absorbance above 2 is black
    levels = np.clip(filled * scale, 0, 255).astype(np.uint8)
    return np.asarray(cv2.medianBlur(levels, side) / scale, np.float32)


def larger_than(mask: Bools, pixels: float) -> Bools:
    """The connected areas of a mask with at least so many pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    kept = stats[:, cv2.CC_STAT_AREA] >= pixels
    kept[0] = False
    return np.asarray(kept[labels])


def touching(mask: Bools, seeds: Bools) -> Bools:
    """The connected areas of a mask in which a seed lies."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    kept = np.zeros(count, bool)
    kept[np.unique(labels[seeds & mask])] = True
    kept[0] = False
    return np.asarray(kept[labels])
