"""The user's preferences, as the manifest declares them; napari shows and keeps them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from napari.settings import get_plugin_settings

from napari_hagmil.plugin.layers import ATTENTION_COLORMAP, ATTENTION_OPACITY
from napari_hagmil.review import QUPATH_CLASSES, PathClass, Sitting, open_sitting, with_class
from napari_hagmil.review.classes import class_list, classes_in

_PLUGIN = "napari-hagmil"

_Value = TypeVar("_Value")


def preference(group: str, name: str, default: _Value) -> _Value:
    """A preference's value; the default where napari has not met the plugin's manifest."""
    found = getattr(_group(group), name, default)
    return type(default)(found)  # type: ignore[call-arg]


def set_preference(group: str, name: str, value: object) -> None:
    """Keep a preference for the next day."""
    found = _group(group)
    if found is not None:
        setattr(found, name, value)


def on_change(group: str, do: Callable[[], object]) -> Callable[[], None]:
    """Do something whenever a preference of a group changes; what is returned ends that."""
    found = _group(group)
    if found is None:
        return lambda: None

    def changed(_event: Any) -> None:
        do()

    found.events.connect(changed)
    return lambda: found.events.disconnect(changed)


def colormap_wished() -> str:
    """The colours of the attention, as preferred."""
    return preference("display", "colormap", ATTENTION_COLORMAP)


def opacity_wished() -> float:
    """The opacity of the attention where nobody has set another, 0 to 1."""
    return preference("display", "opacity", round(100 * ATTENTION_OPACITY)) / 100


def budget_preference(n: int) -> tuple[int, ...] | None:
    """The wished budget of a model with n budgets; None: its own, also where it does not fit."""
    try:
        wished = tuple(int(part) for part in preference("cascade", "budget", "").split(","))
    except ValueError:
        return None
    return wished if len(wished) == n and min(wished) > 0 else None


def keep_class(new: PathClass) -> None:
    """Let every new review begin with a class of one's own."""
    kept = with_class(classes_in(preference("review", "own_classes", "")), new)
    set_preference("review", "own_classes", class_list(kept))


def open_review(slide: Path, fingerprint: str) -> Sitting:
    """Open a review where, and with the classes, that the user wishes."""
    classes: tuple[PathClass, ...] = QUPATH_CLASSES
    for one in classes_in(preference("review", "own_classes", "")):
        classes = with_class(classes, one)
    beside = preference("review", "beside_slide", True)
    return open_sitting(slide, fingerprint, beside_slide=beside, classes=classes)


def _group(group: str) -> Any:
    try:
        return getattr(get_plugin_settings(_PLUGIN), group, None)
    except KeyError:
        return None
