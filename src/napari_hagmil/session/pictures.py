"""Small pictures of nodes, read in the background and cached."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.errors import HagmilError
from napari_hagmil.geometry import Region
from napari_hagmil.quadtree import PatchGrid
from napari_hagmil.slide import Slide, read_scaled

#: Side of a picture, px, and how many are kept (64 KiB each).
SIDE, KEPT = 128, 512

Picture = NDArray[np.uint8]


class Pictures:
    """A cache of pictures of nodes; the oldest are dropped first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, int, int, int, int], Picture] = OrderedDict()

    def known(self, slide: Slide, grid: PatchGrid, node: tuple[int, int]) -> Picture | None:
        """The cached picture of a node; None when it was never read."""
        return self._kept.get(_key(slide, grid.region(node)))

    def read(self, slide: Slide, grid: PatchGrid, node: tuple[int, int]) -> Picture:
        """(128, 128, 3) uint8 of a node, grey where it cannot be read; for a worker's thread."""
        region = grid.region(node)
        key = _key(slide, region)
        if key not in self._kept:
            try:
                picture = slide.shown(
                    read_scaled(slide, region, (SIDE, SIDE), mark_unreadable=True)
                )
            except HagmilError:
                picture = np.full((SIDE, SIDE, 3), 90, np.uint8)
            self._kept[key] = np.ascontiguousarray(picture[..., :3], dtype=np.uint8)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return self._kept[key]


def _key(slide: Slide, region: Region) -> tuple[str, str, int, int, int, int]:
    return slide.fingerprint, slide.colors, region.y, region.x, region.height, region.width
