"""The cascade: which places are looked at, and what was found there.

Running it needs torch, which is imported on first use: results can be shown and exported without.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_hagmil.cascade.alike import Likeness, likeness
from napari_hagmil.cascade.cut_branches import SecondLook, SecondLookPlan
from napari_hagmil.cascade.depth_changes import DepthChange, compare_runs
from napari_hagmil.cascade.forecast import DepthForecast, forecast_depths
from napari_hagmil.cascade.found import found_regions
from napari_hagmil.cascade.result import (
    MAX_UNREAD,
    CascadeResult,
    Cost,
    Given,
    ModelFacts,
    Settings,
    SlideResult,
    SlideSummary,
    Stage,
    UnreadPlaces,
    called_class,
    most_unread,
    node_statuses,
)
from napari_hagmil.cascade.select import (
    CascadeConfig,
    Choose,
    Descent,
    at_random,
    by_attention,
    by_value,
    descend,
    select_top,
)
from napari_hagmil.cascade.steering import Steering, load_steering
from napari_hagmil.cascade.trace import Branch, NodeFacts, StageIndex

if TYPE_CHECKING:
    from napari_hagmil.cascade.run import iter_cascade
    from napari_hagmil.cascade.uncertain import uncertainty_of, why_unfamiliar
    from napari_hagmil.cascade.what_if import second_look, without_branch

__all__ = [
    "MAX_UNREAD",
    "Branch",
    "CascadeConfig",
    "CascadeResult",
    "Choose",
    "Cost",
    "DepthChange",
    "DepthForecast",
    "Descent",
    "Given",
    "Likeness",
    "ModelFacts",
    "NodeFacts",
    "SecondLook",
    "SecondLookPlan",
    "Settings",
    "SlideResult",
    "SlideSummary",
    "Stage",
    "StageIndex",
    "Steering",
    "UnreadPlaces",
    "at_random",
    "by_attention",
    "by_value",
    "called_class",
    "compare_runs",
    "descend",
    "forecast_depths",
    "found_regions",
    "iter_cascade",
    "likeness",
    "load_steering",
    "most_unread",
    "node_statuses",
    "second_look",
    "select_top",
    "uncertainty_of",
    "why_unfamiliar",
    "without_branch",
]

_NEEDS_TORCH = {
    "iter_cascade": "run",
    "second_look": "what_if",
    "uncertainty_of": "uncertain",
    "why_unfamiliar": "uncertain",
    "without_branch": "what_if",
}


def __getattr__(name: str) -> Any:
    if name in _NEEDS_TORCH:
        return getattr(import_module(f"napari_hagmil.cascade.{_NEEDS_TORCH[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
