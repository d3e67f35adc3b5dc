"""The prepared slide of a session, made again only when what it depends on changes."""

from __future__ import annotations

from napari_hagmil.encoders import Encoder
from napari_hagmil.models import CascadeModel
from napari_hagmil.polygons import Outline
from napari_hagmil.prepare import PreparedSlide, load_model, prepare
from napari_hagmil.slide import Slide
from napari_hagmil.tissue import drawn_tissue, segment_tissue

#: What features and attention depend on: fingerprint, mpp, model, device.
Key = tuple[object, ...]


class Preparation:
    """Networks, tissue and quadtree of the open slide, made on first use.

    Attributes
    ----------
    prepared : PreparedSlide or None
        The last one made.
    key : tuple
        What it was made from: see `preparation_key`.
    """

    def __init__(self) -> None:
        self.prepared: PreparedSlide | None = None
        self.key: Key = ()
        self._rings: tuple[Outline, ...] | None = None
        self._networks: tuple[CascadeModel, Encoder] | None = None
        self._named: tuple[str, str] = ("", "")

    def forget(self) -> None:
        """Drop the prepared slide; the networks stay for the next slide."""
        self.prepared, self.key, self._rings = None, (), None

    def make(
        self, slide: Slide, model: str, device: str, rings: tuple[Outline, ...] | None
    ) -> PreparedSlide:
        """Load the networks and find the tissue, unless that is done; for a worker's thread.

        Parameters
        ----------
        slide : Slide
            The open slide.
        model, device : str
            Names of the bundle and the device.
        rings : tuple of Outline, optional
            The tissue as the user drew it; None: as it is found.
        """
        key = preparation_key(slide, model, device)
        if self._networks is None or self._named != (model, device):
            self._networks, self._named = load_model(model, device=device), (model, device)
        if self.prepared is None or key != self.key:
            drawn = None if rings is None else drawn_tissue(slide, rings)
            self.prepared = prepare(slide, *self._networks, tissue=drawn, keep_features=True)
            self.key = key
        elif rings != self._rings:
            tissue = segment_tissue(slide) if rings is None else drawn_tissue(slide, rings)
            self.prepared = self.prepared.with_tissue(tissue)
        self._rings = rings
        return self.prepared


def preparation_key(slide: Slide | None, model: str, device: str) -> Key:
    """What features and attention depend on."""
    return (slide and slide.fingerprint, slide and slide.mpp, model, device)
