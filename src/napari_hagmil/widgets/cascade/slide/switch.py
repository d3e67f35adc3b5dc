"""Switch from one slide to another, or to none, in whatever way the user asks for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_hagmil.widgets.asking import Question, ask
from napari_hagmil.widgets.cascade.context import CascadeContext


class SlideSwitch:
    """Opens and closes slides; asks first while a run or a drawing is under way.

    It also follows what napari does with the slide's layers: a slide that *File ▸ Open* or a drop
    on the canvas has added becomes the open one, and deleting the slide's layer closes it.

    Parameters
    ----------
    parent : QWidget
        Before which questions are shown.
    context : CascadeContext
        What the dock works on.
    opens : callable
        Opens a path.
    drawing : callable
        Whether a drawing is under way.

    Attributes
    ----------
    on_analysis : callable
        Called with the folder of an analysis that napari has opened over the open slide.
    """

    def __init__(
        self,
        parent: QWidget,
        context: CascadeContext,
        opens: Callable[[Path], None],
        drawing: Callable[[], bool],
    ) -> None:
        self._parent, self._context, self._opens, self._drawing = parent, context, opens, drawing
        self.on_analysis: Callable[[Path], object] = lambda folder: None
        self._asking = False
        # After napari's own handlers: they still walk through the list of layers.
        self._look_soon = QTimer(parent, singleShot=True, interval=0)
        self._look_soon.timeout.connect(self.look)
        events = context.viewer.layers.events
        events.inserted.connect(self._changed)
        events.removed.connect(self._changed)

    def stop(self) -> None:
        """Stop following napari."""
        events = self._context.viewer.layers.events
        events.inserted.disconnect(self._changed)
        events.removed.disconnect(self._changed)
        self._look_soon.stop()

    def open(self, path: Path, opens: Callable[[Path], None] | None = None) -> bool:
        """Open a slide; False when the user would rather go on with what is under way.

        `opens` opens it in another way than this object's own.
        """
        if not self._may_leave(f"Open {path.name}", f"opening {path.name}"):
            return False
        self._end_run()
        self._context.work.when_free(lambda: (opens or self._opens)(path))
        return True

    def close(self) -> None:
        """Close the slide; False when the user would rather go on with what is under way."""
        session = self._context.session
        if session.slide is not None and self._may_leave("Close slide", "closing the slide"):
            self._end_run()
            self._context.work.when_free(session.close_slide)

    def look(self) -> None:
        """React to layers that were added or removed."""
        if self._asking:
            return  # The answer decides; layers of the run come and go while the question is shown.
        session, layers = self._context.session, self._context.slide_layers
        if session.slide is not None and (folder := layers.take_analysis()) is not None:
            self.on_analysis(folder)
        if layers.lost and session.state != "opening":
            self._end_run()
            self._context.work.when_free(session.close_slide)
            return
        path = layers.slide_of_others()
        if path is None:
            return
        is_open = session.slide is not None and Path(path) in (
            session.slide.path,
            session.ahead.behind(session.slide.path),
        )
        if is_open and not layers.owns:
            layers.take_over()
        elif is_open or not self.open(Path(path)):
            layers.remove_others()

    def _changed(self, event: Any = None) -> None:
        if not self._context.slide_layers.changing:
            self._look_soon.start()

    def _end_run(self) -> None:
        if self._context.session.state == "running":
            self._context.session.cancel()

    def _may_leave(self, go_on: str, doing: str) -> bool:
        session = self._context.session
        if session.state == "running":
            what = "A run is under way"
        elif self._drawing():
            what = "A drawing is not finished"
        else:
            return True
        name = session.slide.name if session.slide else ""
        text = f"{what} on {name}."
        more = f"It ends with {doing}. The review is saved as it is."
        self._asking = True
        try:
            return ask(self._parent, Question(f"{go_on}?", text, more, go_on, f"Stay on {name}"))
        finally:
            self._asking = False
