"""The queue of regions: which of them are shown, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from napari_hagmil.review.measure import region_area_um2
from napari_hagmil.review.state import Decision, ReviewRegion

Order = Literal["score", "size", "place"]

DECISIONS: tuple[Decision, ...] = ("unseen", "accepted", "rejected")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which regions the queue shows, and in which order.

    Attributes
    ----------
    min_score : float
        Percentile, 0 to 100; regions drawn by hand have no score and are always shown.
    min_area_um2 : float
        Smaller regions are left out, µm².
    path_class : str or None
        Only this class; "": those without one; None: all.
    decisions : tuple of str
        Any of "unseen", "accepted", "rejected".
    order : str
        "score": highest first; "size": largest first; "place": from top to bottom.
    """

    min_score: float = 0.0
    min_area_um2: float = 0.0
    path_class: str | None = None
    decisions: tuple[Decision, ...] = DECISIONS
    order: Order = "score"


def queue_of(
    regions: Sequence[ReviewRegion], mpp: float, wanted: Filter | None = None
) -> list[ReviewRegion]:
    """The regions that pass the filter, in its order; equals stay in the order found."""
    wanted = wanted or Filter()
    areas = {region.id: region_area_um2(region, mpp) for region in regions}
    chosen = [
        region
        for region in regions
        if (region.score is None or region.score >= wanted.min_score)
        and areas[region.id] >= wanted.min_area_um2
        and wanted.path_class in (None, region.path_class)
        and region.decision in wanted.decisions
    ]
    keys = {
        "score": lambda region: -(101.0 if region.score is None else region.score),
        "size": lambda region: -areas[region.id],
        "place": lambda region: min(region.polygon),
    }
    return sorted(chosen, key=keys[wanted.order])


def step(queue: Sequence[ReviewRegion], at: str, by: int) -> str:
    """Id of the region `by` places on, wrapping around; from elsewhere the first or last."""
    if not queue:
        return ""
    ids = [region.id for region in queue]
    if at not in ids:
        return ids[0] if by > 0 else ids[-1]
    return ids[(ids.index(at) + by) % len(ids)]


def next_unseen(queue: Sequence[ReviewRegion], at: str) -> str:
    """Id of the next undecided region after `at`, wrapping around; empty when there is none."""
    ids = [region.id for region in queue]
    start = ids.index(at) + 1 if at in ids else 0
    order = [*queue[start:], *queue[:start]]
    return next((one.id for one in order if one.decision == "unseen" and one.id != at), "")


def tally(regions: Sequence[ReviewRegion]) -> dict[Decision, int]:
    """How many regions have each decision."""
    return {one: sum(region.decision == one for region in regions) for one in DECISIONS}
