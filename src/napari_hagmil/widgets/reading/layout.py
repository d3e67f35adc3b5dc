"""The window as a slide is read in it: maximised, napari's own docks folded, the slide named."""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow

from napari_hagmil.session import Review
from napari_hagmil.widgets.preferences import preference, set_preference

#: napari's docks that are not for reading, by the names that it gives them.
_FOLDED = ("layer list", "layer controls")

_TITLE = "HAG-MIL · research use only"

#: Width of our docks at first, px: at 1280×800 the slide has 70 % of the window.
DOCK_WIDTH = 328


class ReadingLayout(QObject):  # type: ignore[misc]
    """Gives the slide the room, and its name to the window.

    Parameters
    ----------
    window : QMainWindow
        napari's.
    viewer : napari.components.ViewerModel
        Whose title names the slide.
    review : Review
        What is read in it.
    """

    def __init__(self, window: QMainWindow, viewer: ViewerModel, review: Review) -> None:
        super().__init__(window)
        self._window, self.viewer, self.review = window, viewer, review
        self._place, self._arranged, self._ours = "", False, False
        for dock in self._folded():
            dock.installEventFilter(self)
        review.changed.connect(self.show_title)
        review.session.slide_changed.connect(self.show_title)

    def arrange(self) -> None:
        """Maximise the window, fold what the user did not bring back, and name the slide."""
        self._arranged = True
        self._show(preference("display", "napari_docks", False))
        self._window.showMaximized()
        QTimer.singleShot(0, self._size_docks)  # once Qt has laid them out
        self.show_title()

    def toggle(self) -> None:
        """Fold napari's docks and its status bar, or bring them back; kept for the next window."""
        self._show(not any(one.isVisible() for one in self._folded()))
        self._keep()

    def name_place(self, words: str) -> None:
        """Say in the title where the slide stands among others: "2 of 9"."""
        self._place = words
        self.show_title()

    def show_title(self, _: Any = None) -> None:
        """Name the slide, its place among those of a cohort, and the region in hand."""
        if not self._arranged:
            return  # a window that the user opened has a title of its own
        slide = self.review.session.slide
        said = [_TITLE]
        if slide is not None:
            at, n = self.review.place()
            region = f"region {at} of {n}" if at else ""
            said = [slide.name, self._place, region, _TITLE]
        self.viewer.title = " · ".join(one for one in said if one)

    def _size_docks(self) -> None:
        right = Qt.DockWidgetArea.RightDockWidgetArea
        beside = [one for one in self._docks() if self._window.dockWidgetArea(one) == right]
        ours = [one for one in beside if one.isVisible()]
        width = [DOCK_WIDTH] * len(ours)
        self._window.resizeDocks(ours, width, Qt.Orientation.Horizontal)

    def _show(self, shown: bool) -> None:
        self._ours = True
        for dock in self._folded():
            dock.setVisible(shown)
        # It names the layer that is selected, and a place in µm: of no use without the list.
        self._window.statusBar().setVisible(shown)
        self._ours = False

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Keep what the user does with a dock by its × or by napari's menu."""
        # Not sent when the whole window closes.
        by_hand = (QEvent.Type.ShowToParent, QEvent.Type.HideToParent)
        if event.type() in by_hand and self._arranged and not self._ours:
            self._keep()
        return False

    def _keep(self) -> None:
        """Keep for the next window whether the user wants napari's docks."""
        shown = any(not one.isHidden() for one in self._folded())
        self._window.statusBar().setVisible(shown)
        if shown != preference("display", "napari_docks", False):
            set_preference("display", "napari_docks", shown)

    def _folded(self) -> list[QDockWidget]:
        return [one for one in self._docks() if one.objectName() in _FOLDED]

    def _docks(self) -> list[QDockWidget]:
        return list(self._window.findChildren(QDockWidget))
