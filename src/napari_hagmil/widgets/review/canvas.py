"""The review on the canvas of one window: its layers, its drawing tools and the camera."""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

from napari.components import ViewerModel

from napari_hagmil.review import Decision, ReviewRegion
from napari_hagmil.session import Review, ReviewPreferences, Session, session_of
from napari_hagmil.slide import Slide
from napari_hagmil.widgets.preferences import keep_class, open_review, preference
from napari_hagmil.widgets.review.patches.framing import go_to, switch
from napari_hagmil.widgets.review.patches.layer import PatchLayer
from napari_hagmil.widgets.review.sync import LayerSync
from napari_hagmil.widgets.review.tools import ReviewTools

_EDITED = {"regions": "edit regions", "annotations": "edit annotations"}


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
    """

    def __init__(self, viewer: ViewerModel, review: Review) -> None:
        self.viewer, self.review = viewer, review
        self.layers = LayerSync(viewer, self._take_edit)
        self.tools = ReviewTools(viewer, review)
        self.patches = PatchLayer(viewer)
        review.reset.connect(self._reset)
        review.changed.connect(self._show)
        review.centre_asked.connect(self._centre)
        if review.session.slide is not None:
            self._reset(review.session.slide)
            self._show()

    def _reset(self, slide: Slide | None) -> None:
        self.tools.drawing.stop()
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
        self.review.change(_EDITED[what], **{what: members})


#: By the session's id, which the canvas keeps alive; the docks keep the canvas alive.
_CANVASES: WeakValueDictionary[int, ReviewCanvas] = WeakValueDictionary()


def review_canvas_of(viewer: ViewerModel) -> ReviewCanvas:
    """The one review of a window; whichever dock opens first makes it."""
    session = session_of(viewer)
    canvas = _CANVASES.get(id(session))
    if canvas is None:
        canvas = _CANVASES[id(session)] = ReviewCanvas(viewer, _review_as_preferred(session))
    return canvas


def _review_as_preferred(session: Session) -> Review:
    session.open_review = open_review
    session.reader = preference("review", "reader", "")
    return Review(session, preferences=_preferences, remember_class=keep_class)


def _preferences() -> ReviewPreferences:
    return ReviewPreferences(
        auto_advance=preference("review", "auto_advance", True),
        region_share=preference("review", "region_share", 25),
    )
