"""Baselines: one module per paper, one interface (`BagModel`) for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from napari_hagmil.models.baselines.ab_mil import ABMIL, GatedABMIL
from napari_hagmil.models.baselines.clam import CLAMMB, CLAMSB
from napari_hagmil.models.baselines.dtfd import DTFD
from napari_hagmil.models.baselines.evidence_pooling import EvidencePooling
from napari_hagmil.models.baselines.pooled_instances import MaxPooling, MeanPooling
from napari_hagmil.models.baselines.transmil import TransMIL
from napari_hagmil.models.interface import BagModel

BASELINES: Mapping[str, Callable[..., BagModel]] = {
    "max_pooling": MaxPooling,
    "mean_pooling": MeanPooling,
    "ab_mil": ABMIL,
    "gated_ab_mil": GatedABMIL,
    "clam_sb": CLAMSB,
    "clam_mb": CLAMMB,
    "transmil": TransMIL,
    "dtfd_afs": partial(DTFD, distillation="afs"),
    "dtfd_maxs": partial(DTFD, distillation="maxs"),
    "dtfd_maxmins": partial(DTFD, distillation="maxmins"),
    "evidence_pooling": EvidencePooling,
}
"""Name → constructor (n_features, n_classes, **options)."""


def make_baseline(name: str, n_features: int, n_classes: int, **options: Any) -> BagModel:
    """Make a baseline by its name in `BASELINES`, with its own paper's dimensions by default."""
    if name not in BASELINES:
        raise ValueError(f"there is no baseline {name!r}; choose one of {', '.join(BASELINES)}")
    return BASELINES[name](n_features, n_classes, **options)


__all__ = [
    "ABMIL",
    "BASELINES",
    "CLAMMB",
    "CLAMSB",
    "DTFD",
    "EvidencePooling",
    "GatedABMIL",
    "MaxPooling",
    "MeanPooling",
    "TransMIL",
    "make_baseline",
]
