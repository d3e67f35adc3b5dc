"""A layer that shows what the last run changed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari.utils.colormaps.standardize_color import transform_color

from napari_hagmil.cascade import DepthChange
from napari_hagmil.plugin.colors import GAINED, LOST
from napari_hagmil.plugin.layers import KEY, LayerTuple
from napari_hagmil.quadtree import PatchGrid


def change_layer(
    grids: Sequence[PatchGrid],
    changes: Sequence[DepthChange],
    mpp: float,
    slide_shape: tuple[int, int],
) -> LayerTuple:
    """Outline the nodes that only this run looked at, and those that only the run before did.

    The first depth looks at all the tissue in every run, and is left out.

    Parameters
    ----------
    grids : sequence of PatchGrid
        Coarse to fine.
    changes : sequence of DepthChange
        Per depth, coarse to fine.
    mpp : float
        µm per level-0 px.
    slide_shape : tuple of int
        Rows and columns of level 0, where outlines end.
    """
    segments, colors = [np.empty((0, 2, 2))], [np.empty((0, 4))]
    for change in changes[1:]:
        for nodes, color in ((change.gained, GAINED), (change.lost, LOST)):
            edges = grids[change.depth].edges_on(nodes, slide_shape)
            y0, x0, y1, x1 = (edges - 0.5).T * mpp
            corners = np.stack([y0, x0, y0, x1, y1, x1, y1, x0], axis=1).reshape(-1, 4, 2)
            sides = np.stack([corners, np.roll(corners, -1, axis=1) - corners], axis=2)
            segments.append(sides.reshape(-1, 2, 2))
            colors.append(np.tile(transform_color(color), (4 * len(edges), 1)))
    return (
        np.concatenate(segments),
        {
            "name": "Changed",
            "vector_style": "line",
            "edge_color": np.concatenate(colors),
            "units": ("um", "um"),
            "metadata": {KEY: {"changed": True}},
        },
        "vectors",
    )
