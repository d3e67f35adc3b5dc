"""The cost of the next run, in patches and seconds."""

from __future__ import annotations

from dataclasses import dataclass

from napari_hagmil.cascade import DepthForecast, Stage, forecast_depths
from napari_hagmil.prepare import Options, PreparedSlide

#: Patches encoded to measure the speed of this machine; the run uses their features.
TRIAL = 8


@dataclass(frozen=True, slots=True)
class RunCost:
    """The cost of the next run.

    Attributes
    ----------
    depths : tuple of DepthForecast
        Coarse to fine.
    seconds : float or None
        Estimated time to read and encode what is new; None while no patch was timed.
    """

    depths: tuple[DepthForecast, ...]
    seconds: float | None

    @property
    def new(self) -> int:
        """Patches to read and encode, at most."""
        return sum(one.new for one in self.depths)

    @property
    def exact(self) -> bool:
        """Whether that number is known, and not an upper bound."""
        return all(one.exact for one in self.depths)


def run_cost(prepared: PreparedSlide, options: Options, known: list[Stage]) -> RunCost:
    """Count the patches of a run with these options, and estimate its time.

    `known` are stages of earlier runs with the same model and features.
    """
    features = prepared.features
    depths = forecast_depths(
        prepared.quadtree,
        prepared.config(options),
        lambda depth, nodes: len(features.missing(depth, nodes)),
        known,
    )
    rate = seconds_per_patch(prepared)
    seconds = None if rate is None else rate * sum(one.new for one in depths)
    return RunCost(depths, seconds)


def seconds_per_patch(prepared: PreparedSlide) -> float | None:
    """Measured time to read and encode one patch; None before the first."""
    features = prepared.features
    if not features.patches_encoded:
        return None
    return sum(features.seconds.values()) / features.patches_encoded


def time_a_trial(prepared: PreparedSlide) -> None:
    """Encode the first patches that any run will need, unless some were timed already."""
    if seconds_per_patch(prepared) is not None:
        return
    for depth, nodes in enumerate(prepared.quadtree.nodes):
        # Features that earlier runs have kept cost nothing, and tell nothing of the speed.
        new = prepared.features.missing(depth, nodes)[:TRIAL]
        if len(new):
            prepared.features(depth, new)
            return
