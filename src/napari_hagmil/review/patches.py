"""The patches of a region: decided with it, or one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.polygons import Outline, Place, Rings, contains
from napari_hagmil.review.state import Decision, ReviewPatch, ReviewRegion

Patches = tuple[ReviewPatch, ...]


def centres_of(patches: Iterable[ReviewPatch]) -> NDArray[np.float64]:
    """Centres (y, x) of patches, (n, 2) level-0 px."""
    boxes = np.array([one.box for one in patches], dtype=np.float64).reshape(-1, 4)
    return np.asarray((boxes[:, :2] + boxes[:, 2:]) / 2)


def outline_of(patch: ReviewPatch) -> Outline:
    """The corners of a patch."""
    y0, x0, y1, x1 = patch.box
    return (y0, x0), (y0, x1), (y1, x1), (y1, x0)


def patches_in(patches: Patches, rings: Iterable[Rings]) -> Patches:
    """The patches whose centres lie in at least one polygon."""
    inside = contains(rings, centres_of(patches)) if patches else ()
    return tuple(one for one, is_in in zip(patches, inside, strict=True) if is_in)


def patch_at(region: ReviewRegion, place: Place) -> int | None:
    """Index of the patch of a region that holds a place (y, x), level-0 px; None without one."""
    for index, one in enumerate(region.patches):
        y0, x0, y1, x1 = one.box
        if y0 <= place[0] <= y1 and x0 <= place[1] <= x1:
            return index
    return None


def with_patches_decided(
    region: ReviewRegion, indexes: Iterable[int], decision: Decision
) -> ReviewRegion:
    """Give single patches a decision of their own; "unseen" and that of the region are the same."""
    own: Decision = "unseen" if decision == region.decision else decision
    chosen = set(indexes)
    patches = (
        one._replace(decision=own) if index in chosen else one
        for index, one in enumerate(region.patches)
    )
    return replace(region, patches=tuple(patches))


def decision_of(region: ReviewRegion, patch: ReviewPatch) -> Decision:
    """What was decided on a patch: by itself, else with its region."""
    return region.decision if patch.decision == "unseen" else patch.decision


def decided(region: ReviewRegion, decision: Decision) -> ReviewRegion:
    """Decide on a region and all of its patches but those that differ; "unseen" puts all back."""
    if decision == "unseen":
        return replace(region, decision=decision, patches=undecided(region.patches))
    patches = (
        one._replace(decision="unseen") if one.decision == decision else one
        for one in region.patches
    )
    return replace(region, decision=decision, patches=tuple(patches))


def undecided(patches: Patches) -> Patches:
    """Patches without decisions of their own."""
    return tuple(one._replace(decision="unseen") for one in patches)


def accepted_alone(region: ReviewRegion) -> list[ReviewRegion]:
    """The patches that were accepted in a region that was not, each as a region."""
    if region.decision == "accepted":
        return []
    return [
        replace(
            region,
            id=f"{region.id[:9]}{index:03x}",
            polygon=outline_of(one),
            holes=(),
            score=one.score,
            provenance=f"a patch of a region {region.decision}, {region.provenance}",
            decision="accepted",
            patches=(),
        )
        for index, one in enumerate(region.patches)
        if one.decision == "accepted"
    ]


def united(parts: Sequence[ReviewRegion]) -> Patches:
    """The patches of several regions, each once, highest score first.

    Where the regions were decided differently, each patch keeps what was decided on it.
    """
    agreed = len({one.decision for one in parts}) == 1
    found: dict[tuple[float, ...], ReviewPatch] = {}
    for part in parts:
        for one in part.patches:
            own = one.decision if agreed else decision_of(part, one)
            found.setdefault(one.box, one._replace(decision=own))
    return tuple(sorted(found.values(), key=lambda one: -one.score))
