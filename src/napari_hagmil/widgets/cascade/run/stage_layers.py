"""The stages of a run as layers: attention per depth, branches, what was not seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer, Vectors
from superqt.utils import qdebounced

from napari_hagmil.plugin.layers import (
    KEY,
    LayerTuple,
    attention_layer,
    branches_layer,
    unread_layer,
    unseen_layer,
)
from napari_hagmil.review import ReviewRegion
from napari_hagmil.session import Session
from napari_hagmil.widgets.cascade.camera import magnification_shown, um_per_screen_px
from napari_hagmil.widgets.cascade.run.fading import cleared, strength
from napari_hagmil.widgets.preferences import (
    on_change,
    preference,
    preferred_colormap,
    preferred_opacity,
)
from napari_hagmil.widgets.reading.looks import Looks

#: Width of outlines on the screen, px.
_LINE_PX = 1.5

#: Outlines are restyled when their width on the screen is off by more than this factor.
_WIDTH_SLACK = 1.3

#: Milliseconds within which stages that come together are drawn together.
_TOGETHER = 15

#: Outlines that a thumbnail shows.
_IN_THUMBNAIL = 64

#: What can be shown and hidden, in drawing order.
KINDS = ("attention", "unseen", "branches", "unread")


class StageLayers:
    """Layers of the stages; those that exist are changed in place, which is quicker.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where layers are added.
    session : Session
        What is shown.
    looks : Looks
        How much may lie on the slide.

    Attributes
    ----------
    shown : dict of str to bool
        Whether each of `KINDS` is shown, as far as the look allows it.
    depth_shown : dict of int to bool
        Whether a depth's attention is shown, while attention is.
    opacity, threshold : dict of int to float
        Of a depth's attention: 0 to 1 at low power, and the percentile below which it is left
        clear.
    on_shown : callable
        Called with `shown` whenever it may have changed.
    on_depth_shown : callable
        Called with a depth that was shown or hidden in napari's list of layers.
    """

    def __init__(self, viewer: ViewerModel, session: Session, looks: Looks) -> None:
        self.viewer, self.session, self.looks = viewer, session, looks
        self.shown = {"attention": True, "unseen": False, "branches": True, "unread": True}
        self.shown["branches"] = preference("display", "branches", True)
        self.depth_shown: dict[int, bool] = {}
        self.opacity: dict[int, float] = {}
        self.threshold: dict[int, float] = {}
        self._attention: dict[int, Layer] = {}
        self._others: dict[str, Layer] = {}
        self._line_um = 0.0
        self.on_shown: Callable[[dict[str, bool]], None] = lambda shown: None
        self.on_depth_shown: Callable[[int, bool], None] = lambda depth, shown: None
        self._showing = False
        self._in_hand: ReviewRegion | None = None
        self._stale: set[int] = set()
        self._draw_soon = qdebounced(self.draw, timeout=_TOGETHER)
        self._take_over()
        viewer.scene.camera.events.zoom.connect(self._zoomed)
        self._unwatch = on_change("display", self._restyle)

    def _take_over(self) -> None:
        """Go on with the layers that an earlier dock has left, as they are."""
        for layer in self.viewer.layers:
            facts = layer.metadata.get(KEY, {})
            if "depth" in facts:
                depth = int(facts["depth"])
                self._attention[depth] = layer
                self.depth_shown[depth] = self.looks.shows(layer)
                self.opacity[depth] = facts.get("opacity", layer.opacity)
                self._follow(layer)
            for kind in KINDS:
                if facts.get(kind):
                    self._others[kind], self.shown[kind] = layer, self.looks.shows(layer)
                    self._follow(layer)
        if self._attention:
            self.shown["attention"] = any(self.depth_shown.values())
            if not self.shown["attention"]:
                self.depth_shown[max(self._attention)] = True

    def close(self) -> None:
        """Stop following the viewer and the preferences; the layers stay."""
        self._draw_soon.cancel()
        self._unwatch()
        self.viewer.scene.camera.events.zoom.disconnect(self._zoomed)

    def clear(self) -> None:
        """Remove all layers."""
        self._draw_soon.cancel()
        self.keep_depths(0)
        for kind in tuple(self._others):
            self._drop(self._others.pop(kind))
        self.depth_shown = {}

    def keep_depths(self, n: int) -> None:
        """Remove the attention of deeper depths, which an earlier run has left."""
        for depth in [d for d in self._attention if d >= n]:
            self._drop(self._attention.pop(depth))
            self.depth_shown.pop(depth, None)
        self._stale = {d for d in self._stale if d < n}

    def show_stage(self, depth: int) -> None:
        """Show a depth's new stage, soon; when it first appears, coarser depths are hidden."""
        self._stale.add(depth)
        self._draw_soon()

    def draw(self) -> None:
        """Draw all new stages now; a hidden layer is drawn when it is shown."""
        self._draw_soon.cancel()
        new = sorted(self._stale)
        for depth in new:
            if self._missing(self._attention.get(depth)):
                self._add_attention(depth)
        if new:
            self._draw_others()
        self._apply_visibility()

    def set_depth_shown(self, depth: int, *, shown: bool) -> None:
        """Show or hide one depth's attention."""
        self.depth_shown[depth] = shown
        self._apply_visibility()

    def set_shown(self, kind: str, *, shown: bool) -> None:
        """Show or hide one of `KINDS`."""
        self.shown[kind] = shown
        if shown and self._held_back(kind):
            self.looks.take("everything")
        if shown and kind in ("unseen", "unread") and kind not in self._others:
            self._draw_others()
        self._apply_visibility()

    def toggle(self, kind: str) -> None:
        """Show one of `KINDS` that is hidden, hide one that is shown."""
        self.set_shown(kind, shown=not self.shown[kind] or self._held_back(kind))

    def make_way(self, region: ReviewRegion | None) -> None:
        """Leave the attention clear inside the region that is looked at."""
        before, self._in_hand = self._in_hand, region
        if _outline(before) != _outline(region):
            self._stale |= set(self._attention)
            self._apply_visibility()

    def set_opacity(self, depth: int, opacity: float) -> None:
        """Opacity of a depth's attention, 0 to 1."""
        self.opacity[depth] = opacity
        self._fade()

    def set_threshold(self, depth: int, percentile: float) -> None:
        """Leave a depth's attention clear below a percentile."""
        self.threshold[depth] = percentile
        if depth in self._attention:
            self._stale.add(depth)
            self._apply_visibility()

    def _add_attention(self, depth: int) -> None:
        for coarser in self._attention:
            self.depth_shown[coarser] = False
        self.depth_shown[depth] = True
        self._attention[depth] = self._add(self._attention_tuple(depth))
        self._stale.discard(depth)

    def _attention_tuple(self, depth: int) -> LayerTuple:
        session = self.session
        opacity = self.opacity.get(depth, preferred_opacity())
        values, meta, kind = attention_layer(
            session.grids[depth], session.stages[depth], session.mpp, opacity=opacity
        )
        meta["colormap"] = preferred_colormap()
        # What is saved is the attention, whatever of it is shown.
        meta["metadata"][KEY] |= {"values": values, "opacity": opacity}
        with np.errstate(invalid="ignore"):
            values = np.where(values >= self.threshold.get(depth, 0.0), values, np.nan)
        if self._in_hand is not None:
            values = cleared(values, meta, self._in_hand, session.mpp)
        return values, {**meta, "opacity": opacity * self._strength()}, kind

    def _restyle(self) -> None:
        """Follow the preferences; an opacity that was set by hand stays."""
        for layer in self._attention.values():
            if not self._missing(layer):
                layer.colormap = preferred_colormap()
        self._fade()

    def _draw_attention(self, depth: int) -> None:
        layer: Any = self._attention[depth]
        values, meta, _ = self._attention_tuple(depth)
        layer.data, layer.metadata = values, meta["metadata"]
        self._stale.discard(depth)

    def _strength(self) -> float:
        """Share of its opacity that attention has at the magnification that is shown."""
        known = self.session.slide is not None and self.session.slide.mpp
        return strength(magnification_shown(self.viewer)) if known else 1.0

    def _fade(self) -> None:
        """Let the tissue through at high power."""
        share, before = self._strength(), self._showing
        self._showing = True
        for depth, layer in self._attention.items():
            opacity = self.opacity.get(depth, preferred_opacity())
            if not self._missing(layer) and layer.opacity != opacity * share:
                layer.opacity = opacity * share
                layer.metadata[KEY]["opacity"] = opacity
        self._showing = before

    def _draw_others(self) -> None:
        session, made = self.session, {}
        if session.slide is None:
            return
        shape = session.slide.shape
        tissue = session.shown.tissue
        made["branches"] = branches_layer(session.grids, session.stages, session.mpp, shape)
        if tissue and self.shown["unseen"]:
            last = len(tissue) - 1
            stage = session.stages[last] if last < len(session.stages) else None
            made["unseen"] = unseen_layer(session.grids[last], tissue[last], stage, session.mpp)
        if any(len(stage.unread) for stage in session.stages):
            made["unread"] = unread_layer(session.grids, session.stages, session.mpp, shape)
        self._line_um = um_per_screen_px(self.viewer)
        for kind, layer_tuple in made.items():
            self._replace(kind, layer_tuple)

    def _replace(self, kind: str, layer_tuple: LayerTuple) -> None:
        layer: Any = self._others.get(kind)
        data, meta, layer_kind = layer_tuple
        if layer_kind == "vectors" and not len(data):
            # napari has no colours for no vectors: a model of one depth has no branches.
            self._drop(self._others.pop(kind, None))
            return
        if layer_kind == "vectors":
            meta["edge_width"] = _LINE_PX * self._line_um
        if self._missing(layer):
            self._others[kind] = self._add(layer_tuple)
            return
        if layer_kind == "vectors":
            layer.data = data
            layer.features, layer.edge_color = meta.get("features", {}), meta["edge_color"]
            if layer.edge_width != meta["edge_width"]:
                layer.edge_width = meta["edge_width"]
        else:
            layer.data = data

    def _apply_visibility(self) -> None:
        self.on_shown(self.shown)
        self._showing = True
        # Of a slide that is closing, the stages are gone before the layers.
        known = min(len(self.session.stages), len(self.session.grids))
        for depth, layer in self._attention.items():
            shown = self.shown["attention"] and self.depth_shown.get(depth, False)
            if shown and depth in self._stale and depth < known:
                self._draw_attention(depth)
            self.looks.show(layer, visible=shown)
        for kind, layer in self._others.items():
            self.looks.show(layer, visible=self.shown[kind])
        self._showing = False

    def _follow(self, layer: Layer) -> None:
        layer.events.visible.connect(self._follow_eye)
        layer.events.opacity.connect(self._follow_slider)

    def _follow_eye(self, event: Any) -> None:
        """Keep what the user hides in the list of layers hidden, and what is shown there shown."""
        if self._showing or self.looks.at_work:
            return
        layer = event.source
        if layer.visible:
            self.looks.take("everything")
        for depth in [d for d, one in self._attention.items() if one == layer]:
            self.depth_shown[depth] = layer.visible
            self.shown["attention"] |= layer.visible
            self.on_depth_shown(depth, layer.visible)
        for kind in [kind for kind, one in self._others.items() if one == layer]:
            self.shown[kind] = layer.visible
        self._apply_visibility()

    def _follow_slider(self, event: Any) -> None:
        """Keep the opacity that the user sets with napari's own slider, at this power."""
        if not self._showing:
            for depth in [d for d, one in self._attention.items() if one == event.source]:
                self.opacity[depth] = min(event.source.opacity / self._strength(), 1.0)

    def _held_back(self, kind: str) -> bool:
        """Whether the look hides one of `KINDS`."""
        return self.looks.hides("depth" if kind == "attention" else kind)

    def _zoomed(self, event: Any = None) -> None:
        self._fade()
        self._keep_line_width()

    def _keep_line_width(self) -> None:
        """Keep outlines as thin at 40× as in the overview: napari's widths are in µm."""
        um_per_px = um_per_screen_px(self.viewer)
        drift = um_per_px / self._line_um if self._line_um else np.inf
        if 1 / _WIDTH_SLACK < drift < _WIDTH_SLACK:
            return
        self._line_um = um_per_px
        for kind in ("branches", "unread"):
            layer: Any = self._others.get(kind)
            if not self._missing(layer):
                layer.edge_width = _LINE_PX * um_per_px

    def _missing(self, layer: Layer | None) -> bool:
        # The user may have deleted it.
        return layer is None or layer not in self.viewer.layers

    def _add(self, layer_tuple: LayerTuple) -> Layer:
        data, meta, kind = layer_tuple
        if kind == "image":
            added = self.viewer.add_image(data, **meta)
        else:
            layer = Vectors(data, **meta)
            # Drawn from all outlines, the thumbnail would take longer than the layer itself.
            layer._max_vectors_thumbnail = _IN_THUMBNAIL
            added = self.viewer.add_layer(layer)
        self._follow(added)
        return added

    def _drop(self, layer: Layer | None) -> None:
        if not self._missing(layer):
            self.viewer.layers.remove(layer)


def _outline(region: ReviewRegion | None) -> object:
    return None if region is None else (region.polygon, region.holes)
