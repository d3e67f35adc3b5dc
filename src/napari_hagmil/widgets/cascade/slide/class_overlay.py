"""Classes of places over the slide, a colour each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray
from qtpy.QtGui import QColor, QIcon, QPixmap

from napari_hagmil.plugin.layers import KEY

Color = tuple[int, int, int]


class ClassOverlay:
    """A layer of labels that the user cannot paint on, while it is wanted.

    Parameters
    ----------
    viewer : napari.Viewer
    name : str
        Of the layer.
    colors : sequence of (3,) int
        RGB of the values 1, 2 …
    """

    def __init__(self, viewer: Any, name: str, colors: Sequence[Color]) -> None:
        self._viewer, self._name, self._colors = viewer, name, colors
        self._layer: Any = None

    def show(self, values: NDArray[np.uint8], placement: tuple[Any, Any]) -> None:
        """Show (h, w) values, placed by their scale and translation in µm."""
        if self._layer is not None and self._layer in self._viewer.layers:
            self._layer.data = values
            return
        scale, translate = placement
        colors: dict[int | None, Any] = {None: (0, 0, 0, 0)}
        for value, color in enumerate(self._colors, start=1):
            colors[value] = np.array([*color, 255]) / 255
        self._layer = self._viewer.add_labels(
            values,
            name=self._name,
            scale=scale,
            translate=translate,
            units=("um", "um"),
            opacity=0.55,
            colormap=DirectLabelColormap(color_dict=colors),
            metadata={KEY: {self._name.lower(): True}},
        )
        self._layer.editable = False

    def remove(self) -> None:
        """Take the layer away."""
        if self._layer is not None and self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)
        self._layer = None


def swatch(color: Color) -> QIcon:
    """A square of a colour, for the control that shows and hides its class."""
    pixels = QPixmap(12, 12)
    pixels.fill(QColor(*color))
    return QIcon(pixels)
