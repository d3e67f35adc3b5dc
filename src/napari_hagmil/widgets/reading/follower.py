"""Follows the viewport for the path that a reader consents to keep, and plays the path again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from napari.components import ViewerModel
from psygnal import Signal
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication

from napari_hagmil.session.background.viewing import Viewing
from napari_hagmil.viewing import View
from napari_hagmil.viewing.replay import replayed
from napari_hagmil.viewing.view import Event
from napari_hagmil.widgets.cascade.camera import magnification_shown, view_rectangle


class ViewFollower:
    """Tells a `Viewing` what the canvas shows; a replay is not taken for the reader's own look.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Whose camera is followed.
    viewing : Viewing
        What keeps the path.
    halved : callable
        Whether the canvas shows the slide twice, side by side.

    Signals
    -------
    replay_ended
        The replay has come to its end, or was stopped.
    """

    replay_ended = Signal()

    def __init__(
        self, viewer: ViewerModel, viewing: Viewing, halved: Callable[[], bool] = lambda: False
    ) -> None:
        self.viewer, self.viewing, self.halved = viewer, viewing, halved
        self._steps: Iterator[tuple[View, float]] | None = None
        self._replay = 0
        for event in self._view_events():
            event.connect(self._moved)
        viewing.session.slide_changed.connect(self._end_replay)
        viewing.begun.connect(self._begin_soon)
        QApplication.instance().applicationStateChanged.connect(self._came_or_went)
        self._begin_soon()

    @property
    def replaying(self) -> bool:
        """Whether a path is shown again."""
        return self._steps is not None

    def replay(self) -> bool:
        """Show the path of the open slide again; during a replay, stop it. False: there is none."""
        if self.replaying:
            self.stop()
            return True
        views = self.viewing.views()
        steps = replayed(views)
        if not any(True for _ in replayed(views)):
            return False
        self._note("away")
        self._steps, self._replay = steps, self._replay + 1
        self._show_next(self._replay)
        return True

    def stop(self) -> None:
        """End a replay; what is in view then is the reader's again."""
        if self._steps is not None:
            self._note("back")
            self._end_replay()

    def close(self) -> None:
        """Follow no more, and write what was kept; the window may be going, and Qt with it."""
        self._steps = None
        self.viewing.close()
        for event in self._view_events():
            event.disconnect(self._moved)
        self.viewing.begun.disconnect(self._begin_soon)
        self.viewing.session.slide_changed.disconnect(self._end_replay)
        application = QApplication.instance()
        if application is not None:
            application.applicationStateChanged.disconnect(self._came_or_went)

    def _view_events(self) -> tuple[Any, ...]:
        camera = self.viewer.scene.camera.events
        return camera.center, camera.zoom, self.viewer.canvas.events.size

    def _moved(self, event: Any = None) -> None:
        if self.viewing.recording and not self.replaying:
            self._note("move")

    def _begin_soon(self) -> None:
        # Once the slide lies on the canvas, and the camera on the slide.
        QTimer.singleShot(0, self._begin)

    def _begin(self) -> None:
        self._note("open")

    def _end_replay(self, _slide: object = None) -> None:
        """End it without a look of the reader's: of what was shown, the slide may be gone."""
        if self._steps is not None:
            self._steps = None
            self.replay_ended.emit()

    def _came_or_went(self, state: Qt.ApplicationState) -> None:
        if not self.replaying:
            self._note("back" if state == Qt.ApplicationState.ApplicationActive else "away")

    def _note(self, event: Event) -> None:
        session = self.viewing.session
        if not self.viewing.recording or session.slide is None:
            return
        seen = view_rectangle(self.viewer, session.mpp)
        power = magnification_shown(self.viewer) if session.slide.mpp else float("nan")
        width = seen.width / 2 if self.halved() else seen.width
        self.viewing.take(View(time.time(), *seen.centre, seen.height, width, power, event))

    def _show_next(self, replay: int) -> None:
        """Show the next view of a replay, and wait for as long as it is shown."""
        if replay != self._replay or self._steps is None:
            return  # it was stopped
        step = next(self._steps, None)
        if step is None:
            self.stop()
            return
        view, seconds = step
        camera, mpp = self.viewer.scene.camera, self.viewing.session.mpp
        height = self.viewer.canvas.size[0]
        camera.center = (view.y * mpp, view.x * mpp)
        # A window of another size shows as much of the slide, not the same magnification.
        camera.zoom = height / max(view.height * mpp, 1e-9)
        QTimer.singleShot(max(1, round(1000 * seconds)), lambda: self._show_next(replay))
