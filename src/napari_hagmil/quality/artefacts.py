"""The artefacts of a slide: where each kind lies, its share, and outlines to leave out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_hagmil.attention.rings import label_areas, trace_rings
from napari_hagmil.polygons import Outline, Rings, outline, without_holes

Kind = Literal["fold", "blur", "pen", "bubble", "pigment"]

KINDS: tuple[Kind, ...] = get_args(Kind)

#: How each kind is drawn, RGB: Okabe and Ito's palette, told apart by the colour blind too.
COLORS: Mapping[str, tuple[int, int, int]] = {
    "fold": (0, 114, 178),
    "blur": (240, 228, 66),
    "pen": (0, 158, 115),
    "bubble": (204, 121, 167),
    "pigment": (213, 94, 0),
}

#: µm² of the smallest place that is worth leaving out: the square of a patch at 40×.
_SMALLEST_UM2 = 64.0**2

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SlideQuality:
    """Where a slide's artefacts lie: one raster per kind, its corner at the slide's corner.

    Attributes
    ----------
    maps : mapping of kind to (h, w) bool array
        Kinds that the slide is too coarse for are missing.
    specimen : (h, w) bool array
        The tissue, with what lies over it.
    downsample : float
        Level-0 pixels per raster pixel.
    mpp : float
        µm per level-0 pixel.
    notes : tuple of str
        What the user should know, as sentences.
    """

    maps: Mapping[Kind, Bools]
    specimen: Bools
    downsample: float
    mpp: float
    notes: tuple[str, ...] = ()

    @property
    def shares(self) -> dict[str, float]:
        """Of the specimen's area, by kind."""
        area = max(int(self.specimen.sum()), 1)
        return {
            kind: float((found & self.specimen).sum()) / area for kind, found in self.maps.items()
        }

    def places(self, kinds: Collection[str], shape: tuple[int, int]) -> tuple[Outline, ...]:
        """Outlines around the artefacts of some kinds, to be left out.

        Parameters
        ----------
        kinds : collection of str
        shape : tuple of int
            Rows and columns of level 0.

        Returns
        -------
        tuple of Outline
            Level-0 px, (y, x), pixel centres at integers. They have no holes: what a stroke of
            ink goes around is not left out with it.
        """
        chosen = [found for kind, found in self.maps.items() if kind in kinds]
        if not chosen:
            return ()
        mask = np.logical_or.reduce(chosen)
        least = _SMALLEST_UM2 / (self.downsample * self.mpp) ** 2
        found: list[Outline] = []
        for _, rings in trace_rings(label_areas(mask)):
            outer, *holes = (self._straight(ring, shape) for ring in rings)
            if _pixels(rings) >= least:
                found += without_holes(Rings(outer, tuple(holes)))
        return tuple(found)

    def _straight(self, ring: NDArray[np.int64], shape: tuple[int, int]) -> Outline:
        """A ring of raster corners as an outline on the slide, its staircases straightened."""
        points = cv2.approxPolyDP(ring[:, ::-1].astype(np.int32), 0.7, True)[:, 0, ::-1]
        corners = points if len(points) >= 3 else ring
        return outline(np.minimum(corners * self.downsample, shape) - 0.5)


def _pixels(rings: list[NDArray[np.int64]]) -> float:
    """Area of an outer ring in raster pixels, less that of its holes."""
    areas = [cv2.contourArea(ring.astype(np.int32)) for ring in rings]
    return float(areas[0] - sum(areas[1:]))
