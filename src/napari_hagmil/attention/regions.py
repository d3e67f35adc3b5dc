"""Attention regions: the places of a map that stand out, as polygons along patch edges.

Patches reach over the slide's edge; regions end there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.attention.grouping import GAP_UM, group_places
from napari_hagmil.attention.maps import AttentionMap
from napari_hagmil.attention.rings import Ring, trace_rings
from napari_hagmil.polygons import Rings, outline, signed_area

Polygon = NDArray[np.float64]
"""(n, 2) corners (y, x) in level-0 px, pixel centres at integers; not closed."""

#: The quarter of the visited nodes with the highest attention: enough to hang together.
DEFAULT_QUANTILE = 0.75

_Edges = tuple[NDArray[np.float64], NDArray[np.float64]]


class RegionPatch(NamedTuple):
    """A patch of a region that stands out.

    Attributes
    ----------
    box : tuple of float
        Its part on the slide: y0, x0, y1, x1 in level-0 px, pixel centres at integers (so at
        halves).
    score : float
        Percentile of its attention, 0 to 100.
    """

    box: tuple[float, float, float, float]
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class AttentionRegion:
    """A place worth showing: patches that stand out, in one branch or close together.

    Attributes
    ----------
    polygon : (n, 2) float64
        Corners (y, x) in level-0 px, pixel centres at integers, along the edges of patches and
        of the slide (so at halves); the last leads to the first; clockwise on the screen.
    score : float
        Percentile, 0 to 100, of its highest node among all visited nodes of the map.
    area_um2 : float
        Area of the polygon without the holes, µm².
    holes : tuple of (m, 2) float64
        Places inside that do not belong to it.
    peak : tuple of float
        Centre (y, x), level-0 px, of its node with the highest value, as far as that lies on the
        slide.
    n_nodes : int
        Nodes that stand out in it.
    patches : tuple of RegionPatch
        What the model saw of them, highest score first.
    """

    polygon: Polygon
    score: float
    area_um2: float
    holes: tuple[Polygon, ...] = ()
    peak: tuple[float, float] = (0.0, 0.0)
    n_nodes: int = 0
    patches: tuple[RegionPatch, ...] = ()

    @property
    def rings(self) -> Rings:
        """Its outlines, for whatever is asked of outlines in general."""
        return Rings(outline(self.polygon), tuple(map(outline, self.holes)))

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Least and greatest row and column: y0, x0, y1, x1 in level-0 px."""
        (y0, x0), (y1, x1) = self.polygon.min(axis=0), self.polygon.max(axis=0)
        return float(y0), float(x0), float(y1), float(x1)


def find_regions(
    amap: AttentionMap,
    *,
    mpp: float,
    slide_shape: tuple[int, int],
    quantile: float = DEFAULT_QUANTILE,
    gap_um: float = GAP_UM,
) -> list[AttentionRegion]:
    """Find the places of high attention, best first.

    Nodes at or above the quantile of all visited nodes stand out. Those of one branch, and those
    with no more than a small gap between them, make one region: see `group_places`. A map
    whose nodes all weigh the same has no region: nothing stands out. Attention and scores
    (percentiles) give the same regions.

    Parameters
    ----------
    amap : AttentionMap
        Of one stage.
    mpp : float
        µm per level-0 px.
    slide_shape : tuple of int
        Rows and columns of level 0: no region reaches beyond them, and no area counts that does.
    quantile : float
        Share of the visited nodes that stay below, 0 to 1.
    gap_um : float
        The widest gap within a region, µm; 0: only nodes that share a side hang together.

    Returns
    -------
    list of AttentionRegion
        By descending score, then area, then place from top left.
    """
    if not 0 <= quantile <= 1:
        raise ValueError(
            f"the quantile of attention regions must lie in 0 to 1, got {quantile}; "
            "give for instance 0.9"
        )
    edges = amap.edges_on(slide_shape)
    on_slide = (np.diff(edges[0]) > 0)[:, None] & (np.diff(edges[1]) > 0)
    chosen = _stands_out(amap.values, quantile) & on_slide
    labels = np.where(on_slide, group_places(chosen, amap, mpp=mpp, gap_um=gap_um), 0)
    scores = _percentiles(amap.values)
    members = _places(np.where(chosen, labels, 0))
    found = []
    for (_, rings), places in zip(trace_rings(labels), members, strict=True):
        polygon, *holes = (_at_edges(edges, ring) for ring in rings)
        # Holes run the other way round: their area is negative.
        area = sum(map(signed_area, (polygon, *holes))) * mpp**2
        inside = tuple(places.T)
        peak = _centre(edges, places[amap.values[inside].argmax()])
        patches = _patches(edges, places, scores[inside])
        score = float(scores[inside].max())
        region = AttentionRegion(polygon, score, area, tuple(holes), peak, len(places), patches)
        found.append(region)
    return sorted(found, key=lambda region: (-region.score, -region.area_um2, region.bounds))


def _stands_out(values: NDArray[np.float32], quantile: float) -> NDArray[np.bool_]:
    """Which nodes are at or above the quantile; none where all weigh the same."""
    visited = values[np.isfinite(values)]
    if not visited.size or visited.min() == visited.max():
        return np.zeros(values.shape, bool)
    return values >= np.quantile(visited, quantile)


def _percentiles(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Share of the visited nodes that are no higher, 0 to 100, as `Stage.scores`."""
    visited = np.sort(values[np.isfinite(values)])
    position = np.searchsorted(visited, values, side="right")
    return np.where(np.isfinite(values), 100.0 * position / max(len(visited), 1), np.nan)


def _places(labels: NDArray[np.int32]) -> list[NDArray[np.int64]]:
    """Raster pixels (row, column) of label 1, 2, …, each (n, 2)."""
    row, column = np.nonzero(labels)
    label = labels[row, column]
    order = np.argsort(label, kind="stable")
    counts = np.bincount(label)[1:]
    split = np.split(np.stack([row, column], axis=1)[order], np.cumsum(counts)[:-1])
    return split if counts.size else []


def _patches(
    edges: _Edges, places: NDArray[np.int64], scores: NDArray[np.float64]
) -> tuple[RegionPatch, ...]:
    """Raster pixels (row, column) as patches, highest score first."""
    (y, x), (row, column) = edges, places.T
    boxes = np.stack([y[row], x[column], y[row + 1], x[column + 1]], axis=1)
    order = np.argsort(-scores, kind="stable")
    return tuple(
        RegionPatch((y0, x0, y1, x1), score)
        for (y0, x0, y1, x1), score in zip(
            boxes[order].tolist(), scores[order].tolist(), strict=True
        )
    )


def _at_edges(edges: _Edges, ring: Ring) -> Polygon:
    """Corners (row, column) of a ring as (y, x) in level-0 px."""
    return np.stack([edges[0][ring[:, 0]], edges[1][ring[:, 1]]], axis=1)


def _centre(edges: _Edges, node: NDArray[np.int64]) -> tuple[float, float]:
    """Centre of one raster pixel (row, column), (y, x) in level-0 px."""
    y, x = (float(along[i] + along[i + 1]) / 2 for along, i in zip(edges, node, strict=True))
    return y, x
