"""Where the view goes when it goes to a region: at the magnification that the user has chosen."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel

from napari_hagmil.review import ReviewRegion
from napari_hagmil.review.patches import centres_of

#: Share of the canvas that a region fills at most when it is seen in context, and how much less
#: than in detail it is magnified there at least.
_FILL, _LESS = 0.4, 4.0

#: A region that would be smaller on the screen cannot be found there: the view goes closer, px.
_DOT_PX = 16


def go_to(viewer: ViewerModel, region: ReviewRegion, mpp: float) -> None:
    """Centre a region and keep the magnification; only what would be a dot is brought closer."""
    camera = viewer.scene.camera
    height, width = _size(region, mpp)
    if max(height, width) * camera.zoom < _DOT_PX:
        camera.zoom = _in_context(viewer, region, mpp)
    _centre(viewer, region, mpp)


def switch(viewer: ViewerModel, region: ReviewRegion, mpp: float) -> None:
    """From detail to context, and back: a whole region with what is around it, or its best patch.

    In detail a screen pixel is a pixel of the slide.
    """
    context, detail = _in_context(viewer, region, mpp), 1 / mpp
    camera = viewer.scene.camera
    camera.zoom = detail if camera.zoom < (context * detail) ** 0.5 else context
    _centre(viewer, region, mpp)


def _in_context(viewer: ViewerModel, region: ReviewRegion, mpp: float) -> float:
    height, width = _size(region, mpp)
    rows, columns = _canvas(viewer)
    whole = min(rows / max(height, 1.0), columns / max(width, 1.0))
    return min(_FILL * whole, 1 / mpp / _LESS)


def _centre(viewer: ViewerModel, region: ReviewRegion, mpp: float) -> None:
    """Centre the whole region where it fits, else its best patch."""
    height, width = _size(region, mpp)
    rows, columns = _canvas(viewer)
    zoom = viewer.scene.camera.zoom
    fits = height * zoom <= rows and width * zoom <= columns
    if fits or not region.patches:
        corners = np.asarray(region.polygon)
        y, x = (corners.min(axis=0) + corners.max(axis=0)) / 2
    else:
        y, x = centres_of(region.patches[:1])[0]
    viewer.scene.camera.center = (mpp * y, mpp * x)


def _size(region: ReviewRegion, mpp: float) -> tuple[float, float]:
    """Height and width of a region, µm."""
    height, width = (mpp * np.ptp(np.asarray(region.polygon), axis=0)).tolist()
    return height, width


def _canvas(viewer: ViewerModel) -> tuple[float, float]:
    """Height and width of what shows the region, px: side by side it is half of the canvas."""
    height, width = viewer.canvas.size
    return float(height), width / (2 if viewer.canvas.grid.enabled else 1)
