"""The slide's artefacts: measured on request, shown over the slide, left out on request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from qtpy.QtWidgets import QCheckBox, QGridLayout, QPushButton

from napari_hagmil.errors import HagmilError
from napari_hagmil.geometry import overlay_placement
from napari_hagmil.quality import COLORS, KINDS, SlideQuality, quality_steps
from napari_hagmil.session import error_sentence
from napari_hagmil.session.steering import leave_out_places
from napari_hagmil.widgets.cascade.context import CascadeContext
from napari_hagmil.widgets.cascade.slide.class_overlay import ClassOverlay, swatch
from napari_hagmil.widgets.style import ERROR_COLOR, QUIET_COLOR, Section, show_text, text_label

_NAMES = {"fold": "Folds", "blur": "Blur", "pen": "Ink", "bubble": "Bubbles", "pigment": "Pigment"}

_HINT = "Finds folds, blur, ink, bubbles and pigment at 10×."


class QualitySection(Section):
    """Measures a slide's quality, and offers what it finds as places to leave out.

    Parameters
    ----------
    context : CascadeContext
        What the tabs share.

    Attributes
    ----------
    quality : SlideQuality or None
        What was found on the open slide; None before it was measured.
    """

    def __init__(self, context: CascadeContext) -> None:
        super().__init__("Quality")
        self.context = context
        self.quality: SlideQuality | None = None
        self._overlay = ClassOverlay(context.viewer, "Quality", [COLORS[kind] for kind in KINDS])
        self.facts = text_label(_HINT, color=QUIET_COLOR)
        self.error = text_label(color=ERROR_COLOR, selectable=True)
        self.measure_button = QPushButton("Measure")
        self.leave_out_button = QPushButton("Leave out")
        self.measure_button.setToolTip("Look for artefacts on the whole slide, at 10×")
        self.leave_out_button.setToolTip("Leave out what is ticked, from the next run on")
        self.boxes = {kind: QCheckBox(_NAMES[kind]) for kind in KINDS}
        grid = QGridLayout()
        grid.addWidget(self.measure_button, 0, 0)
        grid.addWidget(self.leave_out_button, 0, 1)
        for i, (kind, box) in enumerate(self.boxes.items()):
            box.setIcon(swatch(COLORS[kind]))
            box.setChecked(True)
            box.toggled.connect(lambda _: self._draw())
            grid.addWidget(box, 1 + i // 2, i % 2)
        self.body.addLayout(grid)
        self.add(self.facts, self.error)
        self.measure_button.clicked.connect(self.measure)
        self.leave_out_button.clicked.connect(self.leave_out)
        context.links.connect(context.session.slide_changed, self._slide_changed)
        self._slide_changed(context.session.slide)

    def measure(self) -> None:
        """Look for artefacts in the background."""
        slide, session = self.context.session.slide, self.context.session
        if slide is None:
            return
        if self.context.work.busy:
            show_text(self.error, "Something else is under way; measure when it has ended.")
            return
        tissue = session.prepared.tissue if session.prepared is not None else None
        show_text(self.error, "")
        self.measure_button.setEnabled(False)

        def work() -> Iterator[float | SlideQuality]:
            found = yield from quality_steps(slide, tissue)
            yield found

        self.context.work.start(
            work,
            on_item=self._take,
            on_done=lambda: self.measure_button.setEnabled(True),
            on_cancelled=lambda: self.measure_button.setEnabled(True),
            on_error=self._failed,
        )

    def leave_out(self) -> None:
        """Add the places of what is ticked to those that the next run leaves out."""
        session, ticked = self.context.session, self._ticked()
        if self.quality is None or session.slide is None:
            return
        places = self.quality.places(ticked, session.slide.shape)
        try:
            said = leave_out_places(session, places)
        except HagmilError as error:
            show_text(self.error, error_sentence(error))
        else:
            show_text(self.error, "")
            show_text(self.facts, said)

    def _take(self, item: float | SlideQuality) -> None:
        if not isinstance(item, SlideQuality):
            show_text(self.facts, f"Looking at the tissue: {item:.0%}.")
            return
        self.quality = item
        for kind, box in self.boxes.items():
            share = item.shares.get(kind)
            box.setText(_NAMES[kind] if share is None else f"{_NAMES[kind]} {share:.1%}")
            box.setEnabled(share is not None)
        self.leave_out_button.setEnabled(True)
        show_text(self.facts, "\n".join(("Shares of the tissue.", *item.notes)))
        self._draw()

    def _failed(self, error: BaseException) -> None:
        self.measure_button.setEnabled(True)
        show_text(self.facts, _HINT)
        show_text(self.error, error_sentence(error))

    def _slide_changed(self, slide: Any) -> None:
        self.quality = None
        self._overlay.remove()
        for kind, box in self.boxes.items():
            box.setText(_NAMES[kind])
            box.setEnabled(False)
        self.leave_out_button.setEnabled(False)
        self.measure_button.setEnabled(slide is not None)
        show_text(self.facts, _HINT)
        show_text(self.error, "")

    def _ticked(self) -> list[str]:
        return [kind for kind, box in self.boxes.items() if box.isChecked()]

    def _draw(self) -> None:
        """Show what is ticked, one colour a kind."""
        if self.quality is None:
            return
        values = np.zeros(self.quality.specimen.shape, np.uint8)
        for value, kind in enumerate(KINDS, start=1):
            if kind in self.quality.maps and self.boxes[kind].isChecked():
                values[self.quality.maps[kind]] = value
        self._overlay.show(values, overlay_placement(self.quality.downsample, self.quality.mpp))
