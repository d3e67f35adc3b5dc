"""The drawing tools of a review."""

from __future__ import annotations

from typing import cast, get_args

from napari.components import ViewerModel
from psygnal import Signal

from napari_hagmil.plugin.review_layers import DECISION_COLORS
from napari_hagmil.polygons import Outline
from napari_hagmil.review import AnnotationKind, ReviewRegion, class_named
from napari_hagmil.session import Review
from napari_hagmil.session.drawing.drawn import DrawnObjects
from napari_hagmil.widgets.cascade.camera import um_per_screen_px
from napari_hagmil.widgets.preferences import keeps_tool
from napari_hagmil.widgets.review.drawing import Drawing, Pen
from napari_hagmil.widgets.review.hand.hand import HAND_TOOLS, Hand

#: How far an outline drawn freehand may lie from the hand's way, px of the screen.
_FREEHAND_PX = 1.0

#: How far a copy lies from what it is of, px of the screen.
_BESIDE_PX = 20.0


class ReviewTools:
    """Lets the pointer draw annotations, cuts and outlines of regions, and change what is drawn.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where it draws.
    review : Review
        What the drawings go to.

    Attributes
    ----------
    drawing : Drawing
        napari's tools.
    hand : Hand
        Arrow, brush, eraser and wand.
    drawn : DrawnObjects
        The annotations, and which of them are picked.

    Signals
    -------
    changed
        Another tool is in use, or none.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel, review: Review) -> None:
        self.viewer, self.review = viewer, review
        self.drawn = DrawnObjects(review)
        self.drawing = Drawing(viewer, self._keep_sketch)
        self.drawing.on_left = self._left
        self.hand = Hand(viewer, review, self.drawn)
        self.hand.changed.connect(self.changed.emit)
        review.drawing_class_changed.connect(self._draw_in_new_class)

    @property
    def kind(self) -> str:
        """The tool in use; empty while there is none."""
        return self.hand.kind or self.drawing.kind

    @property
    def active(self) -> bool:
        """Whether a tool is in use."""
        return bool(self.hand.kind) or self.drawing.active

    def stop(self) -> None:
        """Put the tool away; an unfinished outline goes from the canvas."""
        self.hand.leave()
        self.drawing.stop()

    def split(self) -> None:
        """Draw a line, and cut the current region along it."""
        region = self._current("split")
        if region is None:
            return
        review = self.review
        review.say("Click along the cut; double-click or press Enter to end it. Esc cancels.")
        self.hand.leave()
        self.drawing.start(
            Pen("line", "#ffffff"), review.mpp, lambda line: review.split(region.id, line)
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
        pen = Pen("freehand", DECISION_COLORS[region.decision])
        self.hand.leave()
        self.drawing.start(pen, review.mpp, lambda outer: review.redraw(region.id, outer))

    def draw(self, kind: str) -> None:
        """Take a tool: a kind of annotation, or one of the hand's; the same again puts it away."""
        again = self.kind == kind
        self.drawing.leave()
        self.hand.leave()
        if not again and self.review.session.slide is not None:
            if kind in HAND_TOOLS:
                self.hand.take(kind, self._class_color())
            else:
                self._start(cast(AnnotationKind, kind))
        self.changed.emit()

    def duplicate(self) -> None:
        """Put copies of what is picked a little beside it."""
        beside = _BESIDE_PX * self._px()
        self.drawn.duplicate((beside, beside))

    def _start(self, kind: AnnotationKind) -> None:
        keep = kind == "point" or keeps_tool()
        pen = Pen(kind, self._class_color(), keep, classed=True)
        self.drawing.start(pen, self.review.mpp, lambda points: self._take(kind, points))

    def _take(self, kind: AnnotationKind, points: Outline) -> None:
        tolerance = _FREEHAND_PX * self._px() if kind == "freehand" else 0.0
        self.review.add_annotation(kind, points, tolerance=tolerance)

    def _px(self) -> float:
        """Level-0 px that a pixel of the screen covers."""
        return um_per_screen_px(self.viewer) / self.review.mpp

    def _draw_in_new_class(self) -> None:
        """Give annotations that are being drawn the new class; a cut or a region has none."""
        pen = self.drawing.pen
        if pen is not None and pen.classed:
            self.drawing.recolor(self._class_color())
        self.hand.recolor(self._class_color())

    def _class_color(self) -> list[float]:
        color = class_named(self.review.state.classes, self.review.path_class).color
        return [value / 255 for value in color]

    def _left(self) -> None:
        """Say that nothing is drawn any more: the journal drops what was not finished."""
        self.review.drop_sketch()
        self.changed.emit()

    def _keep_sketch(self, points: Outline) -> None:
        pen = self.drawing.pen
        if pen is not None and pen.kind in get_args(AnnotationKind) and pen.kind != "point":
            self.review.keep_sketch(cast(AnnotationKind, pen.kind), points)

    def _current(self, verb: str) -> ReviewRegion | None:
        region = self.review.region()
        if region is None:
            self.review.say(f"Choose the region to {verb} first.")
        return region
