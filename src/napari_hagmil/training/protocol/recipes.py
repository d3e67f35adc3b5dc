"""Recipes: HAG-MIL as this package, as the paper, and as the official code trains it.

All three are settings of one `Method`: the same architecture, the same schedule, the same loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import inf
from types import MappingProxyType
from typing import Any

from napari_hagmil.models import LossConfig
from napari_hagmil.training.config import TrainConfig
from napari_hagmil.training.protocol.methods import Method
from napari_hagmil.training.protocol.paper import PaperSettings, paper_methods

#: k in use and, in the first epoch, k of training at the coarsest depth: wide enough that the
#: finer depths meet what matters before the coarser ones know where it is.
_K, _FIRST_K = 16, 64

#: The official code's k in training and at inference.
_OFFICIAL_K = (7000, 10000)


def hagmil(settings: PaperSettings) -> Method:
    """HAG-MIL as this package trains it: the recipe of docs/results.md.

    Every choice is measured there. Bags are joined, and depths hear of each other, only where a
    class means that nothing else was found.
    """
    n_steps = settings.n_depths - 1
    return Method(
        "HAG-MIL, hagmil",
        options=dict(_OPTIONS),
        context="ancestors" if n_steps else "none",
        budget=(_K,) * n_steps,
        first_budget=tuple(_FIRST_K * 2**depth for depth in range(n_steps)),
        narrowing=20 if n_steps else 0,
        standardise=True,
        unmixed=True,
        training=_training(settings),
    )


#: Scores rank instances by their own features, and no norm hides their lengths.
_OPTIONS: Mapping[str, Any] = MappingProxyType(
    {
        "widths": (64,),
        "heads": 4,
        "instance_dim": 64,
        "gate_dim": 32,
        "norms": "none",
        "scored": "projected",
        "branch_dropout": 0.5,
    }
)


def _training(settings: PaperSettings) -> TrainConfig:
    return TrainConfig(
        epochs=60,
        patience=15,
        learning_rate=1e-3,
        weight_decay=1e-4,
        accumulate=8,
        loss=LossConfig(label_smoothing=0.0, instance_loss="none"),
        feature_dropout=0.2,
        feedback=1.0 if settings.n_depths > 1 else 0.0,
        background=0 if settings.has_negative else None,
        join=0.5 if settings.has_negative else 0.0,
    )


def paper(settings: PaperSettings) -> Method:
    """HAG-MIL as the paper trains it (section 4.2)."""
    return paper_methods(settings)[0]


def official(settings: PaperSettings) -> Method:
    """HAG-MIL as the official code trains it, but for the order of the bags.

    CLAM's instance loss at half the weight, norms on the pooled vector too, and zeros that pad the
    bag taking part in the attention. The next bag follows the quadtree, not the attention.
    """
    k_training, k_in_use = _OFFICIAL_K
    n_steps = settings.n_depths - 1
    loss = LossConfig(
        bag_weight=0.5,
        instance_weight=0.5,
        label_smoothing=0.1,
        instance_loss="clam",
        k=8,
        subtyping=settings.subtyping,
    )
    return replace(
        paper(settings),
        name="HAG-MIL, official",
        options={"attention": "nystrom", "legacy_padding": True, "norms": "official"},
        budget=(k_in_use,) * n_steps,
        training_budget=(k_training,) * n_steps,
        training=TrainConfig(clip=inf, loss=loss),
    )


RECIPES: Mapping[str, Callable[[PaperSettings], Method]] = MappingProxyType(
    {"hagmil": hagmil, "paper": paper, "official": official}
)
"""Recipe → what makes its method; the first is the default of ``train``."""
