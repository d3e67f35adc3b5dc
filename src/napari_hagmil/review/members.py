"""Read the members of a review's state from JSON, each checked: a journal may come from anybody.

Every function raises a ValueError, KeyError or TypeError for what `ReviewState` cannot hold, so
that neither the window nor an export meets it later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any, get_args

from napari_hagmil.geometry import is_plausible_mpp
from napari_hagmil.polygons import Outline, are_on_a_slide
from napari_hagmil.review.classes import PathClass, with_class
from napari_hagmil.review.state import (
    Annotation,
    AnnotationKind,
    Conclusion,
    Decision,
    ReviewPatch,
    ReviewRegion,
    SignOff,
)

Decode = Callable[[Any], Any]

#: Depths that no cascade has.
_MAX_DEPTH = 64


def region_from(record: Mapping[str, Any]) -> ReviewRegion:
    """A region; fields that this version does not know are ignored."""
    return ReviewRegion(**_members(record, ReviewRegion, _OF_REGION))


def annotation_from(record: Mapping[str, Any]) -> Annotation:
    """An annotation, finished or not."""
    return Annotation(**_members(record, Annotation, _OF_ANNOTATION))


def drawn_from(record: Mapping[str, Any]) -> Annotation:
    """An annotation of a state: it has a place."""
    made = annotation_from(record)
    if not made.points:
        raise ValueError("an annotation without a place")
    return made


def outline_from(points: Any) -> Outline:
    """Places of a slide."""
    made = tuple((float(y), float(x)) for y, x in points)
    if not are_on_a_slide(made):
        raise ValueError("a place that is on no slide")
    return made


def rings_from(value: Any) -> tuple[Outline, ...]:
    """Outlines that may enclose something."""
    return tuple(map(_ring, value))


def patches_from(value: Any) -> tuple[ReviewPatch, ...]:
    """Patches of a region."""
    return tuple(map(_patch, value))


def classes_from(value: Any) -> tuple[PathClass, ...]:
    """Classes with names and colours that QuPath takes."""
    made: tuple[PathClass, ...] = ()
    for one in value:
        red, green, blue = one["color"]
        made = with_class(made, PathClass(_text(one["name"]), (int(red), int(green), int(blue))))
    return made


def mpp_from(value: Any) -> float | None:
    """µm per level-0 px that a slide can have, or None."""
    mpp = None if value is None else float(value)
    if mpp is not None and not is_plausible_mpp(mpp):
        raise ValueError(f"{mpp} µm per pixel")
    return mpp


def conclusion_from(value: Mapping[str, Any]) -> Conclusion:
    """A conclusion."""
    return Conclusion(_text(value["path_class"]), _text(value["text"]))


def sign_off_from(value: Mapping[str, Any] | None) -> SignOff | None:
    """Who finished the review, or None."""
    return None if value is None else SignOff(_text(value["reviewer"]), _text(value["date"]))


def _members(record: Mapping[str, Any], kind: type, decode: Mapping[str, Decode]) -> dict[str, Any]:
    required = {f.name for f in fields(kind) if f.default is MISSING}
    lost = required - record.keys()
    if lost:
        raise KeyError(min(lost))
    return {name: read(record[name]) for name, read in decode.items() if name in record}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where a text is needed")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} where true or false is needed")
    return value


def _id(value: Any) -> str:
    if not _text(value):
        raise ValueError("an empty id")
    return str(value)


def _one_of(choices: tuple[str, ...]) -> Decode:
    def decode(value: Any) -> str:
        if _text(value) not in choices:
            raise ValueError(f"{value[:40]!r} is none of {', '.join(choices)}")
        return str(value)

    return decode


def _ring(points: Any) -> Outline:
    made = outline_from(points)
    if len(made) < 3:
        raise ValueError("an outline of fewer than three corners")
    return made


def _patch(value: Any) -> ReviewPatch:
    (y0, x0, y1, x1), score, decision = value
    (y0, x0), (y1, x1) = outline_from([(y0, x0), (y1, x1)])
    known = _score(score)
    if known is None or not (y0 < y1 and x0 < x1):
        raise ValueError("a patch without a score or an area")
    return ReviewPatch((y0, x0, y1, x1), known, _DECISION(decision))


def _score(value: Any) -> float | None:
    if value is None:
        return None
    if not 0 <= float(value) <= 100:  # NaN is neither
        raise ValueError("a score that is no percentile")
    return float(value)


def _depth(value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or not 0 <= value < _MAX_DEPTH:
        raise ValueError("a depth that no cascade has")
    return int(value)


_DECISION = _one_of(get_args(Decision))

_OF_REGION: dict[str, Decode] = {
    "id": _id,
    "polygon": _ring,
    "holes": rings_from,
    "score": _score,
    "depth": _depth,
    "provenance": _text,
    "decision": _DECISION,
    "path_class": _text,
    "comment": _text,
    "patches": patches_from,
}

_OF_ANNOTATION: dict[str, Decode] = {
    "id": _id,
    "kind": _one_of(get_args(AnnotationKind)),
    "points": outline_from,
    "path_class": _text,
    "comment": _text,
    "holes": rings_from,
    "parent": _text,
    "locked": _flag,
}
