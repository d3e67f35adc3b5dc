"""Who has seen which patch of a depth, the reader or the cascade, as a layer over the slide."""

from __future__ import annotations

import numpy as np

from napari_hagmil.attention import attention_map
from napari_hagmil.geometry import magnification_label, overlay_placement
from napari_hagmil.plugin.layers import KEY, LayerTuple
from napari_hagmil.viewing import SeenCompared

#: By who has seen it: neither, the reader only, the cascade only, both.
SEEN_COLORS = {
    "neither": "#101418",
    "you": "#ff3fb4",
    "cascade": "#00e5ff",
    "both": "#ffffff",
}

SEEN_OPACITY = 0.45


def seen_layer(found: SeenCompared, mpp: float) -> LayerTuple:
    """Colour the tissue of a depth by who has seen it.

    Parameters
    ----------
    found : SeenCompared
    mpp : float
        µm per level-0 pixel.
    """
    drawn = attention_map(found.grid, found.nodes, found.kinds)
    scale, translate = overlay_placement(drawn.downsample, mpp, drawn.origin)
    known = np.isfinite(drawn.values)
    colors = np.array([_rgba(color) for color in SEEN_COLORS.values()], dtype=np.uint8)
    pixels = np.zeros((*drawn.values.shape, 4), dtype=np.uint8)
    pixels[known] = colors[drawn.values[known].astype(np.intp)]
    return (
        pixels,
        {
            "name": f"Who saw what {magnification_label(found.grid.downsample * mpp)}",
            "scale": scale,
            "translate": translate,
            "units": ("um", "um"),
            "rgb": True,
            "interpolation2d": "nearest",
            "blending": "translucent",
            "opacity": SEEN_OPACITY,
            "metadata": {KEY: {"seen_by": True}},
        },
        "image",
    )


def _rgba(color: str) -> tuple[int, int, int, int]:
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue, 255
