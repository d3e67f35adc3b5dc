"""All that lies on the slide is in its unit, µm or pixels: else the scale bar would have none."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from napari.components import ViewerModel
from napari.layers import Layer

from napari_hagmil.plugin.layers import KEY


class UnitOfOthers:
    """Gives layers of others without a unit that of the slide, and ours that of its pixels.

    napari draws a pixel of theirs as a µm of the slide's, and where units differ in kind its scale
    bar has none, and a notice says so. The layer stays where it is; only its unit is said, before
    the canvas is drawn with it.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The window.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._layers = viewer.layers
        self._given: WeakSet[Layer] = WeakSet()

        def at_once(event: Any) -> None:
            self._give_units(event)

        # napari calls its own listeners before those of others, and one of them draws the layer in
        # the unit that it states. To be called before that one, this one passes for napari's.
        at_once.__module__ = ViewerModel.__module__
        self._layers.events.inserted.connect(at_once, position="first")

    def _give_units(self, event: Any) -> None:
        if KEY in event.value.metadata and "path" not in event.value.metadata[KEY]:
            self._as_the_slide(event.value)
        else:
            for layer in self._layers:
                self._as_the_slide(layer)

    def _as_the_slide(self, layer: Layer) -> None:
        """Give a layer of others µm, or take it back; ours have µm, over pixels they have none."""
        ours = layer.metadata.get(KEY, {})
        slide = next((one for one in self._layers if "path" in one.metadata.get(KEY, {})), None)
        if slide is None or "path" in ours:
            return
        in_um = bool(slide.metadata[KEY].get("mpp"))
        if in_um and not ours and all(str(unit) == "pixel" for unit in layer.units[-2:]):
            layer.units = (*layer.units[:-2], "um", "um")
            self._given.add(layer)
        elif not in_um and (ours or layer in self._given):
            layer.units = (*layer.units[:-2], "pixel", "pixel")
            self._given.discard(layer)
