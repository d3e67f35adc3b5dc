"""What the tabs of the dock share: the viewer, the session, the layers and the worker."""

from __future__ import annotations

from dataclasses import dataclass

from napari.components import ViewerModel

from napari_hagmil.session import Session
from napari_hagmil.widgets.cascade.run.stage_layers import StageLayers
from napari_hagmil.widgets.cascade.slide_layers import SlideLayers
from napari_hagmil.widgets.links import Links
from napari_hagmil.widgets.reading.follower import ViewFollower
from napari_hagmil.widgets.style import Page
from napari_hagmil.widgets.work import Background


@dataclass(frozen=True)
class CascadeContext:
    """What the tabs of one dock share.

    Attributes
    ----------
    viewer : napari.components.ViewerModel
        Where the layers are.
    session : Session
        The open slide, the model, the run and its stages.
    slide_layers : SlideLayers
        The slide in the viewer.
    stages : StageLayers
        The stages of the run in the viewer.
    work : Background
        The one worker thread: opening, running and asking wait for each other.
    links : Links
        What the dock has connected to the session.
    follower : ViewFollower
        What the reader has in view, where it is kept.
    """

    viewer: ViewerModel
    session: Session
    slide_layers: SlideLayers
    stages: StageLayers
    work: Background
    links: Links
    follower: ViewFollower


class CascadePage(Page):
    """A tab of the dock.

    Parameters
    ----------
    context : CascadeContext
        What the tabs share.
    """

    def __init__(self, context: CascadeContext) -> None:
        super().__init__()
        self.context = context
        self.viewer, self.session = context.viewer, context.session

    def show_session(self) -> None:
        """Show what the session has: the dock may open long after the slide."""
        raise NotImplementedError

    def close_work(self) -> None:
        """Stop timers and workers, and hand on edits that were still waiting."""
        raise NotImplementedError
