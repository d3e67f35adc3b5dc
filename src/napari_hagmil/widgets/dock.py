"""The common part of the docks: keys, files dropped on them, and tabs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from napari.components import ViewerModel
from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QApplication, QDockWidget, QMainWindow, QTabWidget, QWidget

from napari_hagmil.widgets.desk import desk_of
from napari_hagmil.widgets.focus import go_to_tab, in_reading_order, leave_with_escape
from napari_hagmil.widgets.key_guard import KeyGuard
from napari_hagmil.widgets.keys import KeyAction, bind
from napari_hagmil.widgets.links import Links
from napari_hagmil.widgets.style import dock_style
from napari_hagmil.widgets.telling.task_strip import TaskStrip
from napari_hagmil.widgets.wheel import WheelGuard

#: No dock beside the slide grows wider than this, px: the slide needs the room.
MAX_WIDTH = 420


class Dock(QWidget):  # type: ignore[misc]
    """A dock: it has keys while it is open, and takes files that are dropped on it.

    Closing it by its × puts it away for good: napari takes it out of the window. The session, its
    slide and its review stay with the window.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The window that the dock belongs to.
    min_width : int
        px.
    """

    #: As the manifest names it.
    NAME: ClassVar[str]

    def __init__(self, viewer: ViewerModel, min_width: int) -> None:
        super().__init__()
        self.viewer, self.desk = viewer, desk_of(viewer)
        self._unbind: Callable[[], None] = lambda: None
        self._in_window = False
        self.links = Links()
        self.setAcceptDrops(True)
        self.setMinimumWidth(min_width)
        viewer.events.theme.connect(self._dress)
        self._dress()
        leave_with_escape(self)
        self._wheel, self._keys = WheelGuard(self), KeyGuard(self)
        self.desk.enter(self)

    def take_dropped(self, path: Path) -> None:
        """Open or import a file dropped on this dock."""
        raise NotImplementedError

    def bind_keys(self, actions: Mapping[KeyAction, Callable[[], object]]) -> None:
        """Bind keys of this dock alone to the canvas, until it closes."""
        self._unbind = bind(self.viewer, actions)

    def go_to(self, tab: str) -> None:
        """Bring the dock to the front, and one of its tabs where it has any."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Hear no more of the work that runs for this dock: its widgets are going."""

    def showEvent(self, event: Any) -> None:  # noqa: N802
        """Settle in the window, and guard the tab bar beside which the dock now stands."""
        if not self._in_window and isinstance(self.window(), QMainWindow):
            self._in_window = True
            self.desk.stay_with(self.window())
            if isinstance(self.parent(), QDockWidget):
                # napari's name, with that of the plugin, does not fit on the tab of a narrow dock.
                self.parent().setWindowTitle(self.NAME)
        self._wheel.guard_dock_tabs(self.window())
        super().showEvent(event)

    def focusNextPrevChild(self, forward: bool) -> bool:  # noqa: N802
        """Go on in reading order, whatever was made first; at its end begin again."""
        order, now = in_reading_order(self), QApplication.focusWidget()
        if now not in order:
            return bool(super().focusNextPrevChild(forward))
        following = order[(order.index(now) + (1 if forward else -1)) % len(order)]
        reasons = Qt.FocusReason
        following.setFocus(reasons.TabFocusReason if forward else reasons.BacktabFocusReason)
        return True

    def event(self, event: QEvent) -> bool:
        """Close when napari takes the dock out of the window: on its ×, no close event comes."""
        if event.type() == QEvent.Type.ParentChange and self._in_window and not self.parent():
            self._in_window = False
            self.close()
            self.deleteLater()
        return bool(super().event(event))

    def _dress(self, event: Any = None) -> None:
        """Take the colours that can be read on the window's theme."""
        self.setStyleSheet(dock_style(self.viewer.theme))

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
        self.links.undo()
        self.viewer.events.theme.disconnect(self._dress)
        self.desk.leave(self)
        super().closeEvent(event)


class TabbedDock(Dock):
    """A dock of tabs beside the slide, which leaves the slide its room.

    Parameters are those of `Dock`.
    """

    def __init__(self, viewer: ViewerModel, min_width: int) -> None:
        super().__init__(viewer, min_width)
        self.tabs, self.strip = QTabWidget(), TaskStrip(self.desk.tasks, self.links)
        self.setMaximumWidth(MAX_WIDTH)

    def go_to(self, tab: str) -> None:
        """Bring a tab to the front, by the name of its attribute, and focus its first control."""
        go_to_tab(self.tabs, getattr(self, tab))

    def showEvent(self, event: Any) -> None:  # noqa: N802
        """Join the other dock of tabs when the window takes this one in."""
        if not self._in_window:
            # After napari, which is still laying the dock out.
            QTimer.singleShot(0, self._join)
        super().showEvent(event)

    def _join(self) -> None:
        """Share the place of the other dock: napari puts a dock below those that are there."""
        window, mine = self.window(), self.parent()
        if not isinstance(mine, QDockWidget) or mine.isFloating():
            return
        for other in window.findChildren(QDockWidget):
            apart = other is not mine and mine not in window.tabifiedDockWidgets(other)
            same_side = window.dockWidgetArea(other) == window.dockWidgetArea(mine)
            if isinstance(other.widget(), TabbedDock) and apart and same_side:
                window.tabifyDockWidget(other, mine)
                mine.raise_()
