"""What every tool of the hand works with: the slide under the pointer, and what is drawn there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from napari.components import ViewerModel

from napari_hagmil.polygons import Place
from napari_hagmil.session import Review
from napari_hagmil.session.drawing.drawn import DrawnObjects
from napari_hagmil.widgets.cascade.camera import um_per_screen_px
from napari_hagmil.widgets.review.hand.sheet import Sheet

Drag = Iterator[None]
"""A press, the moves after it and the release, as napari's mouse callbacks have them."""

#: How far from an outline a click still counts, px of the screen.
SLACK_PX = 5.0


@dataclass
class Reach:
    """What a tool of the hand reaches.

    Attributes
    ----------
    viewer : napari.components.ViewerModel
        The window.
    review : Review
        Where what is drawn goes.
    drawn : DrawnObjects
        The annotations, and which of them are picked.
    sheet : Sheet
        The layer that the tool works on.
    size_px : float
        Diameter of the brush, px of the screen.
    tolerance : float
        Of the wand, 0 to 255.
    """

    viewer: ViewerModel
    review: Review
    drawn: DrawnObjects
    sheet: Sheet
    size_px: float
    tolerance: float

    def place(self, event: Any) -> Place:
        """Where the pointer is, level-0 px."""
        y, x = (float(part) / self.review.mpp for part in event.position[-2:])
        return y, x

    def px(self) -> float:
        """Level-0 px that a pixel of the screen covers."""
        return um_per_screen_px(self.viewer) / self.review.mpp

    @property
    def slack(self) -> float:
        """How far from an outline a click still counts, level-0 px."""
        return SLACK_PX * self.px()


class HandTool(Protocol):
    """A tool: what it does from the press of a button to its release."""

    def drag(self, event: Any) -> Drag | None:
        """Follow the pointer; what was done is kept when the button is released. None: no more."""
