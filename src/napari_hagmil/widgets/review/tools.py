"""The drawing tools of a review."""

from __future__ import annotations

from napari.components import ViewerModel
from psygnal import Signal

from napari_hagmil.plugin.review_layers import DECISION_COLORS
from napari_hagmil.polygons import Outline
from napari_hagmil.review import AnnotationKind, ReviewRegion, class_named
from napari_hagmil.session import Review
from napari_hagmil.widgets.preferences import keeps_tool
from napari_hagmil.widgets.review.drawing import Brush, Drawing


class ReviewTools:
    """Lets the pointer draw annotations, cuts and outlines of regions.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where it draws.
    review : Review
        What the drawings go to.

    Signals
    -------
    changed
        Another tool is in use, or none.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel, review: Review) -> None:
        self.review = review
        self.drawing = Drawing(viewer, self._keep_sketch)
        self.drawing.on_left = self._left
        review.drawing_class_changed.connect(self._draw_in_new_class)

    def split(self) -> None:
        """Draw a line, and cut the current region along it."""
        region = self._current("split")
        if region is None:
            return
        review = self.review
        review.say("Click along the cut; double-click or press Enter to end it. Esc cancels.")
        self.drawing.start(
            Brush("line", "#ffffff"), review.mpp, lambda line: review.split(region.id, line)
        )

    def redraw(self) -> None:
        """Draw a new outline of the current region."""
        region = self._current("redraw")
        if region is None:
            return
        review = self.review
        review.say(
            "Draw its outline in one stroke, or click, move around it and click. Esc cancels."
        )
        brush = Brush("freehand", DECISION_COLORS[region.decision])
        self.drawing.start(brush, review.mpp, lambda outer: review.redraw(region.id, outer))

    def draw(self, kind: AnnotationKind) -> None:
        """Draw an annotation, or points one after the other; the same kind again stops."""
        again = self.drawing.kind == kind
        self.drawing.leave()
        if not again:
            self._start(kind)
        self.changed.emit()

    def _start(self, kind: AnnotationKind) -> None:
        review = self.review
        if review.session.slide is None:
            return
        keep = kind == "point" or keeps_tool()
        brush = Brush(kind, self._class_color(), keep, classed=True)
        self.drawing.start(brush, review.mpp, lambda points: review.add_annotation(kind, points))

    def _draw_in_new_class(self) -> None:
        """Give annotations that are being drawn the new class; a cut or a region has none."""
        brush = self.drawing.brush
        if brush is not None and brush.classed:
            self.drawing.recolor(self._class_color())

    def _class_color(self) -> list[float]:
        color = class_named(self.review.state.classes, self.review.path_class).color
        return [value / 255 for value in color]

    def _left(self) -> None:
        """Say that nothing is drawn any more: the journal drops what was not finished."""
        self.review.drop_sketch()
        self.changed.emit()

    def _keep_sketch(self, points: Outline) -> None:
        brush = self.drawing.brush
        if brush is not None and brush.kind != "line" and brush.kind != "point":
            self.review.keep_sketch(brush.kind, points)

    def _current(self, verb: str) -> ReviewRegion | None:
        region = self.review.region()
        if region is None:
            self.review.say(f"Choose the region to {verb} first.")
        return region
