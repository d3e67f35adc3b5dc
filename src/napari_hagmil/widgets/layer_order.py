"""The order in which our layers lie on each other, whatever comes and goes."""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel
from napari.layers import Layer

from napari_hagmil.plugin.layers import KEY

#: Facts by which our layers are known, from the bottom to the top.
_FROM_BELOW = (
    "bare",
    "path",
    "depth",
    "unseen",
    "quality",
    "epithelium",
    "likeness",
    "seen_by",
    "tissue",
    "branches",
    "unread",
    "changed",
    "vetoes",
    "pins",
    "review",
    "held",
    "drawing",
)


class LayerOrder:
    """Puts each of our layers where it belongs when it is added.

    The slide goes below the layers of others, what lies on it above them. Where the user moves a
    layer, it stays.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The window.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._layers = viewer.layers
        self._layers.events.inserted.connect(self._place)

    def _place(self, event: Any) -> None:
        layer = event.value
        rank = rank_of(layer)
        if rank is None:
            return
        ranks = [None if one == layer else rank_of(one) for one in self._layers]
        below = [i for i, other in enumerate(ranks) if other is not None and other <= rank]
        above = [i for i, other in enumerate(ranks) if other is not None and other > rank]
        if rank < _UP_FROM:
            at = below[-1] + 1 if below else 0
        else:
            at = above[0] if above else len(ranks)
        self._layers.move(self._layers.index(layer), at)


def rank_of(layer: Layer) -> tuple[int, int] | None:
    """Where a layer of ours belongs, higher is further up; None for a layer of others."""
    facts = layer.metadata.get(KEY, {})
    for rank, fact in enumerate(_FROM_BELOW):
        if fact in facts:
            depth = facts[fact] if fact == "depth" else 0
            return rank, int(depth)
    return None


#: What lies below is the slide, and below everything.
_UP_FROM = (_FROM_BELOW.index("depth"), 0)


def lies_on_the_slide(layer: Layer) -> bool:
    """Whether a layer is one of ours, and not the slide itself."""
    rank = rank_of(layer)
    return rank is not None and rank >= _UP_FROM
