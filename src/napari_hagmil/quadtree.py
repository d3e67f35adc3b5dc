"""The quadtree of patches: one grid per depth, nodes as arrays of addresses.

Depth 0 is the coarsest. The four children of node (row, column) are, in this order,
(2r, 2c), (2r, 2c+1), (2r+1, 2c), (2r+1, 2c+1): child ``c`` of node ``i`` of a list stands
at ``4·i + c`` of the children's list. Lists follow the Z-order curve, so that neighbours in
a bag are neighbours on the glass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_hagmil.geometry import Region

Nodes = NDArray[np.int64]
"""(n, 2) addresses (row, column) in the grid of one depth."""

_CHILD_OFFSETS = np.array([(0, 0), (0, 1), (1, 0), (1, 1)], dtype=np.int64)


class Mask(Protocol):
    """A boolean raster over the slide, its corner at the slide's corner."""

    @property
    def values(self) -> NDArray[np.bool_]: ...  # noqa: D102
    @property
    def downsample(self) -> float: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class PatchGrid:
    """The regular grid of patches of one depth.

    The patches of a cascade lie side by side from the slide's corner on: their `span` is 1 and
    their `origin` (0, 0). Patches that others cut may overlap, or start anywhere.

    Attributes
    ----------
    patch_size : int
        Side of the square that the encoder sees, px at this depth's resolution.
    downsample : float
        Level-0 pixels per pixel at this depth.
    shape : tuple of int
        Rows and columns of addresses.
    span : int
        Addresses that a patch reaches over along an axis.
    origin : tuple of float
        The level-0 pixel (y, x) whose corner is that of address (0, 0).
    """

    patch_size: int
    downsample: float
    shape: tuple[int, int]
    span: int = 1
    origin: tuple[float, float] = (0.0, 0.0)

    @property
    def side(self) -> float:
        """Level-0 pixels from one edge of a patch to the other."""
        return self.patch_size * self.downsample

    @property
    def stride(self) -> float:
        """Level-0 pixels from one address to the next: where the span is 1, the side."""
        return self.side / self.span

    def edges(self, nodes: Nodes) -> NDArray[np.int64]:
        """First and end row and column, (n, 4) as y0, x0, y1, x1 in level-0 px.

        Edges are rounded to whole pixels from the exact product, so that the edges of four
        children are those of their parent, whatever the downsample.
        """
        start = np.rint(nodes * self.stride + self.origin).astype(np.int64)
        stop = np.rint((nodes + self.span) * self.stride + self.origin).astype(np.int64)
        return np.concatenate([start, stop], axis=-1)

    def centres(self, nodes: Nodes) -> NDArray[np.float64]:
        """Centres (y, x), (n, 2) level-0 px, not rounded."""
        return np.asarray((nodes + self.span / 2) * self.stride + self.origin - 0.5)

    def address(self, points: ArrayLike) -> Nodes:
        """Addresses of level-0 points (y, x), in the shape of `points`; inside the grid or not."""
        at = (np.asarray(points, dtype=np.float64) + 0.5 - self.origin) / self.stride
        return np.floor(at).astype(np.int64)

    def holding(self, nodes: Nodes, point: tuple[float, float]) -> NDArray[np.bool_]:
        """Which nodes' patches hold a level-0 point (y, x), (n,)."""
        inside = self.address(point) - nodes
        return np.asarray(((inside >= 0) & (inside < self.span)).all(axis=1))

    def edges_on(self, nodes: Nodes, slide_shape: tuple[int, int]) -> NDArray[np.int64]:
        """As `edges`, of the part of each node that lies on the slide.

        Patches reach over the slide's edge, and children of those may lie beyond it: these are
        left out, so that the answer can have fewer rows.
        """
        edges = np.clip(self.edges(nodes), 0, (*slide_shape, *slide_shape))
        return edges[(edges[:, :2] < edges[:, 2:]).all(axis=1)]

    def region(self, node: Sequence[int]) -> Region:
        """Level-0 region of one node."""
        y0, x0, y1, x1 = (int(v) for v in self.edges(np.asarray([node], dtype=np.int64))[0])
        return Region(y0, x0, y1 - y0, x1 - x0)


@dataclass(frozen=True, slots=True)
class Quadtree:
    """Grids and tissue nodes of every depth, coarse to fine.

    Attributes
    ----------
    grids : tuple of PatchGrid
        One per depth; rows and columns double from one to the next.
    nodes : tuple of (n, 2) int64 arrays
        The nodes of each depth that hold tissue, in Z-order.
    """

    grids: tuple[PatchGrid, ...]
    nodes: tuple[Nodes, ...]

    @property
    def n_depths(self) -> int:
        """How many depths there are."""
        return len(self.grids)


def children(nodes: Nodes) -> Nodes:
    """The four children of every node: (n, 2) → (4n, 2), children of i at 4i … 4i+3."""
    return (2 * nodes[:, None, :] + _CHILD_OFFSETS).reshape(-1, 2)


def parents(nodes: Nodes) -> Nodes:
    """The parent of every node: (n, 2) → (n, 2); inverts `children`."""
    return nodes // 2


def is_among(nodes: Nodes, others: Nodes) -> NDArray[np.bool_]:
    """Which nodes of a list are also in another list of the same depth, (n,)."""
    return np.isin(_address(nodes), _address(others))


def _address(nodes: Nodes) -> NDArray[np.int64]:
    return (nodes[:, 0] << 32) | nodes[:, 1]


def z_order(nodes: Nodes) -> NDArray[np.intp]:
    """Indices that sort nodes along the Z-order (Morton) curve."""
    return np.argsort(z_codes(nodes), kind="stable")


def z_codes(nodes: Nodes) -> NDArray[np.uint64]:
    """Place of every node on the Z-order curve of its depth: the bits of its address, interleaved.

    The codes of the four children of a node with code z are 4z … 4z + 3.
    """
    row, column = _spread(nodes[:, 0]), _spread(nodes[:, 1])
    return (row << np.uint64(1)) | column


def _spread(values: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Insert a zero bit before every bit of 32-bit values."""
    v = values.astype(np.uint64)
    for shift, keep in (
        (16, 0x0000FFFF0000FFFF),
        (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F),
        (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):
        v = (v | (v << np.uint64(shift))) & np.uint64(keep)
    return v


def coverage(mask: Mask, grid: PatchGrid) -> NDArray[np.float64]:
    """Share of each patch that the mask covers, (rows, columns), exact by area.

    The patch edges may fall inside mask pixels: the integral of the mask is interpolated
    linearly, which is exact for a raster that is constant over its pixels. Beyond the
    raster nothing is covered.
    """
    integral = np.zeros(np.add(mask.values.shape, 1))
    integral[1:, 1:] = mask.values.cumsum(0, dtype=np.float64).cumsum(1)
    for axis in (0, 1):
        edges = np.rint(np.arange(grid.shape[axis] + 1) * grid.stride) / mask.downsample
        integral = _interpolate(integral, edges, axis)
    per_patch = np.diff(np.diff(integral, axis=0), axis=1)
    return per_patch / (grid.stride / mask.downsample) ** 2


def _interpolate(
    values: NDArray[np.float64], at: NDArray[np.float64], axis: int
) -> NDArray[np.float64]:
    last = values.shape[axis] - 1
    low = np.clip(np.floor(at).astype(np.intp), 0, last)
    high = np.clip(low + 1, 0, last)
    weight = np.clip(at - low, 0, 1)
    weight = weight[:, None] if axis == 0 else weight[None, :]
    return values.take(low, axis) * (1 - weight) + values.take(high, axis) * weight


def build_quadtree(
    tissue: Mask,
    *,
    slide_shape: tuple[int, int],
    patch_size: int,
    downsamples: Sequence[float],
    min_tissue: float = 0.02,
) -> Quadtree:
    """Lay the grids of all depths over a slide and keep the nodes that hold tissue.

    A node is kept when at least `min_tissue` of its area is tissue. Grids start at the
    slide's corner; the coarsest covers the whole slide, the others double it, so that the
    children of any node have an address (outside the slide they are white).

    Parameters
    ----------
    tissue : Mask
        Where tissue is.
    slide_shape : tuple of int
        Rows and columns of level 0.
    patch_size : int
        px.
    downsamples : sequence of float
        Level-0 pixels per pixel of each depth, coarse to fine, each half the one before.
    min_tissue : float
        Least share of tissue in a node.

    Raises
    ------
    ValueError
        When the downsamples do not halve from depth to depth.
    """
    for coarse, fine in pairwise(downsamples):
        if not np.isclose(coarse, 2 * fine, rtol=1e-9):
            raise ValueError(
                f"downsamples must halve from depth to depth, got {list(downsamples)}; "
                "give for instance 4, 2, 1"
            )
    stride = patch_size * downsamples[0]
    coarsest = tuple(int(np.ceil(side / stride)) for side in slide_shape)
    grids = tuple(
        PatchGrid(patch_size, float(d), (coarsest[0] << depth, coarsest[1] << depth))
        for depth, d in enumerate(downsamples)
    )
    nodes = tuple(_tissue_nodes(tissue, grid, min_tissue) for grid in grids)
    return Quadtree(grids, nodes)


def _tissue_nodes(tissue: Mask, grid: PatchGrid, min_tissue: float) -> Nodes:
    found = np.argwhere(coverage(tissue, grid) >= max(min_tissue, 1e-9)).astype(np.int64)
    return found[z_order(found)]
