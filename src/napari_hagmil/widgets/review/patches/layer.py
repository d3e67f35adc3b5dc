"""The patches of the current region, outlined on the slide."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Points

from napari_hagmil.plugin.review_layers import REGIONS, patches_layer
from napari_hagmil.review import ReviewRegion


class PatchLayer:
    """One layer, which follows the current region; the user's choice to hide it stays.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where the slide is.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self._layer: Points | None = None
        self._shown: ReviewRegion | None = None

    def show(self, region: ReviewRegion | None, mpp: float) -> None:
        """Outline the patches of a region; None: of no region."""
        layer = self._layer if self._layer in self.viewer.layers else None
        if region is self._shown and (layer is not None or region is None):
            return
        self._shown = region
        if region is None or not region.patches:
            if layer is not None:
                layer.data = np.empty((0, 2))
            return
        data, meta, _ = patches_layer(region, mpp)
        if layer is None:
            self._layer = self._add(data, meta)
            return
        layer.data = data
        for name in ("size", "border_color"):
            setattr(layer, name, meta[name])

    def clear(self) -> None:
        """Remove the layer."""
        if self._layer in self.viewer.layers:
            self.viewer.layers.remove(self._layer)
        self._layer = self._shown = None

    def _add(self, data: np.ndarray, meta: dict[str, object]) -> Points:
        layers = self.viewer.layers
        active = layers.selection.active
        added = self.viewer.add_points(data, **meta)
        added.editable = False
        if REGIONS in layers:
            layers.move(layers.index(added), layers.index(layers[REGIONS]))
        if active is not None:
            layers.selection.active = active
        return added
