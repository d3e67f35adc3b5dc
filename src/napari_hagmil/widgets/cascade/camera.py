"""The canvas as a microscope: magnification, what is in view, going to a place."""

from __future__ import annotations

from napari.components import ViewerModel

from napari_hagmil.geometry import MPP_AT_1X

#: Magnifications on keys and in the list.
PRESETS = (1.25, 2.5, 5.0, 10.0, 20.0, 40.0)


def magnification_shown(viewer: ViewerModel) -> float:
    """What the screen shows: a screen pixel of 0.25 µm is 40×."""
    return float(MPP_AT_1X * viewer.scene.camera.zoom)


def set_magnification(viewer: ViewerModel, magnification: float) -> None:
    """Look closer or from further away; the centre stays."""
    viewer.scene.camera.zoom = magnification / MPP_AT_1X


def view_rectangle(viewer: ViewerModel, mpp: float) -> tuple[float, float, float, float]:
    """What the canvas shows: y0, x0, y1, x1 in level-0 px."""
    camera, (height, width) = viewer.scene.camera, viewer.canvas.size
    y, x = (float(v) for v in camera.center[-2:])
    half_height, half_width = (side / (2 * camera.zoom) for side in (height, width))
    edges = (y - half_height, x - half_width, y + half_height, x + half_width)
    y0, x0, y1, x1 = (edge / mpp for edge in edges)
    return y0, x0, y1, x1


def centre_on(viewer: ViewerModel, place: tuple[float, float], mpp: float) -> None:
    """Put a level-0 pixel (y, x) into the middle of the canvas."""
    viewer.scene.camera.center = (place[0] * mpp, place[1] * mpp)
