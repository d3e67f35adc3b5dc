"""Look like this: the places of the slide most like one place, as pictures and on the map."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from napari.layers import Layer
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QIcon, QPixmap
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QListView, QListWidget, QPushButton

from napari_hagmil.cascade import Likeness
from napari_hagmil.geometry import magnification_label
from napari_hagmil.plugin.likeness_layer import likeness_layer
from napari_hagmil.review import ReviewRegion
from napari_hagmil.session import error_sentence
from napari_hagmil.session.alike import Example, example_at
from napari_hagmil.session.numbers import counted
from napari_hagmil.widgets.cascade.camera import centre_on
from napari_hagmil.widgets.cascade.context import CascadeContext
from napari_hagmil.widgets.review.thumbnails import SIDE, Thumbnails
from napari_hagmil.widgets.style import QUIET_COLOR, Section, explain, show_text, text_label

#: How many places are shown.
MOST = 12

_EMPTY = "Point at a place that the cascade has looked at, then press Alt-A."


class AlikeSection(Section):
    """Compares a place with all others that its depth has looked at.

    Parameters
    ----------
    context : CascadeContext
        What the tabs share.

    Attributes
    ----------
    example : Example or None
        What was asked for last.
    """

    def __init__(self, context: CascadeContext) -> None:
        super().__init__("Look like this")
        self.context = context
        self.example: Example | None = None
        self._found: Likeness | None = None
        self._order = np.empty(0, np.intp)
        self._map: Layer | None = None
        self.button, self.on_map = QPushButton("Find places like it"), QCheckBox("On the map")
        explain(self.button, "Compare what the encoder saw here with what it saw elsewhere")
        explain(self.on_map, "Colour every patch of this depth by its likeness to the place")
        line = QHBoxLayout()
        line.addWidget(self.button, 1)
        line.addWidget(self.on_map)
        self.body.addLayout(line)
        self.note = text_label(_EMPTY, color=QUIET_COLOR)
        self.list, self.thumbnails = _strip(), Thumbnails()
        self.add(self.note, self.list)
        self.on_map.toggled.connect(lambda _: self._draw_map())
        self.list.itemClicked.connect(self._go_there)
        self.list.itemActivated.connect(self._go_there)
        self.thumbnails.ready.connect(self._show_picture)
        context.links.connect(context.session.slide_changed, lambda _: self.forget())
        context.links.connect(context.session.cleared, self.forget)

    def find(self, place: tuple[float, float] | None) -> None:
        """Find what looks like a level-0 pixel (y, x); None: nothing is pointed at."""
        session, work = self.context.session, self.context.work
        example = example_at(session, *place) if place is not None else None
        if example is None:
            show_text(self.note, _why_not(shown=bool(session.stages), pointed=place is not None))
            return
        if work.busy:
            show_text(self.note, "Wait for the run to end, then ask again.")
            return
        asked: Example = example

        def compare() -> Iterator[Any]:
            yield asked.compare()

        show_text(self.note, "Comparing…")
        work.start(
            compare,
            on_item=lambda found: self._show(asked, found),
            on_done=_nothing,
            on_cancelled=_nothing,
            on_error=lambda error: show_text(self.note, error_sentence(error)),
        )

    def forget(self) -> None:
        """Take away what was found: it is of another slide, or of another model."""
        self.example = self._found = None
        self.list.clear()
        self.list.hide()
        show_text(self.note, _EMPTY)
        self._draw_map()

    def close_work(self) -> None:
        """Stop reading pictures; the layer goes with the section that explains it."""
        self.thumbnails.close()
        self._found = None
        self._draw_map()

    def _show(self, example: Example, found: Likeness) -> None:
        self.example, self._found = example, found
        self._order = found.most_alike(MOST, reach=example.grid.span)
        grid, stage = example.grid, example.stage
        label = magnification_label(grid.downsample * self.context.session.mpp)
        n = counted(len(stage.nodes) - 1, "other patch")
        show_text(
            self.note, f"Compared with {n} at {label}. 1.00: the same to the encoder; click to go."
        )
        self.list.clear()
        self.list.addItems([f"{found.cosine[i]:.2f}" for i in self._order])
        self.list.setVisible(bool(len(self._order)))
        regions = [ReviewRegion(str(k), self._outline(i)) for k, i in enumerate(self._order)]
        self.thumbnails.ask(self.context.session.slide, regions)
        self._draw_map()

    def _outline(self, index: np.intp) -> tuple[tuple[float, float], ...]:
        assert self.example is not None
        place = self.example.grid.region(self.example.stage.nodes[index])
        y0, x0, y1, x1 = place.y, place.x, place.y + place.height, place.x + place.width
        return ((y0, x0), (y0, x1), (y1, x1), (y1, x0))

    def _go_there(self, item: Any) -> None:
        if self.example is None:
            return
        node = self.example.stage.nodes[self._order[self.list.row(item)]]
        y, x = self.example.grid.centres(node[None])[0].tolist()
        centre_on(self.context.viewer, (y, x), self.context.session.mpp)

    def _show_picture(self, name: str, picture: QPixmap) -> None:
        item = self.list.item(int(name))
        if item is not None:
            icon = QIcon(picture)
            icon.addPixmap(picture, QIcon.Mode.Selected)
            item.setIcon(icon)

    def _draw_map(self) -> None:
        """Draw the likeness of all patches, or take it away."""
        viewer, mpp = self.context.viewer, self.context.session.mpp
        if self._map is not None and self._map in viewer.layers:
            viewer.layers.remove(self._map)
        self._map = None
        if self.example is not None and self._found is not None and self.on_map.isChecked():
            active = viewer.layers.selection.active
            data, meta, _ = likeness_layer(self.example.grid, self._found, mpp)
            self._map = viewer.add_image(data, **meta)
            viewer.layers.selection.active = active


def _why_not(*, shown: bool, pointed: bool) -> str:
    if not shown:
        return "Run the cascade first: places are compared by what it has looked at."
    if not pointed:
        return _EMPTY
    return (
        "There is nothing to compare here: the cascade has not looked at this place, or the model "
        "of this stored result is not at hand; point at a coloured place, or run the cascade."
    )


def _strip() -> QListWidget:
    made = QListWidget()
    made.setViewMode(QListView.ViewMode.IconMode)
    made.setFlow(QListView.Flow.LeftToRight)
    made.setMovement(QListView.Movement.Static)
    made.setResizeMode(QListView.ResizeMode.Adjust)
    made.setIconSize(QSize(SIDE, SIDE))
    # Before its picture is read an item would be as small as its text.
    made.setGridSize(QSize(SIDE + 8, SIDE + 22))
    made.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
    made.setFixedHeight(2 * (SIDE + 22) + 8)
    made.setAccessibleName("Places that look like it, the most alike first")
    made.hide()
    return made


def _nothing() -> None:
    """For work whose end needs no answer."""
