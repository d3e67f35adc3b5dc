"""Checkpoints of a training run: a killed run resumes from one, with the same outcome."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from napari_hagmil.files import replacing

CheckpointState = dict[str, Any]
"""Tensors, numbers, texts, lists and dicts of them: nothing that could run code when loaded."""


@dataclass
class Checkpoint:
    """One file that holds the newest state of a run.

    Attributes
    ----------
    path : Path
    key : str
        A hash of everything that the run depends on; a state with another key is ignored.
    every : float
        Least seconds between two writes. A resumed run repeats what came after the last one.
    """

    path: Path
    key: str
    every: float = 20.0
    _written: float = float("-inf")

    def load(self) -> CheckpointState | None:
        """The state to resume from; None where there is none, or one of another run."""
        try:
            state: CheckpointState = torch.load(self.path, weights_only=True, map_location="cpu")
        # A cut or foreign file makes torch raise whatever it stumbles on; the run starts again.
        except Exception:
            return None
        is_ours = isinstance(state, dict) and state.get("key") == self.key
        return state.get("state") if is_ours else None

    def save(self, state: Callable[[], CheckpointState], *, now: bool = False) -> None:
        """Write the state, all or nothing; unless `now`, at most once in `every` seconds."""
        if not now and time.monotonic() - self._written < self.every:
            return
        with replacing(self.path, durable=True) as draft:
            torch.save({"key": self.key, "state": state()}, draft)
        self._written = time.monotonic()


@dataclass(frozen=True, slots=True)
class CheckpointFolder:
    """Where a cascade's run keeps the checkpoints of its depths.

    Attributes
    ----------
    folder : Path
    key : str
        Names everything that the run depends on.
    """

    folder: Path
    key: str

    def of_depth(self, depth: int) -> Checkpoint:
        """The checkpoint of one depth; −1: of the teacher."""
        return Checkpoint(self.folder / f"depth-{depth}.pt", f"{self.key} depth {depth}")
