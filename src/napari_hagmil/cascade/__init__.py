"""The cascade: which places are looked at, and what was found there."""

from napari_hagmil.cascade.result import (
    CascadeResult,
    Cost,
    ModelFacts,
    Settings,
    SlideFacts,
    SlideResult,
    Stage,
    node_statuses,
)
from napari_hagmil.cascade.run import CascadeConfig, iter_cascade
from napari_hagmil.cascade.select import select_top
from napari_hagmil.cascade.steering import Steering, load_steering

__all__ = [
    "CascadeConfig",
    "CascadeResult",
    "Cost",
    "ModelFacts",
    "Settings",
    "SlideFacts",
    "SlideResult",
    "Stage",
    "Steering",
    "iter_cascade",
    "load_steering",
    "node_statuses",
    "select_top",
]
