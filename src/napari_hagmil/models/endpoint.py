"""What a model predicts where it is no class: quantities, yes or no of several targets, survival.

An endpoint says how many outputs the model has, how they are compared with what was measured, and
what a person reads from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

EndpointKind = Literal["regression", "labels", "cox", "hazard"]

#: Endpoints whose slides have a time and an event.
SURVIVAL: tuple[EndpointKind, ...] = ("cox", "hazard")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What the outputs of a model mean.

    Attributes
    ----------
    kind : str
        "regression": a quantity per target. "labels": yes or no per target. "cox": one log hazard
        ratio (Cox 1972). "hazard": the chance of an event in each of some intervals, of those who
        had none before (discrete-time survival, Gensheimer and Narasimhan 2019).
    targets : tuple of str
        What was measured, for "regression" and "labels".
    mean, scale : tuple of float
        "regression" alone: of each target on the training slides; outputs are standardised.
    edges : tuple of float
        "hazard" alone: the ends of all intervals but the last, which has none, ascending.
    """

    kind: EndpointKind
    targets: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("targets", "mean", "scale", "edges"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for holds, rule in self._rules():
            if not holds:
                raise ValueError(f"an Endpoint of kind {self.kind!r} needs {rule}")

    def _rules(self) -> list[tuple[bool, str]]:
        n, is_regression = len(self.targets), self.kind == "regression"
        return [
            (self.kind in get_args(EndpointKind), f"one of {', '.join(get_args(EndpointKind))}"),
            ((n > 0) != self.is_survival, "targets, unless it is of survival"),
            (len(set(self.targets)) == n, "targets with different names"),
            (
                len(self.mean) == len(self.scale) == (n if is_regression else 0),
                "a mean and a scale of each target, if it is a regression",
            ),
            (all(scale > 0 for scale in self.scale), "positive scales"),
            (bool(self.edges) == (self.kind == "hazard"), "edges, if it is of hazards"),
            (all(a < b for a, b in pairwise((0.0, *self.edges))), "positive edges that ascend"),
        ]

    @property
    def is_survival(self) -> bool:
        """Whether slides have a time and an event."""
        return self.kind in SURVIVAL

    @property
    def compares_slides(self) -> bool:
        """Whether the loss is of several slides, none of which has one alone."""
        return self.kind == "cox"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a cohort's table that hold what was measured."""
        return columns_of(self.kind, self.targets)

    @property
    def outputs(self) -> tuple[str, ...]:
        """A name for each output of the model."""
        if self.kind == "cox":
            return ("log hazard ratio",)
        if self.kind == "hazard":
            starts, ends = (0.0, *self.edges), (*self.edges, float("inf"))
            return tuple(f"hazard {a:g} to {b:g}" for a, b in zip(starts, ends, strict=True))
        return self.targets

    def loss(self, outputs: Tensor, measured: Tensor) -> Tensor:
        """Mean loss of some slides.

        Parameters
        ----------
        outputs : (n, outputs)
        measured : (n, columns)
            As `columns` names them.

        Returns
        -------
        ()
        """
        if self.kind == "regression":
            mean, scale = (measured.new_tensor(values) for values in (self.mean, self.scale))
            return F.mse_loss(outputs, (measured - mean) / scale)
        if self.kind == "labels":
            return F.binary_cross_entropy_with_logits(outputs, measured)
        if self.kind == "cox":
            return cox_loss(outputs[:, 0], measured[:, 0], measured[:, 1])
        edges = measured.new_tensor(self.edges)
        interval = torch.bucketize(measured[:, 0].contiguous(), edges)
        return hazard_loss(outputs, interval, measured[:, 1])

    def readings(self, outputs: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """What people read from the outputs, (n, outputs) → a column (n,) per name.

        A predicted quantity per target in its own unit; a probability per target; or the "risk",
        higher where the event is expected sooner, with the chance to have none until each edge.
        """
        x = np.asarray(outputs, dtype=np.float64)
        if self.kind == "regression":
            values = x * self.scale + self.mean
            return {f"predicted_{name}": values[:, i] for i, name in enumerate(self.targets)}
        if self.kind == "labels":
            return {f"p_{name}": _logistic(x[:, i]) for i, name in enumerate(self.targets)}
        if self.kind == "cox":
            return {"risk": x[:, 0]}
        survival = np.cumprod(1 - _logistic(x[:, :-1]), axis=1)
        chances = {f"survival_{edge:g}": survival[:, i] for i, edge in enumerate(self.edges)}
        return {"risk": -survival.sum(axis=1), **chances}


def columns_of(kind: EndpointKind, targets: Sequence[str]) -> tuple[str, ...]:
    """The columns of a cohort's table, in small letters, that an endpoint is measured by."""
    if kind in SURVIVAL:
        return ("time", "event")
    return tuple(f"target_{name}".lower() for name in targets)


def cox_loss(risk: Tensor, time: Tensor, event: Tensor) -> Tensor:
    """Negative log partial likelihood of Cox per event, (n,) each → (); ties as Breslow has them.

    0 where none of the slides has an event, or nobody is left to compare with.
    """
    at_risk = time[None, :] >= time[:, None]  # row i: who is under observation at time i
    total = risk[None, :].masked_fill(~at_risk, float("-inf")).logsumexp(1)
    return (event * (total - risk)).sum() / event.sum().clamp_min(1)


def hazard_loss(logits: Tensor, interval: Tensor, event: Tensor) -> Tensor:
    """Negative log likelihood of discrete hazards per slide.

    An event in interval y: it happened there and not before. Censored in y: nothing happened in
    the intervals before, and of y nothing is known.

    Parameters
    ----------
    logits : (n, intervals)
    interval : (n,) int64
        In which the time lies.
    event : (n,)
        1, or 0 where the slide is censored.

    Returns
    -------
    ()
    """
    places = torch.arange(logits.shape[1], device=logits.device)
    before = (places[None, :] < interval[:, None]).to(logits.dtype)
    survived = (F.logsigmoid(-logits) * before).sum(1)
    happened = F.logsigmoid(logits.gather(1, interval[:, None]).squeeze(1))
    return -(survived + event * happened).mean()


def _logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1 + np.tanh(x / 2)))
