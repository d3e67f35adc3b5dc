"""The slide's epithelium and stroma: found on request, shown over it, taken as the tissue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from qtpy.QtWidgets import QCheckBox, QGridLayout, QPushButton

from napari_hagmil.encoders import resolve_device
from napari_hagmil.epithelium import CLASS_COLORS, CLASSES, EpitheliumMap, epithelium_steps
from napari_hagmil.errors import HagmilError
from napari_hagmil.geometry import overlay_placement
from napari_hagmil.session import error_sentence
from napari_hagmil.session.steering import set_tissue
from napari_hagmil.widgets.cascade.context import CascadeContext
from napari_hagmil.widgets.cascade.slide.class_overlay import ClassOverlay, swatch
from napari_hagmil.widgets.style import ERROR_COLOR, QUIET_COLOR, Section, show_text, text_label

_HINT = "Finds epithelium, stroma and lumen at 10×, by SHELL, which was trained on prostate."


class EpitheliumSection(Section):
    """Finds a slide's epithelium, and offers it as the tissue to look at.

    Parameters
    ----------
    context : CascadeContext
        What the tabs share.

    Attributes
    ----------
    found : EpitheliumMap or None
        What was found on the open slide; None before it was looked for.
    """

    def __init__(self, context: CascadeContext) -> None:
        super().__init__("Epithelium")
        self.context = context
        self.found: EpitheliumMap | None = None
        colors = [CLASS_COLORS[name] for name in CLASSES]
        self._overlay = ClassOverlay(context.viewer, "Epithelium", colors)
        self.facts = text_label(_HINT, color=QUIET_COLOR)
        self.error = text_label(color=ERROR_COLOR, selectable=True)
        self.find_button = QPushButton("Find")
        self.use_button = QPushButton("Use as tissue")
        self.find_button.setToolTip("Look for epithelium in all tissue of the slide, at 10×")
        self.use_button.setToolTip("Look at the epithelium only, from the next run on")
        self.boxes = {name: QCheckBox(name.capitalize()) for name in CLASSES}
        grid = QGridLayout()
        grid.addWidget(self.find_button, 0, 0)
        grid.addWidget(self.use_button, 0, 1)
        for i, (name, box) in enumerate(self.boxes.items()):
            box.setIcon(swatch(CLASS_COLORS[name]))
            box.setChecked(True)
            box.toggled.connect(lambda _: self._draw())
            grid.addWidget(box, 1 + i // 2, i % 2)
        self.body.addLayout(grid)
        self.add(self.facts, self.error)
        self.find_button.clicked.connect(self.find)
        self.use_button.clicked.connect(self.use)
        context.links.connect(context.session.slide_changed, self._slide_changed)
        self._slide_changed(context.session.slide)

    def find(self) -> None:
        """Look for epithelium in the background."""
        slide, session = self.context.session.slide, self.context.session
        if slide is None:
            return
        if self.context.work.busy:
            show_text(self.error, "Something else is under way; look when it has ended.")
            return
        tissue = session.prepared.tissue if session.prepared is not None else None
        show_text(self.error, "")
        self.find_button.setEnabled(False)

        def work() -> Iterator[float | EpitheliumMap]:
            device = str(resolve_device(session.device))
            found = yield from epithelium_steps(slide, tissue, device=device)
            yield found

        self.context.work.start(
            work,
            on_item=self._take,
            on_done=lambda: self.find_button.setEnabled(True),
            on_cancelled=self._stopped,
            on_error=self._failed,
        )

    def use(self) -> None:
        """Take the epithelium as the tissue; undo takes it back."""
        if self.found is None:
            return
        try:
            set_tissue(self.context.session, self.found.epithelium)
        except HagmilError as error:
            show_text(self.error, error_sentence(error))
        else:
            show_text(self.error, "")
            show_text(self.facts, "The epithelium is the tissue from the next run on.")

    def _take(self, item: float | EpitheliumMap) -> None:
        if not isinstance(item, EpitheliumMap):
            show_text(self.facts, f"Looking at the tissue: {item:.0%}.")
            return
        self.found = item
        for name, box in self.boxes.items():
            box.setText(f"{name.capitalize()} {item.shares[name]:.1%}")
            box.setEnabled(True)
        self.use_button.setEnabled(item.shares["epithelium"] > 0)
        show_text(self.facts, "Shares of the tissue.")
        self._draw()

    def _stopped(self) -> None:
        self.find_button.setEnabled(True)
        show_text(self.facts, _HINT)

    def _failed(self, error: BaseException) -> None:
        self._stopped()
        show_text(self.error, error_sentence(error))

    def _slide_changed(self, slide: Any) -> None:
        self.found = None
        self._overlay.remove()
        for name, box in self.boxes.items():
            box.setText(name.capitalize())
            box.setEnabled(False)
        self.use_button.setEnabled(False)
        self.find_button.setEnabled(slide is not None)
        show_text(self.facts, _HINT)
        show_text(self.error, "")

    def _draw(self) -> None:
        """Show what is ticked."""
        if self.found is None:
            return
        shown = [0, *(box.isChecked() for box in self.boxes.values())]
        values = self.found.values * np.array(shown, np.uint8)[self.found.values]
        place = overlay_placement(self.found.downsample, self.found.mpp)
        self._overlay.show(values, place)
