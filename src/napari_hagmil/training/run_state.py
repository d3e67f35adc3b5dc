"""The epochs of a training run, and the state between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from napari_hagmil.training.checkpoint import Checkpoint, CheckpointState
from napari_hagmil.training.optimisers import Stepper
from napari_hagmil.training.step import require_finite


class Epoch(NamedTuple):
    """The outcome of one pass over the training bags.

    Attributes
    ----------
    number : int
        1 for the first.
    train_loss, val_loss : float
        Mean total loss per bag; the latter in eval mode, NaN where nothing was validated.
    val_auc : float
        Of the last class against all others; NaN where one side is absent.
    is_best : bool
        Whether its validation loss is the lowest so far.
    seconds : float
        Of all depths trained at once, this one's equal share.
    """

    number: int
    train_loss: float
    val_loss: float
    val_auc: float
    is_best: bool
    seconds: float


class DepthEpoch(NamedTuple):
    """One epoch of one depth; −1 is a teacher of all depths."""

    depth: int
    epoch: Epoch


@dataclass
class RunState:
    """Models, optimisers, random numbers, the best weights so far, and the finished epochs.

    Attributes
    ----------
    models : sequence of nn.Module
    steppers : sequence of Stepper
        One per model.
    rng : numpy generator
        All randomness comes from it.
    number, waited : int
        Epochs that are over; epochs since the best one.
    best : float
        Lowest validation loss.
    weights : list of state dicts
        Of the best epoch.
    history : list of DepthEpoch
    """

    models: Sequence[nn.Module]
    steppers: Sequence[Stepper]
    rng: np.random.Generator
    weights: list[dict[str, torch.Tensor]]
    checkpoint: Checkpoint | None = None
    number: int = 0
    waited: int = 0
    best: float = float("inf")
    history: list[DepthEpoch] = field(default_factory=list)

    @classmethod
    def start(
        cls,
        models: Sequence[nn.Module],
        steppers: Sequence[Stepper],
        seed: int,
        checkpoint: Checkpoint | None,
    ) -> RunState:
        """At the beginning, or where the checkpoint stands."""
        rng = np.random.default_rng(seed)
        run = cls(models, steppers, rng, [_copy(model) for model in models], checkpoint)
        state = checkpoint.load() if checkpoint else None
        if state is not None:
            run._restore(state)
        return run

    def end_epoch(self, val_loss: float, *, keep: bool = False) -> bool:
        """Count an epoch; True, and its weights are kept, when it is the best so far, or `keep`.

        Raises
        ------
        TrainingError
            When its validation loss, or a weight to be kept, is not finite.
        """
        if not keep:
            require_finite("the validation loss", val_loss)
        self.number += 1
        for stepper in self.steppers:
            stepper.end_epoch()
        is_best = keep or val_loss < self.best
        self.waited = 0 if is_best else self.waited + 1
        if is_best:
            self.best, self.weights = val_loss, [_copy(model) for model in self.models]
            for tensor in (t for weights in self.weights for t in weights.values() if t.numel()):
                require_finite("every trained weight", float(tensor.abs().max()))
        return is_best

    def record(self, epochs: Sequence[DepthEpoch]) -> None:
        """Add an epoch of every depth, and write the checkpoint if it is due."""
        self.history += epochs
        if self.checkpoint is not None:
            self.checkpoint.save(self._state)

    def finish(self) -> None:
        """Write the checkpoint of the ended run."""
        if self.checkpoint is not None:
            self.checkpoint.save(self._state, now=True)

    def take_best(self) -> None:
        """Give the models the weights of the best epoch, in eval mode."""
        for model, weights in zip(self.models, self.weights, strict=True):
            model.load_state_dict(weights)
            model.eval()

    def _state(self) -> CheckpointState:
        return {
            "models": [_copy(model) for model in self.models],
            "optimisers": [stepper.optimiser.state_dict() for stepper in self.steppers],
            "rng": _plain(self.rng.bit_generator.state),
            "weights": self.weights,
            "counts": [self.number, self.waited],
            "best": self.best,
            "history": [[one.depth, *one.epoch] for one in self.history],
        }

    def _restore(self, state: CheckpointState) -> None:
        for model, weights in zip(self.models, state["models"], strict=True):
            model.load_state_dict(weights)
        for stepper, optimiser in zip(self.steppers, state["optimisers"], strict=True):
            stepper.optimiser.load_state_dict(optimiser)
        self.rng.bit_generator.state = _numbers(state["rng"])
        self.weights, self.best = state["weights"], state["best"]
        self.number, self.waited = state["counts"]
        self.history = [DepthEpoch(depth, Epoch(*row)) for depth, *row in state["history"]]


def _copy(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _plain(state: Any) -> Any:
    """Integers as text: those of the generator have 128 bits, and a checkpoint holds 64."""
    if isinstance(state, dict):
        return {key: _plain(value) for key, value in state.items()}
    return str(state) if isinstance(state, int) else state


def _numbers(state: Any) -> Any:
    if isinstance(state, dict):
        return {key: _numbers(value) for key, value in state.items()}
    return int(state) if str(state).isdigit() else state
