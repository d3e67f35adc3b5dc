"""The user's preferences: declared in the manifest, shown and kept by napari."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from napari.settings import get_plugin_settings

from napari_hagmil.export.pseudonyms import Pseudonyms
from napari_hagmil.permission import are_names_hidden
from napari_hagmil.plugin.layers import ATTENTION_COLORMAP, ATTENTION_OPACITY
from napari_hagmil.review import QUPATH_CLASSES, PathClass, Sitting, open_sitting, with_class
from napari_hagmil.review.classes import class_list, classes_in

_PLUGIN = "napari-hagmil"

_Value = TypeVar("_Value")


def preference(group: str, name: str, default: _Value) -> _Value:
    """A preference's value; the default where napari has not read the plugin's manifest."""
    found = getattr(_group(group), name, default)
    return type(default)(found)  # type: ignore[call-arg]


def set_preference(group: str, name: str, value: object) -> None:
    """Change a preference; napari keeps it."""
    found = _group(group)
    if found is not None:
        setattr(found, name, value)


def on_change(group: str, do: Callable[[], object]) -> Callable[[], None]:
    """Call `do` when a preference of a group changes, until the returned function is called."""
    found = _group(group)
    if found is None:
        return lambda: None

    def changed(_event: Any) -> None:
        do()

    found.events.connect(changed)
    return lambda: found.events.disconnect(changed)


def preferred_colormap() -> str:
    """The preferred colormap of the attention."""
    return preference("display", "colormap", ATTENTION_COLORMAP)


def preferred_opacity() -> float:
    """The opacity of the attention where the user has set no other, 0 to 1."""
    return preference("display", "opacity", round(100 * ATTENTION_OPACITY)) / 100


def keeps_tool() -> bool:
    """Whether a drawing tool stays in the hand once a shape is done."""
    return preference("review", "keep_tool", False)


def keeps_viewing() -> bool:
    """Whether the reader consents that what is in view is kept beside the review."""
    return preference("privacy", "viewing", False)


def preferred_budget(n: int) -> tuple[int, ...] | None:
    """The preferred budget for a model with n budgets; None where there is none that fits."""
    try:
        budget = tuple(int(part) for part in preference("cascade", "budget", "").split(","))
    except ValueError:
        return None
    return budget if len(budget) == n and min(budget) > 0 else None


def reviewer_name() -> str:
    """The name that exports carry: as the user wrote it, else that of the account."""
    name = preference("review", "reviewer", "")
    if not name:
        # Where the account has no name, the system says so in one of several ways.
        with suppress(OSError, KeyError, ImportError):
            name = getpass.getuser()
    return name


def keep_class(new: PathClass) -> None:
    """Offer a class in every new review."""
    kept = with_class(classes_in(preference("review", "own_classes", "")), new)
    set_preference("review", "own_classes", class_list(kept))


def open_review(slide: Path, fingerprint: str, reader: str = "") -> Sitting:
    """Open a review in the preferred folder, with the user's own classes."""
    classes: tuple[PathClass, ...] = QUPATH_CLASSES
    for one in classes_in(preference("review", "own_classes", "")):
        classes = with_class(classes, one)
    beside = preference("review", "beside_slide", True)
    return open_sitting(slide, fingerprint, beside_slide=beside, classes=classes, reader=reader)


def stand_in(slide: Path) -> Path:
    """What is opened in the place of a slide: itself, or what has its pseudonym, as preferred."""
    return Pseudonyms.own().slide(slide) if uses_pseudonyms() else slide


def uses_pseudonyms() -> bool:
    """Whether slides are opened, and all that is written names them, by their pseudonyms."""
    return are_names_hidden() or preference("privacy", "pseudonyms", False)


def _group(group: str) -> Any:
    try:
        return getattr(get_plugin_settings(_PLUGIN), group, None)
    except KeyError:
        return None
