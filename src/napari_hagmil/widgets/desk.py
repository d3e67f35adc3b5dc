"""What a window has whichever of its docks are open: the review on its canvas, and its keys."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, get_args
from weakref import WeakValueDictionary

from napari.components import ViewerModel
from qtpy.QtCore import QObject, Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QApplication, QMainWindow, QWidget

from napari_hagmil.review import AnnotationKind
from napari_hagmil.session import session_of
from napari_hagmil.session.background.viewing import Viewing
from napari_hagmil.widgets.cohort.keys import COHORT_KEYS
from napari_hagmil.widgets.focus import canvas_of
from napari_hagmil.widgets.keys import HAGMIL_KEYS, TAB_KEYS, KeyAction, bind
from napari_hagmil.widgets.layer_order import LayerOrder
from napari_hagmil.widgets.preferences import keeps_viewing
from napari_hagmil.widgets.reading.corners import SlideCorners
from napari_hagmil.widgets.reading.follower import ViewFollower
from napari_hagmil.widgets.reading.layout import ReadingLayout
from napari_hagmil.widgets.reading.looks import Looks
from napari_hagmil.widgets.review.canvas import ReviewCanvas, review_as_preferred
from napari_hagmil.widgets.review.cheat_sheet import CheatSheet
from napari_hagmil.widgets.review.hand.hand import HAND_KEYS, HAND_TOOLS
from napari_hagmil.widgets.review.importing import Importer
from napari_hagmil.widgets.review.keys import CLASS_KEYS, REVIEW_KEYS
from napari_hagmil.widgets.unit_of_others import UnitOfOthers
from napari_hagmil.widgets.work import after_all_work

#: The docks, as the manifest names them.
HAGMIL, REVIEW, COHORT = "HAG-MIL", "HAG-MIL review", "HAG-MIL cohort"

#: Which dock has which tabs.
_TABS = {
    **dict.fromkeys(("slide", "cascade", "why", "steer"), HAGMIL),
    **dict.fromkeys(("queue", "draw", "conclusion", "export"), REVIEW),
}


class OnDesk(Protocol):
    """A dock, as the desk sees it."""

    NAME: str

    def go_to(self, tab: str) -> None:
        """Bring a tab to the front, by the name of its attribute, and focus its first control."""

    def window(self) -> QWidget:
        """The main window."""

    def abandon(self) -> None:
        """Hear no more of the work that runs for it."""


class Desk:
    """The session and the review of one window; a key brings the dock that it needs.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The window.
    canvas : ReviewCanvas
        The review on its canvas.

    Attributes
    ----------
    looks : Looks
        How much lies on the slide.
    corners : SlideCorners or None
        What stands in the corners of the canvas, while a dock is open.
    layout : ReadingLayout or None
        The arrangement of the window, once a dock stands in it.
    importer : Importer
        Brings annotations of files into the review.
    follower : ViewFollower
        Keeps what the reader has in view, with consent.
    tasks : tuple of Task
        Work that may be under way: a run, an import.
    """

    def __init__(self, viewer: ViewerModel, canvas: ReviewCanvas) -> None:
        self.viewer, self.canvas, self.review = viewer, canvas, canvas.review
        self.looks = Looks(viewer)
        self.corners: SlideCorners | None = None
        self.layout: ReadingLayout | None = None
        self.importer = Importer(self.review)
        viewing = Viewing(self.review.session, keeps_viewing)
        self.follower = ViewFollower(viewer, viewing, lambda: canvas.side_by_side.on)
        self._order, self._units = LayerOrder(viewer), UnitOfOthers(viewer)
        self._open: dict[str, OnDesk] = {}
        self._does = self._key_actions()
        self._unbind: Callable[[], None] = lambda: None
        self._sheet: CheatSheet | None = None
        self.tasks = self.review.session.task, self.importer.task

    def enter(self, dock: OnDesk) -> None:
        """Count a dock as open; the first one brings the keys."""
        if not self._open:
            self._unbind = bind(self.viewer, self._does)
        self._open[dock.NAME] = dock

    def leave(self, dock: OnDesk) -> None:
        """Count a dock as closed; with the last one the keys are free again."""
        if self._open.get(dock.NAME) is not dock:
            return
        del self._open[dock.NAME]
        if not self._open:
            self._unbind()
            self.canvas.put_away()
            self.looks.take("everything")
            if self.corners is not None:
                self.corners.close()
                self.corners = None
            if self._sheet is not None:
                self._sheet.deleteLater()
                self._sheet = None

    def stay_with(self, window: QWidget) -> None:
        """Live as long as a main window does: closing a dock closes neither slide nor review."""
        if not isinstance(window, QMainWindow):
            return
        if window.findChild(_Anchor) is None:
            _Anchor(window, self)
            self.layout = ReadingLayout(window, self.viewer, self.review)
        canvas = canvas_of(window)
        if self.corners is None and canvas is not None:
            self.corners = SlideCorners(canvas, self.viewer, self.review.session, self.looks)

    def read(self, window: QWidget) -> None:
        """Arrange the main window, in which a dock stands, for reading: the slide has the room."""
        self.stay_with(window)  # the dock may not have been shown yet
        if self.layout is not None:
            self.layout.arrange()

    def close(self) -> None:
        """Close slide and review with the window; the docks are going, and are not touched."""
        for dock in self._open.values():
            dock.abandon()
        if self.corners is not None:
            self.corners.abandon()
        self.importer.close()
        self.follower.close()
        # A read that goes on still needs the slide's file.
        self.review.session.close(after_all_work)

    def dock(self, name: str) -> Any:
        """One of the docks; it is opened where it is not."""
        if name not in self._open:
            self.viewer.window.add_plugin_dock_widget("napari-hagmil", name, tabify=True)
        return self._open[name]

    def do(self, key: KeyAction) -> None:
        """Do what one of the desk's keys does."""
        self._does[key]()

    def show_keys(self) -> None:
        """Show the cheat sheet in the middle of the window, or close it."""
        if self._sheet is None:
            few = KeyAction("Control-1 … 9", "Class by number, Ctrl-0 for none", "Review")
            back = KeyAction("Esc", "Leave a tool; from a dock back to the slide", "Docks")
            tables = (HAGMIL_KEYS, REVIEW_KEYS, COHORT_KEYS, TAB_KEYS)
            keys = [*(key for table in tables for key in table.values()), few, back, *HAND_KEYS]
            self._sheet = CheatSheet(next(iter(self._open.values())).window(), keys)
        self._sheet.toggle()

    def _key_actions(self) -> dict[KeyAction, Callable[[], object]]:
        review, tools = self.review, self.canvas.tools
        does: dict[str, Callable[[], object]] = {
            "next": lambda: review.step(1),
            "previous": lambda: review.step(-1),
            "accept": lambda: review.decide("accepted"),
            "reject": lambda: review.decide("rejected"),
            "put_back": lambda: review.decide("unseen"),
            "centre": review.centre,
            "accept_patch": lambda: self.canvas.decide_patch("accepted"),
            "reject_patch": lambda: self.canvas.decide_patch("rejected"),
            "switch_view": self.canvas.switch_view,
            "comment": lambda: self.dock(REVIEW).go_to_comment(),
            "merge": review.merge,
            "split": tools.split,
            "redraw": tools.redraw,
            "remove": review.remove,
            "undo": review.undo,
            "redo": review.redo,
        }
        does |= self._view_actions()
        does |= self._drawing_actions()
        actions = {REVIEW_KEYS[name]: action for name, action in does.items()}
        for number, key in CLASS_KEYS.items():
            actions[key] = partial(review.class_by_number, number)
        for tab, key in TAB_KEYS.items():
            actions[key] = partial(self._go_to, tab)
        return actions

    def _drawing_actions(self) -> dict[str, Callable[[], object]]:
        tools = self.canvas.tools
        kinds = (*get_args(AnnotationKind), *HAND_TOOLS)
        return {kind: partial(tools.draw, kind) for kind in kinds} | {
            "unite": tools.drawn.unite,
            "subtract": tools.drawn.subtract,
            "intersect": tools.drawn.intersect,
            "fill_holes": tools.drawn.fill_holes,
            "nest": tools.drawn.nest,
            "duplicate": tools.duplicate,
            "lock": tools.drawn.lock,
        }

    def _view_actions(self) -> dict[str, Callable[[], object]]:
        return {
            "side_by_side": self.canvas.toggle_side_by_side,
            "labels": self.canvas.layers.toggle_labels,
            "look": self.looks.go_on,
            "overview": self._toggle_overview,
            "fold": self._fold,
            "cheat_sheet": self.show_keys,
        }

    def _toggle_overview(self) -> None:
        if self.corners is not None:
            self.corners.toggle_overview()

    def _fold(self) -> None:
        if self.layout is not None:
            self.layout.toggle()

    def _go_to(self, tab: str) -> None:
        self.dock(_TABS[tab]).go_to(tab)


class _Anchor(QObject):  # type: ignore[misc]
    """Keeps a desk as long as its window, and closes the slide with it."""

    def __init__(self, window: QMainWindow, desk: Desk) -> None:
        super().__init__(window)
        self._desk = desk
        # napari cannot bind this key; a shortcut of Qt leaves it to a text that has the focus.
        self.question = QShortcut(QKeySequence("?"), window)
        self.question.setContext(Qt.ShortcutContext.WindowShortcut)
        self.question.activated.connect(desk.show_keys)
        window.destroyed.connect(desk.close)
        # A window that is closed in the middle of a run must not wait for the run to end.
        QApplication.instance().aboutToQuit.connect(self._cancel)

    def _cancel(self) -> None:
        self._desk.review.session.cancel()


#: By the session's id, which the desk keeps alive; docks and window keep the desk alive.
_DESKS: WeakValueDictionary[int, Desk] = WeakValueDictionary()


def desk_of(viewer: ViewerModel) -> Desk:
    """The one desk of a window; whichever dock opens first makes it."""
    session = session_of(viewer)
    desk = _DESKS.get(id(session))
    if desk is None:
        canvas = ReviewCanvas(viewer, review_as_preferred(session))
        desk = _DESKS[id(session)] = Desk(viewer, canvas)
    return desk
