"""The methods of the paper's tables, each trained as its own paper's code trains it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from types import MappingProxyType
from typing import Any

from napari_hagmil.models import LossConfig
from napari_hagmil.models.baselines import BASELINES
from napari_hagmil.models.iat import ABLATIONS
from napari_hagmil.training.config import TrainConfig
from napari_hagmil.training.protocol.methods import Method

#: k of the tables: the official code's in training, and the largest of Figure 3. A smaller bag is
#: taken whole.
PAPER_K = 7000

# CLAM's README, main.py and utils/core_utils.py: weighted sampling, and an early stop that waits
# 20 epochs, not before the 52nd, for the bag's loss alone. Its pooling baselines share them.
_POOLING: Mapping[str, Any] = {
    "learning_rate": 2e-4, "weight_decay": 1e-5, "balanced": True, "min_epochs": 52,
}  # fmt: skip
_CLAM = {**_POOLING, "validated": "bag"}
# AttentionDeepMIL's main.py.
_AB_MIL = {"learning_rate": 5e-4, "weight_decay": 1e-4}
# Camelyon/TransMIL.yaml, MyOptimizer/.
_TRANSMIL = {
    "learning_rate": 2e-4, "weight_decay": 1e-5, "optimiser": "lookahead radam", "accumulate": 2,
}  # fmt: skip
# Main_DTFD_MIL.py; its two Adams have the same settings, and no parameter in common.
_DTFD = {
    "learning_rate": 1e-4, "weight_decay": 1e-4, "clip": 5.0,
    "rate_epochs": (100,), "rate_factor": 0.2,
}  # fmt: skip

AUTHORS_TRAINING: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "max_pooling": _POOLING,
        "mean_pooling": _POOLING,
        "ab_mil": _AB_MIL,
        "gated_ab_mil": _AB_MIL,
        "clam_sb": _CLAM,
        "clam_mb": _CLAM,
        "transmil": _TRANSMIL,
        "dtfd_afs": _DTFD,
        "dtfd_maxs": _DTFD,
        "dtfd_maxmins": _DTFD,
    }
)
"""Baseline → the fields of `TrainConfig` that its authors' published code sets."""


@dataclass(frozen=True, slots=True)
class PaperSettings:
    """What the paper's methods depend on, of the cohort and its features.

    Attributes
    ----------
    n_depths : int
    n_shared : int
        How many of them every slide has; 0: all.
    subtyping : bool
        There is more than one tumour class, which CLAM's instance loss tells apart.
    has_negative : bool
        The first class means that nothing else was found.
    """

    n_depths: int = 3
    n_shared: int = 0
    subtyping: bool = False
    has_negative: bool = True

    @property
    def baseline_depth(self) -> int:
        """The paper's level 1, one above the finest, or the finest that every slide has."""
        return max(0, min(self.n_depths - 2, (self.n_shared or self.n_depths) - 1))


def paper_methods(settings: PaperSettings | None = None) -> tuple[Method, ...]:
    """HAG-MIL, all baselines of the paper, and its ablations, each as its paper trains it."""
    settings = settings or PaperSettings()
    hagmil = Method(
        "HAG-MIL",
        options={"attention": "nystrom", "norms": "paper"},
        budget=(PAPER_K,) * (settings.n_depths - 1),
        children="all",
        training=TrainConfig(clip=inf, loss=LossConfig(label_smoothing=0.1, instance_loss="paper")),
    )
    baselines = [
        Method(
            name, model=name, depths=(settings.baseline_depth,), training=_training(name, settings)
        )
        for name in AUTHORS_TRAINING
    ]
    ablations = [
        replace(
            hagmil,
            name=f"HAG-MIL, {name.replace('_', ' ')}",
            options={**hagmil.options, **changes},
            group="ablation",
        )
        for name, changes in ABLATIONS.items()
        if name != "aggregation_gated"  # the method itself, which the table shows beside them
    ]
    return (hagmil, *baselines, *ablations)


def _training(name: str, settings: PaperSettings) -> TrainConfig:
    loss = BASELINES[name](8, 2).default_loss
    if loss.instance_loss == "clam":
        loss = replace(loss, subtyping=settings.subtyping)
    return TrainConfig(**{"clip": inf, "loss": loss, **AUTHORS_TRAINING[name]})
