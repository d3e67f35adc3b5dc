"""Attention as a raster: one pixel per node, NaN where the cascade did not look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_hagmil.quadtree import Nodes, PatchGrid


@dataclass(frozen=True, slots=True, eq=False)
class AttentionMap:
    """A value per node of one depth, laid out as on the glass.

    Attributes
    ----------
    values : (h, w) float32
        Attention, or scores (percentiles); NaN where not visited, which is not "low".
    downsample : float
        Level-0 pixels per raster pixel: the stride of the grid.
    origin : tuple of float
        The level-0 pixel (y, x) whose corner is the raster's corner; together with
        `downsample` what `geometry.overlay_placement` takes. A whole number of strides from
        `grid_origin`.
    grid_origin : tuple of float
        That of the grid's own corner.
    """

    values: NDArray[np.float32]
    downsample: float
    origin: tuple[float, float] = (0.0, 0.0)
    grid_origin: tuple[float, float] = (0.0, 0.0)

    @property
    def first_node(self) -> tuple[int, int]:
        """The address (row, column), in its depth's grid, of raster pixel (0, 0)."""
        row, column = (
            round((o - corner) / self.downsample)
            for o, corner in zip(self.origin, self.grid_origin, strict=True)
        )
        return row, column

    def edges(self, axis: int) -> NDArray[np.float64]:
        """Where raster pixels begin and end along an axis, (size + 1,) level-0 px.

        In the frame with pixel centres at integers, so at halves. Rounded from the address
        in the grid exactly as `PatchGrid.edges` does, so that they meet the patches read.
        """
        addresses = self.first_node[axis] + np.arange(self.values.shape[axis] + 1)
        return np.asarray(np.rint(addresses * self.downsample + self.grid_origin[axis]) - 0.5)

    def edges_on(
        self, slide_shape: tuple[int, int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """As `edges`, of rows and of columns, none beyond the slide's own edges."""
        y, x = (np.clip(self.edges(axis), -0.5, slide_shape[axis] - 0.5) for axis in (0, 1))
        return y, x


def attention_map(
    grid: PatchGrid, nodes: Nodes, values: ArrayLike, *, crop: bool = True
) -> AttentionMap:
    """Lay one value per node out as a raster, one pixel per address.

    Where patches overlap, a pixel is the mean of those that it lies in.

    Parameters
    ----------
    grid : PatchGrid
        The grid of the nodes' depth.
    nodes : (n, 2) int64
        Addresses, each once, in any order.
    values : (n,) array
        Attention, or scores.
    crop : bool
        Keep only the bounding box of the nodes; else the whole grid.

    Raises
    ------
    ValueError
        When values and nodes differ in number, or a node lies outside the grid.
    """
    values = np.asarray(values, dtype=np.float32)
    if values.shape != (len(nodes),):
        raise ValueError(
            f"an attention map needs one value per node, got {values.shape} values for "
            f"{len(nodes)} nodes; give the values of the same stage"
        )
    if len(nodes) and ((nodes < 0) | (nodes >= np.asarray(grid.shape))).any():
        raise ValueError(
            f"nodes must lie in their grid of {grid.shape[0]}×{grid.shape[1]}, got "
            f"{nodes.min(axis=0).tolist()} to {nodes.max(axis=0).tolist()}; "
            "give the grid of the nodes' depth"
        )
    first, shape = _extent(nodes, grid.span) if crop else (np.zeros(2, np.int64), grid.shape)
    raster = _laid_out(nodes - first, values, shape, grid.span)
    y, x = (first * grid.stride + grid.origin).tolist()
    return AttentionMap(raster, grid.stride, (y, x), grid.origin)


def _laid_out(
    nodes: Nodes, values: NDArray[np.float32], shape: tuple[int, int], span: int
) -> NDArray[np.float32]:
    if span == 1:
        raster = np.full(shape, np.nan, dtype=np.float32)
        raster[tuple(nodes.T)] = values
        return raster
    # Patches may reach over the last row and column of the grid.
    sums = np.zeros(np.add(shape, span - 1), dtype=np.float32)
    counts = np.zeros(sums.shape, dtype=np.float32)
    for offset in np.ndindex(span, span):
        at = tuple((nodes + offset).T)
        sums[at] += values
        counts[at] += 1
    with np.errstate(invalid="ignore"):
        means = sums / np.where(counts, counts, np.nan)
    return np.asarray(means[: shape[0], : shape[1]], dtype=np.float32)


def _extent(nodes: Nodes, span: int) -> tuple[Nodes, tuple[int, int]]:
    """First address and shape of the bounding box; nothing for no nodes."""
    if not len(nodes):
        return np.zeros(2, np.int64), (0, 0)
    first = nodes.min(axis=0)
    height, width = (nodes.max(axis=0) - first + span).tolist()
    return first, (height, width)


def value_at(amap: AttentionMap, y: float, x: float) -> float:
    """Value of the node under a point of the slide, NaN where there is none.

    Parameters
    ----------
    y, x : float
        Level-0 px, pixel centres at integers.
    """
    index = []
    for axis, at in enumerate((y, x)):
        # The patch edges are rounded to whole pixels: ask the edges, not the stride.
        place = int(np.searchsorted(amap.edges(axis), at, side="right")) - 1
        if not 0 <= place < amap.values.shape[axis]:
            return float("nan")
        index.append(place)
    return float(amap.values[index[0], index[1]])
