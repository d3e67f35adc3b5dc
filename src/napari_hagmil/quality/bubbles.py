"""Air under the cover slip: round, dark, colourless outlines with tissue out of focus inside."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

#: µm: the widest rim, and the smallest bubble.
_RIM_UM, _LEAST_UM = 100.0, 140.0

#: Least absorbance of a rim beyond its surroundings: fine rims, and strong ones that fine lines of
#: tissue would join. How much one channel may have of another.
_DARK, _NEUTRAL = (0.10, 0.18), 2.0

#: Least share of the tissue inside that is out of focus: lumens and vessels are as round.
_UNFOCUSED = 0.3

#: Least share of the outline that is dark, and of the dark that lies on the outline.
_COVERED, _ON_OUTLINE = 0.4, 0.7

#: Largest share of its hull that a rim fills; a heap of cells is as dark all over.
_OPEN = 0.5

#: Least 4π area / perimeter² of the convex hull, and least share of the hull that a hole fills.
_ROUND, _CONVEX = 0.7, 0.9

Bools = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def find_bubbles(density: Floats, um: float, stained: Bools, blurred: Bools) -> Bools:
    """Bubbles over tissue, filled, as (h, w).

    Parameters
    ----------
    density : (h, w, 3) float32 array
        Absorbance.
    um : float
        µm per pixel, about 4.
    stained, blurred : (h, w) bool array
        Where there is tissue, and where it is out of focus.
    """
    found = np.zeros(stained.shape, np.uint8)
    for dark in _DARK:
        rims = _rims(density, um, dark)
        for hull in (*_outlined(rims, um), *_enclosed(rims, um)):
            x, y, width, height = cv2.boundingRect(hull)
            inside = np.zeros((height, width), np.uint8)
            cv2.fillPoly(inside, [hull - (x, y)], 1)
            place = slice(y, y + height), slice(x, x + width)
            tissue = stained[place] & (inside > 0)
            if (blurred[place] & tissue).sum() > _UNFOCUSED * max(int(tissue.sum()), 1):
                found[place] |= inside
    return np.asarray(cv2.dilate(found, _disc(60.0 / um / 2)), bool)


def _rims(density: Floats, um: float, dark: float) -> Bytes:
    """Thin lines that are darker than their surroundings in all channels alike."""
    wide = _disc(_RIM_UM / um)
    added = [cv2.morphologyEx(density[..., c], cv2.MORPH_TOPHAT, wide) for c in range(3)]
    least, most = np.minimum.reduce(added), np.maximum.reduce(added)
    line = ((least > dark) & (most < _NEUTRAL * least)).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(line, cv2.MORPH_CLOSE, _disc(24.0 / um)), np.uint8)


def _outlined(rims: Bytes, um: float) -> Iterator[NDArray[np.int32]]:
    """Convex hulls of lines that run along most of them: broken rims too."""
    for part, corner in _parts(rims, _LEAST_UM / um, 8):
        hull = cv2.convexHull(cv2.findNonZero(part))
        if not _is_round(hull, um) or part.sum() > _OPEN * cv2.contourArea(hull):
            continue
        line = np.zeros(part.shape, np.uint8)
        cv2.polylines(line, [hull], True, 1)
        near = round(16.0 / um) * 2 + 1
        covered = cv2.dilate(part, np.ones((near, near), np.uint8))[line > 0].mean()
        off = cv2.distanceTransform(1 - line, cv2.DIST_L2, 3)[part > 0]
        if covered > _COVERED and (off < 60.0 / um).mean() > _ON_OUTLINE:
            yield hull + corner


def _enclosed(rims: Bytes, um: float) -> Iterator[NDArray[np.int32]]:
    """Convex hulls of round areas that lines enclose: rims that cross others."""
    height, width = rims.shape
    for part, corner in _parts(1 - rims, _LEAST_UM / um, 4):
        x, y = corner
        if min(x, y) == 0 or x + part.shape[1] == width or y + part.shape[0] == height:
            continue
        hull = cv2.convexHull(cv2.findNonZero(part))
        if _is_round(hull, um) and part.sum() > _CONVEX * cv2.contourArea(hull):
            yield hull + corner


def _parts(
    mask: Bytes, side: float, connectivity: int
) -> Iterator[tuple[Bytes, NDArray[np.int32]]]:
    """Each connected area of at least that extent, cut out, and its corner (x, y)."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=connectivity)
    for label in range(1, count):
        x, y, w, h = (int(n) for n in stats[label, :4])
        if min(w, h) >= side / 2 and max(w, h) >= side:
            part = (labels[y : y + h, x : x + w] == label).astype(np.uint8)
            yield part, np.array([x, y], np.int32)


def _is_round(hull: NDArray[np.int32], um: float) -> bool:
    area, length = cv2.contourArea(hull), cv2.arcLength(hull, True)
    least = np.pi / 4 * (_LEAST_UM / um) ** 2
    return bool(area >= least and 4 * np.pi * area > _ROUND * length**2)


def _disc(pixels: float) -> Bytes:
    side = 2 * round(pixels / 2) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
