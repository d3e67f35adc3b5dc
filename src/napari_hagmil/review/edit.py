"""Edits of regions and annotations: a state in, new values of its fields out.

The fields go to ``Sitting.change(action, **fields)``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_hagmil.attention import AttentionRegion
from napari_hagmil.errors import AnnotationError
from napari_hagmil.polygons import (
    Outline,
    Place,
    Rings,
    area_of,
    contains,
    cut,
    joined,
    overlap,
    polygon_of,
    rings_of,
)
from napari_hagmil.review.patches import (
    Patches,
    decided,
    patches_in,
    undecided,
    united,
    with_patches_decided,
)
from napari_hagmil.review.state import (
    Decision,
    ReviewPatch,
    ReviewRegion,
    ReviewState,
    new_id,
)

Fields = dict[str, Any]
"""Names of fields of `ReviewState` with their new values."""


@dataclass(frozen=True, slots=True)
class Edit:
    """An edit that makes a region the current one.

    Attributes
    ----------
    fields : dict
        New values of fields of the state.
    region_id : str
        Id of the region to go on with.
    """

    fields: Fields
    region_id: str


#: From this share of its patches on, a region that is found again counts as those that the user has
#: dealt with; one without patches, from this intersection over union on.
SAME = 0.5

_BY_HAND = ("merged", "split", "redrawn", "drawn")


def region_by_id(state: ReviewState, region_id: str) -> ReviewRegion | None:
    """The region with that id; None when there is none."""
    return next((one for one in state.regions if one.id == region_id), None)


def with_region(state: ReviewState, region_id: str, **members: Any) -> Fields:
    """Give one region new members: its class, comment or outline."""
    return _changed(state, region_id, lambda one: replace(one, **members))


def with_decision(state: ReviewState, region_id: str, decision: Decision) -> Fields:
    """Decide on a region and on its patches, but for those that differ; "unseen" puts all back."""
    return _changed(state, region_id, lambda one: decided(one, decision))


def with_patches(
    state: ReviewState, region_id: str, indexes: Iterable[int], decision: Decision
) -> Fields:
    """Give single patches of a region a decision of their own; "unseen": that of the region."""
    return _changed(state, region_id, lambda one: with_patches_decided(one, indexes, decision))


def _changed(
    state: ReviewState, region_id: str, change: Callable[[ReviewRegion], ReviewRegion]
) -> Fields:
    return {"regions": tuple(change(one) if one.id == region_id else one for one in state.regions)}


def without_regions(state: ReviewState, ids: Sequence[str]) -> Fields:
    """Remove regions."""
    return {"regions": tuple(one for one in state.regions if one.id not in set(ids))}


def found(
    state: ReviewState,
    regions: Sequence[AttentionRegion],
    *,
    depth: int,
    provenance: str,
    in_hand: str = "",
) -> Fields:
    """Replace the regions of an earlier run by those of a new one.

    Regions that the user has decided, classified, commented or redrawn stay as they are, and so
    does the one `in_hand`, by its id; what is found again in their place is left out.
    """
    kept = [
        one
        for one in state.regions
        if one.touched or one.provenance in _BY_HAND or one.id == in_hand
    ]
    fresh = []
    for region in regions:
        rings = region.rings
        patches = tuple(ReviewPatch(one.box, round(one.score, 2)) for one in region.patches)
        made = ReviewRegion(_name_of(rings.outer), *rings, float(region.score), depth, provenance)
        if not _is_among(made, patches, kept):
            fresh.append(replace(made, patches=patches))
    ranked = sorted([*kept, *fresh], key=lambda one: -(101.0 if one.score is None else one.score))
    return {"regions": tuple(ranked)}


def _is_among(region: ReviewRegion, patches: Patches, kept: Sequence[ReviewRegion]) -> bool:
    """Whether the user has dealt with most of a region already."""
    if patches:
        known = patches_in(patches, [one.rings for one in kept]) if kept else ()
        return len(known) >= SAME * len(patches)
    return any(overlap(one.rings, region.rings) >= SAME for one in kept)


def region_at(state: ReviewState, place: Place) -> str:
    """Id of the smallest region around a place; empty where there is none."""
    inside = [one for one in state.regions if _holds(one, place)]
    return min(inside, key=lambda one: area_of(one.rings)).id if inside else ""


def _holds(region: ReviewRegion, place: Place) -> bool:
    ys, xs = zip(*region.polygon, strict=True)
    if not (min(ys) <= place[0] <= max(ys) and min(xs) <= place[1] <= max(xs)):
        return False
    return bool(contains([region.rings], [place])[0])


def with_nearest(state: ReviewState, region_id: str) -> tuple[str, ...]:
    """Ids of a region and of its nearest neighbour, as far as they exist."""
    region = region_by_id(state, region_id)
    if region is None:
        return ()
    here = polygon_of(Rings(region.polygon))
    others = [one for one in state.regions if one.id != region_id]
    nearest = min(
        others, key=lambda one: here.distance(polygon_of(Rings(one.polygon))), default=None
    )
    return (region_id, nearest.id) if nearest else (region_id,)


def merge(state: ReviewState, ids: Sequence[str]) -> Edit:
    """Join regions into one, and close the gaps between them.

    Raises
    ------
    AnnotationError
        When there are fewer than two.
    """
    parts = [one for one in state.regions if one.id in set(ids)]
    if len(parts) < 2:
        raise AnnotationError(
            "a merge", "needs two regions or more", value=len(parts), remedy="select another one"
        )
    polygon, holes = joined([one.rings for one in parts])
    decisions = {one.decision for one in parts}
    whole = ReviewRegion(
        new_id(),
        polygon,
        holes,
        score=max((one.score for one in parts if one.score is not None), default=None),
        depth=parts[0].depth,
        provenance="merged",
        decision=parts[0].decision if len(decisions) == 1 else "unseen",
        path_class=next((one.path_class for one in parts if one.path_class), ""),
        comment="; ".join(one.comment for one in parts if one.comment),
        patches=united(parts),
    )
    return Edit(_put(state, parts, [whole]), whole.id)


def split(state: ReviewState, region_id: str, line: Outline) -> Edit:
    """Cut a region along a line into parts without a decision, and go on with the larger.

    Raises
    ------
    AnnotationError
        When the line does not divide it.
    """
    region = _required(state, region_id)
    parts = [_part(region, rings) for rings in cut(region.rings, line)]
    return Edit(_put(state, [region], parts), parts[0].id)


def _part(region: ReviewRegion, rings: Rings) -> ReviewRegion:
    """A part of a region that was split, without a decision."""
    patches = undecided(patches_in(region.patches, [rings]))
    return replace(
        region,
        id=new_id(),
        polygon=rings.outer,
        holes=rings.holes,
        score=patches[0].score if patches else region.score,
        provenance="split",
        decision="unseen",
        patches=patches,
    )


def redraw(state: ReviewState, region_id: str, polygon: Outline) -> Edit:
    """Give a region an outline drawn by hand; its holes stay holes where they still lie inside.

    Raises
    ------
    AnnotationError
        When the outline encloses nothing.
    """
    region = _required(state, region_id)
    shape = polygon_of(Rings(rings_of(polygon_of(Rings(polygon))).outer))
    holes = tuple(hole for hole in region.holes if shape.intersects(polygon_of(Rings(hole))))
    if all(shape.contains(polygon_of(Rings(hole))) for hole in holes):
        outer = rings_of(shape)[0]
    else:
        outer, holes = rings_of(polygon_of(Rings(rings_of(shape).outer, holes)))
    rings = Rings(outer, holes)
    fields = with_region(state, region_id, **redrawn(region, rings))
    return Edit(fields, region_id)


def redrawn(region: ReviewRegion, rings: Rings) -> Fields:
    """Members of a region with other outlines; it keeps the patches that it still holds."""
    return {
        "polygon": rings.outer,
        "holes": rings.holes,
        "provenance": "redrawn",
        "patches": patches_in(region.patches, [rings]),
    }


def _required(state: ReviewState, region_id: str) -> ReviewRegion:
    region = region_by_id(state, region_id)
    if region is None:
        raise AnnotationError("an edit", "needs a region", remedy="choose one")
    return region


def _put(state: ReviewState, gone: Sequence[ReviewRegion], new: Sequence[ReviewRegion]) -> Fields:
    """Put new regions in the place of the first of the old ones."""
    ids = {one.id for one in gone}
    at = next(i for i, one in enumerate(state.regions) if one.id in ids)
    rest = [one for one in state.regions if one.id not in ids]
    return {"regions": (*rest[:at], *new, *rest[at:])}


def _name_of(polygon: Outline) -> str:
    """An id that is the same for the same outline, run after run."""
    return hashlib.sha256(np.asarray(polygon).tobytes()).hexdigest()[:12]
