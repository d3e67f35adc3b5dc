"""Keeps the review's layers in step with its state, and reports edits made in them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Shapes
from superqt.utils import qdebounced

from napari_hagmil.plugin import review_layers as look
from napari_hagmil.plugin.labels import with_room
from napari_hagmil.plugin.layers import LayerTuple
from napari_hagmil.review import Annotation, PathClass, ReviewRegion, ReviewState
from napari_hagmil.widgets.keys import ESCAPE, bind
from napari_hagmil.widgets.review.outlines.layer import OutlineLayer

#: Outlines are restyled when their width on the screen is off by more than this factor.
_WIDTH_SLACK = 1.3

#: Milliseconds without a zoom before labels are chosen again.
_REST = 120

_EDITS = ("added", "changed", "removed")

Edited = Callable[[str, Any], None]
"""Called with what was edited ("regions" or "annotations") and its new members."""


class LayerSync:
    """Regions, annotations and points of one review in one viewer.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Layers that others put there are left alone.
    on_edit : callable
        Called with what the user changed with napari's own tools.
    """

    def __init__(self, viewer: ViewerModel, on_edit: Edited) -> None:
        self.viewer, self.on_edit = viewer, on_edit
        self.path_class = ""
        self.label = look.LABEL_ON_BRIGHT
        self._layers: dict[str, Layer] = {}
        self._state, self._mpp, self._current = ReviewState(), 1.0, ""
        self._stated_mpp: float | None = None
        self._own = False
        self._um_per_px = 1.0
        self._labelled = True
        self._picked: tuple[str, ...] = ()
        self._many = OutlineLayer(viewer, lambda made: self._replace(look.ANNOTATIONS, made))
        self._label_soon = qdebounced(self._label, timeout=_REST)
        viewer.scene.camera.events.zoom.connect(self._keep_width)
        viewer.scene.camera.events.zoom.connect(self._zoomed)

    def close(self) -> None:
        """Stop listening to the viewer; its layers stay."""
        self._label_soon.cancel()
        self._many.close()
        self.viewer.scene.camera.events.zoom.disconnect(self._keep_width)
        self.viewer.scene.camera.events.zoom.disconnect(self._zoomed)
        for layer in self._layers.values():
            layer.events.data.disconnect(self._on_data)

    def clear(self, *, bright: bool = True) -> None:
        """Remove the layers; `bright`: the next slide is brightfield, not fluorescence."""
        self.label = look.LABEL_ON_BRIGHT if bright else look.LABEL_ON_DARK
        with self._ours():
            for layer in self._layers.values():
                if layer in self.viewer.layers:
                    self.viewer.layers.remove(layer)
        self._layers = {}
        self._many.clear()
        self._state = ReviewState()

    def show(self, state: ReviewState, mpp: float | None, current: str) -> None:
        """Draw a state; outlines that stay where they are only change their look.

        `mpp` is µm per level-0 px; None: unknown, and the layers are in pixels.
        """
        scale = mpp or 1.0
        self._um_per_px = 1 / max(self.viewer.scene.camera.zoom, 1e-9)
        with self._ours():
            self._show_regions(state.regions, scale, current)
            self._show_annotations(state.annotations, state.classes, mpp)
        self._state, self._mpp, self._current = state, scale, current
        self._stated_mpp = mpp
        self._label()

    def pick(self, ids: tuple[str, ...]) -> None:
        """Draw the annotations that are picked bold."""
        self._picked = ids
        self._many.embolden(ids)
        layer = self.layer(look.ANNOTATIONS)
        if isinstance(layer, Shapes) and len(layer.data) and "id" in layer.features:
            bold = [name in ids for name in layer.features["id"]]
            width = look.ANNOTATION_PX * self._um_per_px
            layer.edge_width = [width * (2 if one else 1) for one in bold]

    def toggle_labels(self) -> None:
        """Hide the labels of regions and annotations, or show those that have room."""
        self._labelled = not self._labelled
        self._label()

    def _zoomed(self, event: Any) -> None:
        self._label_soon()

    def _label(self) -> None:
        """Show the labels that have room: zoomed out, they would pile up."""
        self._label_soon.cancel()
        zoom = max(self.viewer.scene.camera.zoom, 1e-9)
        rows: list[tuple[str, str, Any]] = []
        for name in (look.REGIONS, look.ANNOTATIONS):
            layer = self.layer(name)
            if isinstance(layer, Shapes):
                corners = [np.min(ring, axis=0)[-2:] * zoom for ring in layer.data]
                texts = self._texts(name)
                # While the user adds a shape the layer has one more, which has no label yet.
                rows += [(name, *row) for row in zip(texts, corners, strict=False)]
        room = with_room([place for *_, place in rows], [text for _, text, _ in rows])
        said: dict[str, list[str]] = {}
        for (name, text, _), shown in zip(rows, room, strict=True):
            said.setdefault(name, []).append(text if shown and self._labelled else "")
        for name, labels in said.items():
            self._write_labels(self.layer(name), labels)

    def _texts(self, name: str) -> list[str]:
        if name == look.REGIONS:
            return look.region_features(self._state.regions)["label"]
        return look.ring_labels(self._state.annotations, self._stated_mpp)

    @staticmethod
    def _write_labels(layer: Any, labels: list[str]) -> None:
        features = layer.features
        if len(labels) == len(features) and list(features["label"]) != labels:
            layer.features = {**features, "label": labels}

    def layer(self, name: str) -> Layer | None:
        """One of the layers; None when it is not in the viewer."""
        found = self._layers.get(name)
        return found if found is not None and found in self.viewer.layers else None

    def _show_regions(self, regions: tuple[ReviewRegion, ...], mpp: float, current: str) -> None:
        layer = self.layer(look.REGIONS)
        if not regions and layer is None:
            return
        if layer is None or not self._drawn_there(
            layer, look.regions_in(layer, regions, mpp), regions
        ):
            made = look.regions_layer(
                regions, mpp, current=current, um_per_px=self._um_per_px, label=self.label
            )
            self._replace(look.REGIONS, made)
        elif regions != self._state.regions or current != self._current:
            self._restyle_regions(layer, regions, current)

    def _restyle_regions(
        self, layer: Layer, regions: tuple[ReviewRegion, ...], current: str
    ) -> None:
        style = look.region_look(regions, current=current, um_per_px=self._um_per_px)
        if regions:
            layer.edge_color = style["edge_color"]
            layer.edge_width = style["edge_width"]
        layer.features = look.region_features(regions)
        layer.refresh(extent=False)

    def _show_annotations(
        self,
        annotations: tuple[Annotation, ...],
        classes: tuple[PathClass, ...],
        mpp: float | None,
    ) -> None:
        shapes, points = look.shapes_of(annotations), look.points_of(annotations)
        lost = (shapes and self.layer(look.ANNOTATIONS) is None) or (
            points and self.layer(look.POINTS) is None
        )
        if not lost and (annotations, classes) == (self._state.annotations, self._state.classes):
            return
        if len(shapes) > look.MOST_SHAPES:
            self._many.show(shapes, classes, mpp or 1.0, self._picked)
        elif shapes or self.layer(look.ANNOTATIONS) is not None:
            self._many.clear()
            self._replace(look.ANNOTATIONS, self._annotations_layer(shapes, classes, mpp))
            self.pick(self._picked)
        if points or self.layer(look.POINTS) is not None:
            self._replace(look.POINTS, look.points_layer(points, classes, mpp))

    def _annotations_layer(
        self, shapes: list[Annotation], classes: tuple[PathClass, ...], mpp: float | None
    ) -> LayerTuple:
        return look.annotations_layer(
            shapes, classes, mpp, um_per_px=self._um_per_px, label=self.label
        )

    def _replace(self, name: str, made: LayerTuple) -> Any:
        """Replace a layer, keeping its place in the list, its visibility and the selection."""
        data, meta, kind = made
        old, layers = self.layer(name), self.viewer.layers
        # napari selects every layer that is added; the user's selection must stay.
        active = layers.selection.active
        at = None if old is None else layers.index(old)
        if old is not None:
            meta = {**meta, "visible": old.visible, "opacity": old.opacity}
            layers.remove(old)
        before = self._um_per_px
        added = getattr(self.viewer, f"add_{kind}")(data, **meta)
        # The first layer of a window moves the camera, before it is known here.
        if kind == "shapes" and len(added.data) and self._um_per_px != before:
            _widen(added, self._um_per_px / before)
        if at is not None:
            layers.move(layers.index(added), at)
        if active is not None:
            layers.selection.active = added if active is old or active == old else active
        if kind != "image":
            added.events.data.connect(self._on_data)
        bind(added, {ESCAPE: partial(self._leave_tool, name)})
        self._layers[name] = added
        return added

    def _leave_tool(self, name: str) -> None:
        """Leave a tool of napari's that adds; what it has not finished is dropped."""
        layer: Any = self.layer(name)
        if layer is None or not str(getattr(layer, "mode", "")).startswith("add"):
            return
        with self._ours():
            layer.mode = "pan_zoom"  # napari finishes the shape, here where that counts for nothing
            state, self._state = self._state, ReviewState()
            self.show(state, self._stated_mpp, self._current)

    def _drawn_there(self, layer: Layer, read: Any, wanted: Any) -> bool:
        return len(read) == len(wanted) and all(
            a.id == b.id and (a is b or a == b) for a, b in zip(read, wanted, strict=True)
        )

    def _on_data(self, event: Any) -> None:
        action = str(getattr(event, "action", ""))
        if self._own or not action.endswith(_EDITS):
            return
        if event.source == self.layer(look.REGIONS):
            self.on_edit("regions", look.regions_in(event.source, self._state.regions, self._mpp))
            return
        found: list[Annotation] = []
        for name in (look.ANNOTATIONS, look.POINTS):
            layer = self.layer(name)
            if isinstance(layer, Image):  # a picture cannot be edited
                found.extend(look.shapes_of(self._state.annotations))
            elif layer is not None:
                read = look.annotations_in(
                    layer, self._state.annotations, self._mpp, path_class=self.path_class
                )
                found.extend(read)
        order = {one.id: i for i, one in enumerate(self._state.annotations)}
        found.sort(key=lambda one: order.get(one.id, len(order)))
        self.on_edit("annotations", tuple(found))

    def _keep_width(self, event: Any = None) -> None:
        """Outlines are as thin at 40× as in the overview: napari's widths are in µm."""
        um_per_px = 1 / max(self.viewer.scene.camera.zoom, 1e-9)
        drift = um_per_px / self._um_per_px
        if 1 / _WIDTH_SLACK < drift < _WIDTH_SLACK:
            return
        for layer in map(self.layer, (look.REGIONS, look.ANNOTATIONS)):
            if isinstance(layer, Shapes) and len(layer.data):
                _widen(layer, drift)
                layer.refresh(extent=False)
        self._um_per_px = um_per_px

    @contextmanager
    def _ours(self) -> Any:
        """Changes of the layers in here are not edits by the user."""
        self._own, before = True, self._own
        try:
            yield
        finally:
            self._own = before


def _widen(layer: Any, factor: float) -> None:
    """Draw outlines wider."""
    layer.edge_width = (np.asarray(layer.edge_width) * factor).tolist()
