"""What the tabs of the dock share."""

from __future__ import annotations

from dataclasses import dataclass

from napari.components import ViewerModel

from napari_hagmil.session import Session
from napari_hagmil.widgets.cascade.run.stage_layers import StageLayers
from napari_hagmil.widgets.cascade.slide_layers import Overlay
from napari_hagmil.widgets.work import Background


@dataclass(frozen=True)
class CascadeContext:
    """One sitting in one window.

    Attributes
    ----------
    viewer : napari.components.ViewerModel
        Where the layers are.
    session : Session
        What is open, running and found.
    overlay : Overlay
        The slide and the regions in the viewer.
    stages : StageLayers
        What the cascade found, in the viewer.
    work : Background
        The one worker.
    """

    viewer: ViewerModel
    session: Session
    overlay: Overlay
    stages: StageLayers
    work: Background
