"""The common part of the docks: keys, files dropped on them, and tabs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from qtpy.QtWidgets import QTabWidget, QWidget

from napari_hagmil.widgets.focus import go_to_tab, leave_with_escape
from napari_hagmil.widgets.keys import KeyAction, bind
from napari_hagmil.widgets.wheel import WheelGuard

#: No dock beside the slide grows wider than this, px: the slide needs the room.
MAX_WIDTH = 420


class Dock(QWidget):  # type: ignore[misc]
    """A dock: it has keys while it is open, and takes files that are dropped on it.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The window that the dock belongs to.
    min_width : int
        px.
    """

    def __init__(self, viewer: ViewerModel, min_width: int) -> None:
        super().__init__()
        self.viewer = viewer
        self._unbind: Callable[[], None] = lambda: None
        self.setAcceptDrops(True)
        self.setMinimumWidth(min_width)
        leave_with_escape(self)
        self._wheel = WheelGuard(self)

    def take_dropped(self, path: Path) -> None:
        """Open or import a file dropped on this dock."""
        raise NotImplementedError

    def bind_keys(self, actions: Mapping[KeyAction, Callable[[], object]]) -> None:
        """Bind keys to the canvas until the dock closes."""
        self._unbind = bind(self.viewer, actions)

    def showEvent(self, event: Any) -> None:  # noqa: N802
        """Guard the tab bar beside which the dock now stands."""
        self._wheel.guard_dock_tabs(self.window())
        super().showEvent(event)

    def dragEnterEvent(self, event: Any) -> None:  # noqa: N802
        """Accept files that are dragged over the dock."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:  # noqa: N802
        """Take the first of the files that were dropped."""
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.take_dropped(Path(paths[0]))

    def closeEvent(self, event: Any) -> None:  # noqa: N802
        """Unbind the keys; napari may close a dock more than once."""
        self._unbind()
        super().closeEvent(event)


class TabbedDock(Dock):
    """A dock of tabs beside the slide, which leaves the slide its room.

    Parameters are those of `Dock`.
    """

    def __init__(self, viewer: ViewerModel, min_width: int) -> None:
        super().__init__(viewer, min_width)
        self.tabs = QTabWidget()
        self.setMaximumWidth(MAX_WIDTH)

    def tab_actions(self, *names: str) -> dict[str, Callable[[], object]]:
        """For each attribute that holds a tab: ``"tab_<name>"`` brings it to the front."""
        return {f"tab_{name}": partial(go_to_tab, self.tabs, getattr(self, name)) for name in names}
