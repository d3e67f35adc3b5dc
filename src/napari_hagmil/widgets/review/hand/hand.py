"""Which tool of the hand is in use, and how large its brush is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from napari.components import ViewerModel
from psygnal import Signal

from napari_hagmil.session import Review
from napari_hagmil.session.drawing.drawn import DrawnObjects
from napari_hagmil.widgets.keys import ESCAPE, KeyAction
from napari_hagmil.widgets.review.hand.arrow import Arrow
from napari_hagmil.widgets.review.hand.brush import Brush
from napari_hagmil.widgets.review.hand.reach import HandTool, Reach
from napari_hagmil.widgets.review.hand.sheet import Sheet
from napari_hagmil.widgets.review.hand.wand import WandTool

#: The tools, by the name of their key.
HAND_TOOLS = ("select", "brush", "eraser", "wand")

#: Diameters of the brush, px of the screen, and the factor of a press of a key.
SMALLEST, LARGEST, _STEP = 8, 300, 1.25

#: Keys of the tool in the hand; they are the layer's, so that they may be any.
SMALLER = KeyAction("[", "Make the brush smaller", "Draw")
LARGER = KeyAction("]", "Make the brush larger", "Draw")
DELETE = KeyAction("Delete", "Delete what is picked", "Draw")
HAND_KEYS = (SMALLER, LARGER, DELETE)
_BACKSPACE = KeyAction("Backspace", "Delete what is picked", "Draw")


class Hand:
    """Holds one tool at a time, on a layer that goes with it.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where it works.
    review : Review
        What is drawn goes there.
    drawn : DrawnObjects
        Which annotations are picked.

    Attributes
    ----------
    kind : str
        One of `HAND_TOOLS`; empty while the hand is free.

    Signals
    -------
    changed
        Another tool is in the hand, or none, or the brush has another size.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel, review: Review, drawn: DrawnObjects) -> None:
        self.viewer, self.review, self.drawn = viewer, review, drawn
        self.kind = ""
        self._size_px, self._tolerance = 40.0, 24.0
        self._reach: Reach | None = None
        self._tool: HandTool | None = None
        drawn.changed.connect(self._show)
        review.changed.connect(self._show)

    @property
    def size_px(self) -> float:
        """Diameter of the brush, px of the screen: the same at every magnification."""
        return self._size_px

    @size_px.setter
    def size_px(self, size: float) -> None:
        self._size_px = min(max(float(size), SMALLEST), LARGEST)
        if self._reach is not None:
            self._reach.size_px = self._size_px
            self._reach.sheet.cursor(self._cursor_px())
        self.changed.emit()

    def take(self, kind: str, color: Any) -> None:
        """Take a tool; it draws in a colour as napari takes it."""
        self.leave()
        sheet = Sheet(self.viewer, self.review.mpp, color)
        self._reach = reach = Reach(
            self.viewer, self.review, self.drawn, sheet, self._size_px, self._tolerance
        )
        self.kind, self._tool = kind, _tool(kind, reach)
        sheet.cursor(self._cursor_px())
        sheet.layer.mouse_drag_callbacks.append(self._drag)
        sheet.layer.mouse_double_click_callbacks.append(self._double_click)
        sheet.bind(
            {
                ESCAPE: self.leave,
                SMALLER: lambda: self._grow(1 / _STEP),
                LARGER: lambda: self._grow(_STEP),
                DELETE: self.drawn.delete,
                _BACKSPACE: self.drawn.delete,
            }
        )
        sheet.layer.bind_key("Space", _pan)
        self._show()
        self.changed.emit()

    def leave(self) -> None:
        """Put the tool away; a stroke that is not finished is dropped."""
        if self._reach is None:
            return
        self._tolerance = self._reach.tolerance
        sheet, self._reach, self._tool, self.kind = self._reach.sheet, None, None, ""
        sheet.remove()
        self.changed.emit()

    def recolor(self, color: Any) -> None:
        """Go on in another colour."""
        if self._reach is not None:
            self._reach.sheet.color(color)

    def _grow(self, factor: float) -> None:
        self.size_px = self._size_px * factor

    def _cursor_px(self) -> float:
        return self._size_px if self.kind in ("brush", "eraser") else 0.0

    def _drag(self, layer: Any, event: Any) -> Iterator[None] | None:
        if self._tool is None or event.button != 1 or layer.mouse_pan:
            return None
        return self._tool.drag(event)

    def _double_click(self, layer: Any, event: Any) -> None:
        if isinstance(self._tool, Arrow):
            self._tool.add_corner(event)

    def _show(self) -> None:
        if self._reach is None:
            return
        if not self._reach.sheet.is_there:  # the user has deleted the layer
            self.leave()
        elif isinstance(self._tool, Arrow):
            self._tool.show()


def _tool(kind: str, reach: Reach) -> HandTool:
    made: dict[str, Callable[[], HandTool]] = {
        "select": lambda: Arrow(reach),
        "brush": lambda: Brush(reach, erases=False),
        "eraser": lambda: Brush(reach, erases=True),
        "wand": lambda: WandTool(reach),
    }
    return made[kind]()


def _pan(layer: Any) -> Iterator[None]:
    """Hold the key to move the slide, as with napari's own tools."""
    layer.mouse_pan = True
    yield
    layer.mouse_pan = False
