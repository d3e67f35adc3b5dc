"""The slide's artefacts: measured on request, shown over the slide, left out on request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.quality import COLORS, KINDS, SlideQuality, quality_steps
from napari_hagmil.session.steering import leave_out_places
from napari_hagmil.slide import Slide
from napari_hagmil.tissue import TissueMask
from napari_hagmil.widgets.cascade.context import CascadeContext
from napari_hagmil.widgets.cascade.slide.classes_section import ClassesSection, Wording

_NAMES = {"fold": "Folds", "blur": "Blur", "pen": "Ink", "bubble": "Bubbles", "pigment": "Pigment"}

_WORDING = Wording(
    title="Quality",
    hint="Finds folds, blur, ink, bubbles and pigment at 10×.",
    look="Measure",
    look_tip="Look for artefacts on the whole slide, at 10×",
    use="Leave out",
    use_tip="Leave out what is ticked, from the next run on",
)


class QualitySection(ClassesSection[SlideQuality]):
    """Measures a slide's quality, and offers what it finds as places to leave out.

    Parameters
    ----------
    context : CascadeContext
        What the tabs share.
    """

    def __init__(self, context: CascadeContext) -> None:
        super().__init__(context, _WORDING, {kind: _NAMES[kind] for kind in KINDS}, COLORS)

    def steps(self, slide: Slide, tissue: TissueMask | None) -> Iterator[float | SlideQuality]:
        """Look for artefacts."""
        found = yield from quality_steps(slide, tissue)
        yield found

    def shares(self, found: SlideQuality) -> Mapping[str, float]:
        """Share of the tissue of each kind that could be looked for."""
        return found.shares

    def notes(self, found: SlideQuality) -> tuple[str, ...]:
        """What could not be looked for, and why."""
        return tuple(found.notes)

    def values(self, found: SlideQuality, ticked: list[str]) -> NDArray[np.uint8]:
        """The (h, w) values of the kinds that are ticked; of several at a place, the last."""
        values = np.zeros(found.specimen.shape, np.uint8)
        for value, kind in enumerate(KINDS, start=1):
            if kind in found.maps and kind in ticked:
                values[found.maps[kind]] = value
        return values

    def use(self, found: SlideQuality, ticked: list[str]) -> str:
        """Add the places of what is ticked to those that the next run leaves out."""
        slide = self.context.session.slide
        if slide is None:
            return ""
        return leave_out_places(self.context.session, found.places(ticked, slide.shape))
