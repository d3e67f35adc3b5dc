"""How much lies on the slide: everything, its outlines alone, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from napari.components import ViewerModel
from napari.layers import Layer
from psygnal import Signal

from napari_hagmil.plugin.layers import KEY
from napari_hagmil.widgets.layer_order import lies_on_the_slide

#: The looks in the order in which one key goes through them, and what each says of itself.
LOOKS = {"everything": "", "outlines": "outlines only (H)", "bare": "bare slide (H)"}

#: Facts of layers that colour the tissue: attention, what was not seen, artefacts, likeness, views.
_TINTS = frozenset({"depth", "unseen", "quality", "epithelium", "likeness", "seen_by"})


class Looks:
    """Hides what lies on the slide and brings it back as it was; what the user hides stays hidden.

    Layers of others are left alone, and so is what is being drawn.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The window.

    Attributes
    ----------
    look : str
        One of `LOOKS`.
    at_work : bool
        Whether layers are shown and hidden by this object, and not by the user.

    Signals
    -------
    changed : str
        The look, when it is another one.
    """

    changed = Signal(str)

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer, self.look, self.at_work = viewer, "everything", False
        # By what they are: the review draws its layers anew, and the new one stands for the old.
        self._hidden: set[tuple[str, Any]] = set()
        viewer.layers.events.inserted.connect(self._arrived)

    def go_on(self) -> None:
        """Take the next look that is another one on the screen; after the last, the first."""
        names = list(LOOKS)
        following = names[(names.index(self.look) + 1) % len(names)]
        tinted = any(one.visible and _hides("outlines", one) for one in self._ours())
        self.take("bare" if following == "outlines" and not tinted else following)

    def take(self, look: str) -> None:
        """Take a look."""
        if look == self.look:
            return
        self.look = look
        with self._working():
            for layer in self._ours():
                hides, fact = _hides(look, layer), fact_of(layer)
                if hides and layer.visible:
                    self._hidden.add(fact)
                    layer.visible = False
                elif not hides and fact in self._hidden:
                    self._hidden.discard(fact)
                    layer.visible = True
        if look == "everything":
            self._hidden.clear()  # of layers that went meanwhile
        self.changed.emit(look)

    def show(self, layer: Layer, *, visible: bool) -> None:
        """Show or hide a layer of ours, now or when the look allows it."""
        later = visible and _hides(self.look, layer)
        (self._hidden.add if later else self._hidden.discard)(fact_of(layer))
        with self._working():
            if layer.visible != (visible and not later):
                layer.visible = visible and not later

    def shows(self, layer: Layer) -> bool:
        """Whether a layer of ours is visible, or will be when the look allows it."""
        return bool(layer.visible) or fact_of(layer) in self._hidden

    def hides(self, fact: str) -> bool:
        """Whether layers with a fact are hidden now."""
        return self.look == "bare" or (self.look == "outlines" and fact in _TINTS)

    def _ours(self) -> list[Layer]:
        return [one for one in self.viewer.layers if lies_on_the_slide(one)]

    def _arrived(self, event: Any) -> None:
        """Hide what the review draws anew, as the rest; who draws sees what is drawn already."""
        layer = event.value
        fact = fact_of(layer)[0]
        if fact == "drawing" and self.look == "bare":
            self.take("outlines")
        elif fact == "review" and layer.visible:
            self.show(layer, visible=True)

    @contextmanager
    def _working(self) -> Iterator[None]:
        self.at_work, before = True, self.at_work
        try:
            yield
        finally:
            self.at_work = before


def fact_of(layer: Layer) -> tuple[str, Any]:
    """What a layer of ours is, as its metadata says; empty for a layer of others."""
    facts = layer.metadata.get(KEY, {})
    return next(iter(facts.items()), ("", None))


def _hides(look: str, layer: Layer) -> bool:
    fact = fact_of(layer)[0]
    if look == "everything" or fact == "drawing":
        return False
    return look == "bare" or fact in _TINTS
