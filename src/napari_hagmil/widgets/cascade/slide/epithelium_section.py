"""The slide's epithelium and stroma: found on request, shown over it, taken as the tissue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.encoders import resolve_device
from napari_hagmil.epithelium import CLASS_COLORS, CLASSES, EpitheliumMap, epithelium_steps
from napari_hagmil.session.steering import set_tissue
from napari_hagmil.slide import Slide
from napari_hagmil.tissue import TissueMask
from napari_hagmil.widgets.cascade.context import CascadeContext
from napari_hagmil.widgets.cascade.slide.classes_section import ClassesSection, Wording

_WORDING = Wording(
    title="Epithelium",
    hint="Finds epithelium, stroma and lumen at 10×, by SHELL, which was trained on prostate.",
    look="Find",
    look_tip="Look for epithelium in all tissue of the slide, at 10×",
    use="Use as tissue",
    use_tip="Look at the epithelium only, from the next run on",
)


class EpitheliumSection(ClassesSection[EpitheliumMap]):
    """Finds a slide's epithelium, and offers it as the tissue to look at; undo takes it back.

    Parameters
    ----------
    context : CascadeContext
        What the tabs share.
    """

    def __init__(self, context: CascadeContext) -> None:
        names = {name: name.capitalize() for name in CLASSES}
        super().__init__(context, _WORDING, names, CLASS_COLORS)

    def steps(self, slide: Slide, tissue: TissueMask | None) -> Iterator[float | EpitheliumMap]:
        """Look for the classes with the network, on the device of the runs."""
        device = str(resolve_device(self.context.session.device))
        found = yield from epithelium_steps(slide, tissue, device=device)
        yield found

    def shares(self, found: EpitheliumMap) -> Mapping[str, float]:
        """Share of the tissue of each class."""
        return found.shares

    def values(self, found: EpitheliumMap, ticked: list[str]) -> NDArray[np.uint8]:
        """The (h, w) values of the classes that are ticked."""
        shown = np.array([False, *(name in ticked for name in CLASSES)], np.uint8)
        return found.values * shown[found.values]

    def usable(self, found: EpitheliumMap) -> bool:
        """Whether there is epithelium at all."""
        return found.shares["epithelium"] > 0

    def use(self, found: EpitheliumMap, ticked: list[str]) -> str:
        """Take the epithelium as the tissue."""
        set_tissue(self.context.session, found.epithelium)
        return "The epithelium is the tissue from the next run on."
