"""Where a training run stands, on disk: a killed run goes on, and ends as if it had not been."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from napari_hagmil.files import replacing

State = dict[str, Any]
"""Tensors, numbers, texts, lists and dicts of them: nothing that could run code when loaded."""


@dataclass
class Checkpoint:
    """One file that holds the newest state of a run.

    Attributes
    ----------
    path : Path
    key : str
        What the run is of: the state of another key is not taken up.
    every : float
        Seconds between two writes. What came after the last one is done again, to the same end.
    """

    path: Path
    key: str
    every: float = 20.0
    _written: float = float("-inf")

    def load(self) -> State | None:
        """The state to go on from; None where there is none, or one of another run."""
        try:
            state: State = torch.load(self.path, weights_only=True, map_location="cpu")
        except (OSError, RuntimeError, EOFError, UnpicklingError, KeyError):
            return None
        return state["state"] if state.get("key") == self.key else None

    def save(self, state: Callable[[], State], *, now: bool = False) -> None:
        """Write the state, all or nothing, unless the last time was only just now."""
        if not now and time.monotonic() - self._written < self.every:
            return
        with replacing(self.path) as draft, draft.open("wb") as file:
            torch.save({"key": self.key, "state": state()}, file)
            file.flush()
            os.fsync(file.fileno())
        self._written = time.monotonic()
