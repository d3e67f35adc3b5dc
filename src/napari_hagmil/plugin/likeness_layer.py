"""How much each patch of a depth looks like one of them, as a layer over the slide."""

from __future__ import annotations

import numpy as np

from napari_hagmil.attention import attention_map
from napari_hagmil.cascade import Likeness
from napari_hagmil.geometry import magnification_label, overlay_placement
from napari_hagmil.plugin.layers import KEY, LayerTuple
from napari_hagmil.quadtree import PatchGrid

#: Violet to yellow over red: not to be taken for attention, which goes from blue to yellow.
LIKENESS_COLORMAP, LIKENESS_OPACITY = "magma", 0.5


def likeness_layer(grid: PatchGrid, found: Likeness, mpp: float) -> LayerTuple:
    """The cosine of each patch that was looked at; others are transparent.

    Colours go from the 5th percentile to 1: between patches of one slide a cosine differs little.

    Parameters
    ----------
    grid : PatchGrid
        Of the depth.
    found : Likeness
        What the depth looked at.
    mpp : float
        µm per level-0 pixel.
    """
    drawn = attention_map(grid, found.nodes, found.cosine)
    scale, translate = overlay_placement(drawn.downsample, mpp, drawn.origin)
    known = found.cosine[np.isfinite(found.cosine)]
    low = float(np.percentile(known, 5)) if len(known) else 0.0
    return (
        drawn.values,
        {
            "name": f"Looks like this {magnification_label(grid.downsample * mpp)}",
            "scale": scale,
            "translate": translate,
            "units": ("um", "um"),
            "rgb": False,
            "colormap": LIKENESS_COLORMAP,
            "contrast_limits": (min(low, 0.999), 1.0),
            "interpolation2d": "nearest",
            "blending": "translucent",
            "opacity": LIKENESS_OPACITY,
            "metadata": {KEY: {"likeness": True}},
        },
        "image",
    )
