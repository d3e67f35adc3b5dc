"""The prepared slide of a session, made again only when what it depends on changes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_hagmil.encoders import Encoder
from napari_hagmil.models import CascadeModel
from napari_hagmil.polygons import Outline
from napari_hagmil.prepare import (
    PreparedSlide,
    load_model,
    load_network,
    prepare,
    prepare_given,
)
from napari_hagmil.slide import Slide
from napari_hagmil.tissue import drawn_tissue

#: What features and attention depend on: fingerprint, mpp, model, device, stored features.
Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a slide is made ready with.

    Attributes
    ----------
    model, device : str
        Names of the bundle and the device.
    features : tuple of Path
        Stored features that stand in for the encoder: see `features.open_given`.
    """

    model: str
    device: str
    features: tuple[Path, ...] = ()


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
        self._networks: tuple[CascadeModel, Encoder | None] | None = None
        self._named: tuple[str, str, bool] = ("", "", False)

    def forget(self) -> None:
        """Drop the prepared slide; the networks stay for the next slide."""
        self.prepared, self.key, self._rings = None, (), None

    def make(
        self,
        slide: Slide,
        wanted: Wanted,
        rings: tuple[Outline, ...] | None,
    ) -> PreparedSlide:
        """Load the networks and find the tissue, unless that is done; for a worker's thread.

        Parameters
        ----------
        slide : Slide
            The open slide.
        wanted : Wanted
            Model, device and stored features.
        rings : tuple of Outline, optional
            The tissue as the user drew it; None: as it is found.
        """
        key = preparation_key(slide, wanted)
        drawn = None if rings is None else drawn_tissue(slide, rings)
        model, encoder = self._loaded(wanted)
        if self.prepared is None or key != self.key:
            if encoder is None:
                self.prepared = prepare_given(slide, model, wanted.features, tissue=drawn)
            else:
                self.prepared = prepare(slide, model, encoder, tissue=drawn)
            self.key = key
        elif rings != self._rings:
            self.prepared = self.prepared.with_tissue(drawn)
        self._rings = rings
        return self.prepared

    def _loaded(self, wanted: Wanted) -> tuple[CascadeModel, Encoder | None]:
        """The networks; on stored features no encoder is needed."""
        named = (wanted.model, wanted.device, bool(wanted.features))
        if self._networks is None or self._named != named:
            if wanted.features:
                network = load_network(wanted.model, device=wanted.device)
                self._networks = network, None
            else:
                self._networks = load_model(wanted.model, device=wanted.device)
            self._named = named
        return self._networks


def preparation_key(slide: Slide | None, wanted: Wanted) -> Key:
    """What features and attention depend on."""
    return (
        slide and slide.fingerprint,
        slide and slide.mpp,
        wanted.model,
        wanted.device,
        *wanted.features,
    )
