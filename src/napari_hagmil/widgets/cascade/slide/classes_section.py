"""A section that looks for classes of places in the background, and shows them over the slide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QCheckBox, QGridLayout, QPushButton

from napari_hagmil.errors import HagmilError
from napari_hagmil.geometry import overlay_placement
from napari_hagmil.session import error_sentence
from napari_hagmil.slide import Slide
from napari_hagmil.tissue import TissueMask
from napari_hagmil.widgets.cascade.context import CascadeContext
from napari_hagmil.widgets.cascade.slide.class_overlay import ClassOverlay, Color, swatch
from napari_hagmil.widgets.style import (
    ERROR_COLOR,
    QUIET_COLOR,
    Section,
    explain,
    show_text,
    text_label,
)

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Wording:
    """What a section says.

    Attributes
    ----------
    title, hint : str
        Its heading, which names its layer too, and what it finds.
    look, look_tip, use, use_tip : str
        The buttons that look, and that use what was found.
    """

    title: str
    hint: str
    look: str
    look_tip: str
    use: str
    use_tip: str


class ClassesSection(Section, Generic[Found]):
    """Looks for classes of places on request; what it finds can be shown, hidden and used.

    Parameters
    ----------
    context : CascadeContext
        What the tabs share.
    wording : Wording
        What it says.
    names : mapping of str to str
        The classes in the order of their values, from 1, and what they are called.
    colors : mapping of str to (3,) int
        RGB of each.

    Attributes
    ----------
    found : object or None
        What was found on the open slide; None before it was looked for.
    """

    def __init__(
        self,
        context: CascadeContext,
        wording: Wording,
        names: Mapping[str, str],
        colors: Mapping[str, Color],
    ) -> None:
        super().__init__(wording.title)
        self.context, self._wording, self._names = context, wording, names
        self.found: Found | None = None
        self._overlay = ClassOverlay(context.viewer, wording.title, [colors[one] for one in names])
        self.facts = text_label(wording.hint, color=QUIET_COLOR)
        self.error = text_label(color=ERROR_COLOR, selectable=True)
        self.look_button, self.use_button = QPushButton(wording.look), QPushButton(wording.use)
        explain(self.look_button, wording.look_tip)
        explain(self.use_button, wording.use_tip)
        self.boxes = {name: QCheckBox(label) for name, label in names.items()}
        grid = QGridLayout()
        grid.addWidget(self.look_button, 0, 0)
        grid.addWidget(self.use_button, 0, 1)
        for i, (name, box) in enumerate(self.boxes.items()):
            box.setIcon(swatch(colors[name]))
            box.setChecked(True)
            box.toggled.connect(lambda _: self._draw())
            grid.addWidget(box, 1 + i // 2, i % 2)
        self.body.addLayout(grid)
        self.add(self.facts, self.error)
        self.look_button.clicked.connect(self.look)
        self.use_button.clicked.connect(self._use)
        context.links.connect(context.session.slide_changed, self._slide_changed)
        self._slide_changed(context.session.slide)

    def steps(self, slide: Slide, tissue: TissueMask | None) -> Iterator[float | Found]:
        """Look for the classes; made for a worker's thread: shares of the work, then the found."""
        raise NotImplementedError

    def shares(self, found: Found) -> Mapping[str, float]:
        """Share of the tissue of each class; one that could not be looked for is missing."""
        raise NotImplementedError

    def values(self, found: Found, ticked: list[str]) -> NDArray[np.uint8]:
        """The (h, w) values of the classes that are to be seen, 0 elsewhere."""
        raise NotImplementedError

    def use(self, found: Found, ticked: list[str]) -> str:
        """Use what was found for the next run, and say so; an error is shown."""
        raise NotImplementedError

    def notes(self, found: Found) -> tuple[str, ...]:
        """What to know about it, besides the shares."""
        return ()

    def usable(self, found: Found) -> bool:
        """Whether there is something to use."""
        return True

    def look(self) -> None:
        """Look for the classes in the background."""
        slide, session = self.context.session.slide, self.context.session
        if slide is None:
            return
        if self.context.work.busy:
            show_text(self.error, "Something else is under way; try again when it has ended.")
            return
        tissue = session.prepared.tissue if session.prepared is not None else None
        show_text(self.error, "")
        self.look_button.setEnabled(False)
        self.context.work.start(
            lambda: self.steps(slide, tissue),
            on_item=self._take,
            on_done=lambda: self.look_button.setEnabled(True),
            on_cancelled=self._stopped,
            on_error=self._failed,
        )

    def _use(self) -> None:
        if self.found is None:
            return
        try:
            said = self.use(self.found, self._ticked())
        except HagmilError as error:
            show_text(self.error, error_sentence(error))
        else:
            show_text(self.error, "")
            show_text(self.facts, said)

    def _take(self, item: float | Found) -> None:
        if isinstance(item, float):
            show_text(self.facts, f"Looking at the tissue: {item:.0%}.")
            return
        self.found = item
        shares = self.shares(item)
        for name, box in self.boxes.items():
            label = self._names[name]
            box.setText(f"{label} {shares[name]:.1%}" if name in shares else label)
            box.setEnabled(name in shares)
        self.use_button.setEnabled(self.usable(item))
        show_text(self.facts, "\n".join(("Shares of the tissue.", *self.notes(item))))
        self._draw()

    def _stopped(self) -> None:
        self.look_button.setEnabled(True)
        show_text(self.facts, self._wording.hint)

    def _failed(self, error: BaseException) -> None:
        self._stopped()
        show_text(self.error, error_sentence(error))

    def _slide_changed(self, slide: Any) -> None:
        self.found = None
        self._overlay.remove()
        for name, box in self.boxes.items():
            box.setText(self._names[name])
            box.setEnabled(False)
        self.use_button.setEnabled(False)
        self.look_button.setEnabled(slide is not None)
        show_text(self.facts, self._wording.hint)
        show_text(self.error, "")

    def _ticked(self) -> list[str]:
        return [name for name, box in self.boxes.items() if box.isChecked()]

    def _draw(self) -> None:
        """Show what is ticked, a colour each."""
        found: Any = self.found
        if found is not None:
            place = overlay_placement(found.downsample, found.mpp)
            self._overlay.show(self.values(found, self._ticked()), place)
