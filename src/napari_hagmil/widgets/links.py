"""Connections of a dock to what outlives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psygnal import SignalInstance


class Links:
    """Connects, and disconnects all when the dock closes: its widgets are gone then."""

    def __init__(self) -> None:
        self._made: list[tuple[SignalInstance, Callable[..., Any]]] = []

    def connect(self, signal: SignalInstance, slot: Callable[..., Any]) -> None:
        """Call a slot on every emission, until `undo`."""
        signal.connect(slot)
        self._made.append((signal, slot))

    def undo(self) -> None:
        """Disconnect everything; a second call does nothing."""
        while self._made:
            signal, slot = self._made.pop()
            signal.disconnect(slot)
