"""The canvas as a microscope: its magnification, what it shows, where it is centred."""

from __future__ import annotations

from dataclasses import dataclass

from napari.components import ViewerModel

from napari_hagmil.geometry import MPP_AT_1X

#: Magnifications by the name of their key; the list offers the same.
PRESETS = {f"at_{preset:g}x": preset for preset in (1.25, 2.5, 5.0, 10.0, 20.0, 40.0)}


@dataclass(frozen=True, slots=True)
class ViewRectangle:
    """The part of the slide that the canvas shows.

    Attributes
    ----------
    y0, x0, y1, x1 : float
        Its edges, level-0 px; they may lie outside the slide.
    """

    y0: float = 0.0
    x0: float = 0.0
    y1: float = 0.0
    x1: float = 0.0

    @property
    def height(self) -> float:
        """Level-0 px."""
        return self.y1 - self.y0

    @property
    def width(self) -> float:
        """Level-0 px."""
        return self.x1 - self.x0

    @property
    def centre(self) -> tuple[float, float]:
        """(y, x), level-0 px."""
        return (self.y0 + self.y1) / 2, (self.x0 + self.x1) / 2

    def encloses(self, y: float, x: float) -> bool:
        """Whether a level-0 pixel is in view."""
        return self.y0 <= y <= self.y1 and self.x0 <= x <= self.x1


def magnification_shown(viewer: ViewerModel) -> float:
    """The magnification on the screen: a screen pixel of 0.25 µm is 40×."""
    return float(MPP_AT_1X * viewer.scene.camera.zoom)


def set_magnification(viewer: ViewerModel, magnification: float) -> None:
    """Zoom to a magnification; the centre stays."""
    viewer.scene.camera.zoom = magnification / MPP_AT_1X


def um_per_screen_px(viewer: ViewerModel) -> float:
    """µm that a screen pixel covers: napari wants sizes and widths in µm, the eye in px."""
    return float(1 / max(viewer.scene.camera.zoom, 1e-9))


def view_rectangle(viewer: ViewerModel, mpp: float) -> ViewRectangle:
    """The part of a slide of `mpp` µm per level-0 px that the canvas shows."""
    camera, (height, width) = viewer.scene.camera, viewer.canvas.size
    y, x = (float(v) for v in camera.center[-2:])
    half_height, half_width = (side / (2 * camera.zoom) for side in (height, width))
    edges = (y - half_height, x - half_width, y + half_height, x + half_width)
    return ViewRectangle(*(edge / mpp for edge in edges))


def centre_on(viewer: ViewerModel, place: tuple[float, float], mpp: float) -> None:
    """Move a level-0 pixel (y, x) to the middle of the canvas."""
    viewer.scene.camera.center = (place[0] * mpp, place[1] * mpp)
