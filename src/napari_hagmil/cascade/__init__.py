"""The cascade: which places are looked at, and what was found there.

What runs it needs torch and is imported on first use, so that results can be shown and
exported without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_hagmil.cascade.forecast import DepthForecast, Plan, forecast
from napari_hagmil.cascade.result import (
    CascadeResult,
    Cost,
    ModelFacts,
    Settings,
    SlideFacts,
    SlideResult,
    Stage,
    called_class,
    node_statuses,
)
from napari_hagmil.cascade.select import Choose, at_random, by_attention, by_value, select_top
from napari_hagmil.cascade.steering import Steering, load_steering
from napari_hagmil.cascade.trace import NodeFacts, StageIndex

if TYPE_CHECKING:
    from napari_hagmil.cascade.run import CascadeConfig, is_same_bag, iter_cascade, look

__all__ = [
    "CascadeConfig",
    "CascadeResult",
    "Choose",
    "Cost",
    "DepthForecast",
    "ModelFacts",
    "NodeFacts",
    "Plan",
    "Settings",
    "SlideFacts",
    "SlideResult",
    "Stage",
    "StageIndex",
    "Steering",
    "at_random",
    "by_attention",
    "by_value",
    "called_class",
    "forecast",
    "is_same_bag",
    "iter_cascade",
    "load_steering",
    "look",
    "node_statuses",
    "select_top",
]


def __getattr__(name: str) -> Any:
    if name in ("CascadeConfig", "is_same_bag", "iter_cascade", "look"):
        return getattr(import_module("napari_hagmil.cascade.run"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
