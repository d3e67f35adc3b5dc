"""Keys of the canvas: tables of what they do, and how they are bound.

Those of the HAG-MIL dock work while it is open; those of the review and of the tabs while any
dock is open, and they open the one that they need.

A layer's own keys come before the viewer's, so a key here must be one that no kind of layer
uses (napari 0.9.2: of the letters, N J K H G Q U W are free). The review has N, J, K and more;
the tables must not share a key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from napari.utils.key_bindings import KeymapProvider


@dataclass(frozen=True, slots=True)
class KeyAction:
    """What a key does.

    Attributes
    ----------
    key : str
        As napari writes it: "H", "Shift-H", "Alt-1".
    label : str
        What it does, in the imperative.
    group : str
        The heading it stands under in the cheat sheet.
    """

    key: str
    label: str
    group: str


#: Keys of the HAG-MIL dock.
HAGMIL_KEYS: Mapping[str, KeyAction] = {
    "at_1.25x": KeyAction("Alt-1", "Zoom to 1.25×", "Slide"),
    "at_2.5x": KeyAction("Alt-2", "Zoom to 2.5×", "Slide"),
    "at_5x": KeyAction("Alt-3", "Zoom to 5×", "Slide"),
    "at_10x": KeyAction("Alt-4", "Zoom to 10×", "Slide"),
    "at_20x": KeyAction("Alt-5", "Zoom to 20×", "Slide"),
    "at_40x": KeyAction("Alt-6", "Zoom to 40×", "Slide"),
    "overview": KeyAction("Alt-0", "Show the whole slide", "Slide"),
    "tissue_brush": KeyAction("Shift-T", "Paint tissue", "Tissue"),
    "tissue_polygon": KeyAction("Shift-I", "Draw tissue as a polygon", "Tissue"),
    "tissue_eraser": KeyAction("Shift-Z", "Erase tissue", "Tissue"),
    "run": KeyAction("Q", "Run the cascade", "Cascade"),
    "cancel": KeyAction("Shift-Q", "Stop the run", "Cascade"),
    "branches": KeyAction("Shift-H", "Hide or show the branches", "Overlays"),
    "unseen": KeyAction("Shift-U", "Hide or show what was never seen at high power", "Overlays"),
    "hold": KeyAction("W", "Hold the place under the pointer, or release it", "Why"),
    "without": KeyAction("Shift-W", "Ask for the prediction without this branch", "Why"),
    "alike": KeyAction("Alt-A", "Find places that look like this one", "Why"),
    "unseen_next": KeyAction("Alt-U", "Go to the next place that neither of you has seen", "Why"),
    "unseen_previous": KeyAction("Alt-Shift-U", "Go to the place before it", "Why"),
    "replay": KeyAction("Alt-R", "Show again where you looked, or stop it", "Why"),
    "follow": KeyAction("G", "Follow the branch under the pointer, or stop following it", "Steer"),
    "leave_out": KeyAction(
        "U", "Leave out the branch under the pointer, or take it back in", "Steer"
    ),
    "set_pins": KeyAction("Alt-7", "Mark branches to follow by clicks", "Steer"),
    "draw_place": KeyAction("Alt-8", "Draw a place to leave out", "Steer"),
    "second_look": KeyAction("Shift-G", "Take a second look at cut branches", "Steer"),
}

#: Keys of the tabs, by the name that each has in its dock.
TAB_KEYS: Mapping[str, KeyAction] = {
    "slide": KeyAction("F2", "Go to the tab Slide", "Docks"),
    "cascade": KeyAction("F3", "Go to the tab Cascade", "Docks"),
    "why": KeyAction("F4", "Go to the tab Why", "Docks"),
    "steer": KeyAction("F5", "Go to the tab Steer", "Docks"),
    "queue": KeyAction("F6", "Go to the tab Regions", "Docks"),
    "draw": KeyAction("F7", "Go to the tab Draw", "Docks"),
    "conclusion": KeyAction("F8", "Go to the tab Conclude", "Docks"),
    "export": KeyAction("F9", "Go to the tab Export", "Docks"),
}


#: Leaves a tool; bound to the layer that is drawn on, not to the viewer.
ESCAPE = KeyAction("Escape", "Leave the tool; what is not finished is dropped", "Draw")


def bind(
    provider: KeymapProvider, actions: Mapping[KeyAction, Callable[[], object]]
) -> Callable[[], None]:
    """Bind keys to the canvas; a key that is already bound stays with its owner.

    Parameters
    ----------
    provider : napari.components.ViewerModel or napari.layers.Layer
        A layer's keys work while it is the active one.
    actions : mapping of KeyAction to callable
        What each key does.

    Returns
    -------
    callable
        Unbinds what was bound here; a second call does nothing.
    """
    bound: dict[Any, object] = {}
    for action, do in actions.items():
        before = set(provider.keymap)
        try:
            provider.bind_key(action.key, _one_argument(do))
        except ValueError:  # already bound by someone else
            continue
        bound.update({key: provider.keymap[key] for key in set(provider.keymap) - before})

    def unbind() -> None:
        for key, function in bound.items():
            if provider.keymap.get(key) is function:
                provider.bind_key(key, None)
        bound.clear()

    return unbind


def _one_argument(do: Callable[[], object]) -> Callable[[Any], None]:
    """Take the viewer that napari passes; return nothing, for napari would call it on release."""

    def press(_viewer: Any) -> None:
        do()

    return press
