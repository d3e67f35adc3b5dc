"""The user's preferences, as the manifest declares them; napari shows and keeps them."""

from __future__ import annotations

from typing import Any, TypeVar

from napari.settings import get_plugin_settings

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


def _group(group: str) -> Any:
    try:
        return getattr(get_plugin_settings(_PLUGIN), group, None)
    except KeyError:
        return None
