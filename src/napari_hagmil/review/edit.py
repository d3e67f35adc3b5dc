"""Edits of regions and annotations: a state in, the new fields of the state out.

What comes back is made for ``Sitting.change(action, **fields)``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.errors import AnnotationError
from napari_hagmil.polygons import (
    Outline,
    Place,
    area_of,
    contains,
    cut,
    joined,
    outline,
    overlap,
    polygon_of,
    rings_of,
)
from napari_hagmil.review.state import Annotation, ReviewRegion, ReviewState, new_id

Fields = dict[str, Any]

#: Found again, a region that covers this share (intersection over union) of one that the
#: reader has dealt with is taken to be the same.
SAME = 0.5

_BY_HAND = ("merged", "split", "redrawn", "drawn")


class Found(Protocol):
    """What is taken from an `attention.AttentionRegion`."""

    @property
    def polygon(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def holes(self) -> tuple[NDArray[np.float64], ...]: ...  # noqa: D102
    @property
    def score(self) -> float: ...  # noqa: D102


def region_by_id(state: ReviewState, region_id: str) -> ReviewRegion | None:
    """The region of that id, if there is one."""
    return next((one for one in state.regions if one.id == region_id), None)


def with_region(state: ReviewState, region_id: str, **members: Any) -> Fields:
    """Give one region new members: its decision, class, comment or outline."""
    return {
        "regions": tuple(
            replace(one, **members) if one.id == region_id else one for one in state.regions
        )
    }


def without_regions(state: ReviewState, ids: Sequence[str]) -> Fields:
    """Take regions away."""
    return {"regions": tuple(one for one in state.regions if one.id not in set(ids))}


def found(state: ReviewState, regions: Sequence[Found], *, depth: int, provenance: str) -> Fields:
    """Replace the regions found before by those of a new run.

    Regions that the reader has decided, named, commented or redrawn stay as they are, and
    what is found again in their place is left out.
    """
    kept = [one for one in state.regions if one.touched or one.provenance in _BY_HAND]
    fresh = []
    for region in regions:
        rings = outline(region.polygon), tuple(map(outline, region.holes))
        if not any(overlap((one.polygon, one.holes), rings) >= SAME for one in kept):
            made = ReviewRegion(_name_of(rings[0]), *rings, float(region.score), depth, provenance)
            fresh.append(made)
    ranked = sorted([*kept, *fresh], key=lambda one: -(101.0 if one.score is None else one.score))
    return {"regions": tuple(ranked)}


def region_at(state: ReviewState, place: Place) -> str:
    """Id of the smallest region that a place lies in; empty where there is none."""
    inside = [one for one in state.regions if _holds(one, place)]
    return min(inside, key=lambda one: area_of((one.polygon, one.holes))).id if inside else ""


def _holds(region: ReviewRegion, place: Place) -> bool:
    ys, xs = zip(*region.polygon, strict=True)
    if not (min(ys) <= place[0] <= max(ys) and min(xs) <= place[1] <= max(xs)):
        return False
    return bool(contains([(region.polygon, region.holes)], [place])[0])


def with_nearest(state: ReviewState, region_id: str) -> tuple[str, ...]:
    """A region and the one that lies nearest to it; fewer where there are no two."""
    region = region_by_id(state, region_id)
    if region is None:
        return ()
    here = polygon_of((region.polygon, ()))
    others = [one for one in state.regions if one.id != region_id]
    nearest = min(
        others, key=lambda one: here.distance(polygon_of((one.polygon, ()))), default=None
    )
    return (region_id, nearest.id) if nearest else (region_id,)


def merge(state: ReviewState, ids: Sequence[str]) -> tuple[Fields, str]:
    """Join regions into one; gaps between them are closed. Also returns the new id.

    Raises
    ------
    AnnotationError
        When there are not two of them.
    """
    parts = [one for one in state.regions if one.id in set(ids)]
    if len(parts) < 2:
        raise AnnotationError(
            f"a merge needs two regions or more, got {len(parts)}; select another one as well"
        )
    polygon, holes = joined([(one.polygon, one.holes) for one in parts])
    decisions = {one.decision for one in parts}
    whole = ReviewRegion(
        new_id(),
        polygon,
        holes,
        score=_mean_score(parts),
        depth=parts[0].depth,
        provenance="merged",
        decision=parts[0].decision if len(decisions) == 1 else "unseen",
        path_class=next((one.path_class for one in parts if one.path_class), ""),
        comment="; ".join(one.comment for one in parts if one.comment),
    )
    return _put(state, parts, [whole]), whole.id


def split(state: ReviewState, region_id: str, line: Outline) -> tuple[Fields, str]:
    """Cut a region along a line; both parts wait for a decision. Also returns the larger's id.

    Raises
    ------
    AnnotationError
        When the line does not divide it.
    """
    region = _required(state, region_id)
    parts = [
        replace(
            region,
            id=new_id(),
            polygon=polygon,
            holes=holes,
            provenance="split",
            decision="unseen",
        )
        for polygon, holes in cut((region.polygon, region.holes), line)
    ]
    return _put(state, [region], parts), parts[0].id


def redraw(state: ReviewState, region_id: str, polygon: Outline) -> Fields:
    """Give a region an outline drawn by hand; what its holes cover stays out of it.

    Raises
    ------
    AnnotationError
        When the outline encloses nothing.
    """
    region = _required(state, region_id)
    shape = polygon_of((rings_of(polygon_of((polygon, ())))[0], ()))
    holes = tuple(hole for hole in region.holes if shape.intersects(polygon_of((hole, ()))))
    if all(shape.contains(polygon_of((hole, ()))) for hole in holes):
        outer = rings_of(shape)[0]
    else:
        outer, holes = rings_of(polygon_of((rings_of(shape)[0], holes)))
    return with_region(state, region_id, polygon=outer, holes=holes, provenance="redrawn")


def with_annotation(state: ReviewState, annotation: Annotation) -> Fields:
    """Add an annotation, or put it in the place of the one with its id."""
    known = any(one.id == annotation.id for one in state.annotations)
    if not known:
        return {"annotations": (*state.annotations, annotation)}
    return {
        "annotations": tuple(
            annotation if one.id == annotation.id else one for one in state.annotations
        )
    }


def without_annotations(state: ReviewState, ids: Sequence[str]) -> Fields:
    """Take annotations away."""
    return {"annotations": tuple(one for one in state.annotations if one.id not in set(ids))}


def _required(state: ReviewState, region_id: str) -> ReviewRegion:
    region = region_by_id(state, region_id)
    if region is None:
        raise AnnotationError("there must be a region to edit, and none is chosen; choose one")
    return region


def _put(state: ReviewState, gone: Sequence[ReviewRegion], new: Sequence[ReviewRegion]) -> Fields:
    """Put new regions where the first of the old ones was."""
    ids = {one.id for one in gone}
    at = next(i for i, one in enumerate(state.regions) if one.id in ids)
    rest = [one for one in state.regions if one.id not in ids]
    return {"regions": (*rest[:at], *new, *rest[at:])}


def _mean_score(parts: Sequence[ReviewRegion]) -> float | None:
    """Mean by area, as a region's score is the mean of its nodes."""
    scored = [(one.score, area_of((one.polygon, one.holes))) for one in parts]
    known = [(score, area) for score, area in scored if score is not None]
    total = sum(area for _, area in known)
    return sum(score * area for score, area in known) / total if total else None


def _name_of(polygon: Outline) -> str:
    """The same outline has the same id, run after run."""
    return hashlib.sha256(np.asarray(polygon).tobytes()).hexdigest()[:12]
