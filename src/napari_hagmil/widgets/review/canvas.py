"""The review on the canvas of one window: its layers, its drawing tools and the camera."""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel
from psygnal import Signal

from napari_hagmil.review import Decision, ReviewRegion
from napari_hagmil.session import Review, ReviewPreferences, Session
from napari_hagmil.slide import Slide
from napari_hagmil.widgets.preferences import keep_class, open_review, preference, stand_in
from napari_hagmil.widgets.review.patches.framing import go_to, switch
from napari_hagmil.widgets.review.patches.layer import PatchLayer
from napari_hagmil.widgets.review.side_by_side import SideBySide
from napari_hagmil.widgets.review.sync import LayerSync
from napari_hagmil.widgets.review.tools import ReviewTools


class ReviewCanvas:
    """Shows a review in a viewer, and hands it what is drawn there.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where the slide is.
    review : Review
        What is shown.

    Attributes
    ----------
    layers : LayerSync
        The layers of regions and annotations.
    tools : ReviewTools
        The drawing tools.
    patches : PatchLayer
        The outlines of the current region's patches.
    side_by_side : SideBySide
        The bare slide beside it.

    Signals
    -------
    split_changed
        The bare slide has come, or gone.
    """

    split_changed = Signal()

    def __init__(self, viewer: ViewerModel, review: Review) -> None:
        self.viewer, self.review = viewer, review
        self.layers = LayerSync(viewer, self._take_edit)
        self.tools = ReviewTools(viewer, review)
        self.patches = PatchLayer(viewer)
        self.side_by_side = SideBySide(viewer)
        self.tools.drawn.changed.connect(lambda: self.layers.pick(self.tools.drawn.picked))
        review.reset.connect(self._reset)
        review.changed.connect(self._show)
        review.centre_asked.connect(self._centre)
        # A layer that was deleted counts still: it is drawn again before it does.
        review.session.started.connect(self._show)
        if review.session.slide is not None:
            self._reset(review.session.slide)
            self._show()

    def toggle_side_by_side(self) -> None:
        """Show the bare slide beside the overlays, or the overlays alone."""
        self.side_by_side.toggle()
        self.split_changed.emit()

    def put_away(self) -> None:
        """Leave the tool, and show one picture: nothing is left to steer them."""
        self.tools.stop()
        self.side_by_side.stop()

    def _reset(self, slide: Slide | None) -> None:
        self.tools.stop()
        self.patches.clear()
        self.layers.clear(bright=slide is None or slide.is_rgb)

    def _show(self) -> None:
        review = self.review
        self.layers.path_class = review.path_class
        if review.session.slide is not None:
            self.layers.show(review.state, review.session.slide.mpp, review.current)
            self.patches.show(review.region(), review.mpp)

    def switch_view(self) -> None:
        """Go from the current region's detail to its context, or back."""
        region = self.review.region()
        if region is None:
            self.review.say("No region is chosen: press N for the next one.")
        else:
            switch(self.viewer, region, self.review.mpp)

    def decide_patch(self, decision: Decision) -> None:
        """Decide on the patch under the pointer alone."""
        self.review.decide_patch_at(self.viewer.cursor.position[-2:], decision)

    def _centre(self, region: ReviewRegion) -> None:
        go_to(self.viewer, region, self.review.mpp)

    def _take_edit(self, what: str, members: Any) -> None:
        if what == "annotations":
            self.tools.drawn.take_edited(members)
        else:
            self.review.change("edit regions", regions=members)


def review_as_preferred(session: Session) -> Review:
    """The review of a session, kept and begun as the user prefers."""
    session.open_review = open_review
    session.ahead.stand_in = stand_in
    session.reader = preference("review", "reader", "")
    return Review(session, preferences=_preferences, remember_class=keep_class)


def _preferences() -> ReviewPreferences:
    return ReviewPreferences(
        auto_advance=preference("review", "auto_advance", True),
        region_share=preference("review", "region_share", 25),
    )
