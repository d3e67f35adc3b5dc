"""The bare slide beside the same place with all overlays; both move together."""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel
from napari.layers import Layer

from napari_hagmil.plugin.layers import KEY


class SideBySide:
    """napari's grid with two boxes: overlays at the left, the bare slide at the right.

    napari links the cameras of the boxes and puts a fixed number of layers into each. So a copy
    of the slide lies at the bottom of the list, and that number is kept in step with the length
    of the list.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Holds a slide.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self._raw: Layer | None = None
        self._before: dict[str, Any] = {}

    @property
    def on(self) -> bool:
        """Whether both are shown."""
        return self._raw is not None

    def toggle(self) -> bool:
        """Switch it on or off, and return whether it is on. Without a slide it stays off."""
        self.stop() if self.on else self.start()
        return self.on

    def start(self) -> None:
        """Show both, if a slide is open."""
        slide = next(
            (one for one in self.viewer.layers if "path" in one.metadata.get(KEY, {})), None
        )
        if slide is None or self.on:
            return
        active = self.viewer.layers.selection.active
        raw = self.viewer.add_image(
            slide.data,
            name=f"{slide.name} (bare)",
            multiscale=slide.multiscale,
            rgb=slide.rgb,
            scale=slide.scale,
            translate=slide.translate,
            units=slide.units,
            metadata={KEY: {"bare": True}},
        )
        self._raw = raw
        grid = self.viewer.canvas.grid
        self._before = {"stride": grid.stride, "shape": grid.shape, "spacing": grid.spacing}
        for event in self._events():
            event.connect(self._arrange)
        self._arrange()
        grid.shape, grid.spacing = (1, 2), 4
        grid.enabled = True
        self.viewer.layers.selection.active = active

    def stop(self) -> None:
        """Show one picture again."""
        raw, self._raw = self._raw, None
        if raw is None:
            return
        for event in self._events():
            event.disconnect(self._arrange)
        grid = self.viewer.canvas.grid
        grid.enabled = False
        for name, value in self._before.items():
            setattr(grid, name, value)
        if raw in self.viewer.layers:
            self.viewer.layers.remove(raw)

    def _events(self) -> tuple[Any, ...]:
        events = self.viewer.layers.events
        return events.inserted, events.removed, events.reordered

    def _arrange(self, event: Any = None) -> None:
        raw, layers = self._raw, self.viewer.layers
        if raw is None:
            return
        if raw not in layers or not any("path" in one.metadata.get(KEY, {}) for one in layers):
            self.stop()
            return
        if layers.index(raw):
            layers.move(layers.index(raw), 0)
        # A negative stride counts from the top of the list: all but the last in one box.
        self.viewer.canvas.grid.stride = -max(len(layers) - 1, 1)
