"""Layers of others that state no unit lie on the slide in µm, so that the scale bar stays in µm."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from napari.components import ViewerModel
from napari.layers import Layer

from napari_hagmil.plugin.layers import KEY


class UnitOfOthers:
    """Gives layers without a unit that of the slide beneath them.

    napari draws a pixel of theirs as a µm of the slide's, and where units differ in kind its scale
    bar has none. The layer stays where it is; only its unit is said.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The window.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._layers = viewer.layers
        self._given: WeakSet[Layer] = WeakSet()
        self._layers.events.inserted.connect(self._look)

    def _look(self, event: Any) -> None:
        if KEY in event.value.metadata and "path" not in event.value.metadata[KEY]:
            return
        slide = next((one for one in self._layers if "path" in one.metadata.get(KEY, {})), None)
        if slide is None:
            return
        in_um = bool(slide.metadata[KEY].get("mpp"))
        for layer in self._layers:
            if KEY in layer.metadata:
                continue
            if in_um and all(str(unit) == "pixel" for unit in layer.units[-2:]):
                layer.units = (*layer.units[:-2], "um", "um")
                self._given.add(layer)
            elif not in_um and layer in self._given:
                layer.units = (*layer.units[:-2], "pixel", "pixel")
                self._given.discard(layer)
