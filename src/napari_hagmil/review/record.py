"""A state, and the step from one state to the next, as JSON: only what changed is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, TypeVar

from napari_hagmil.polygons import Outline
from napari_hagmil.review.classes import PathClass
from napari_hagmil.review.state import Annotation, Conclusion, ReviewRegion, ReviewState

Record = dict[str, Any]

_Item = TypeVar("_Item", ReviewRegion, Annotation)

#: Long lists whose members have ids; of them only the changed members are written.
_LISTS: dict[str, type] = {"regions": ReviewRegion, "annotations": Annotation}


def difference(before: ReviewState, after: ReviewState) -> Record:
    """What has to be written to get from one state to the next."""
    record: Record = {}
    for field in fields(ReviewState):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old is new or old == new:
            continue
        record[field.name] = _items(old, new) if field.name in _LISTS else _plain(new)
    return record


def applied(before: ReviewState, record: Record) -> ReviewState:
    """The state after a recorded step; fields that this version does not know are passed by.

    Raises
    ------
    ValueError, KeyError, TypeError
        When the record is none.
    """
    new: dict[str, Any] = {}
    for name, value in record.items():
        if name in _LISTS:
            new[name] = _merged(getattr(before, name), value, _LISTS[name])
        elif name in _DECODE:
            new[name] = _DECODE[name](value)
    return replace(before, **new)


def annotation_record(annotation: Annotation) -> Record:
    """One annotation as JSON."""
    return _members(annotation)


def annotation_from(record: Record) -> Annotation:
    """One annotation from JSON."""
    return _decoded(Annotation, record)


def _items(old: tuple[_Item, ...], new: tuple[_Item, ...]) -> Record:
    known = {item.id: item for item in old}
    record: Record = {"items": [_members(i) for i in new if known.get(i.id) != i]}
    ids = [item.id for item in new]
    if ids != [item.id for item in old]:
        record["ids"] = ids
    return record


def _merged(old: tuple[_Item, ...], record: Record, kind: type[_Item]) -> tuple[_Item, ...]:
    known = {item.id: item for item in old}
    known.update({one["id"]: _decoded(kind, one) for one in record["items"]})
    ids = record.get("ids", [item.id for item in old])
    return tuple(known[one] for one in ids)


def _members(item: Any) -> Record:
    return {field.name: getattr(item, field.name) for field in fields(item)}


def _decoded(kind: type[_Item], record: Record) -> _Item:
    names = {field.name for field in fields(kind)}
    members = {key: value for key, value in record.items() if key in names}
    for name in ("polygon", "points"):
        if name in members:
            members[name] = _outline(members[name])
    if "holes" in members:
        members["holes"] = tuple(map(_outline, members["holes"]))
    return kind(**members)


def _plain(value: Any) -> Any:
    if isinstance(value, Conclusion):
        return _members(value)
    if isinstance(value, tuple) and value and isinstance(value[0], PathClass):
        return [_members(one) for one in value]
    return value


def _outline(points: Any) -> Outline:
    return tuple((float(y), float(x)) for y, x in points)


def _classes(value: Any) -> tuple[PathClass, ...]:
    return tuple(
        PathClass(str(one["name"]), (int(r), int(g), int(b)))
        for one in value
        for r, g, b in [one["color"]]
    )


_DECODE: dict[str, Callable[[Any], Any]] = {
    "classes": _classes,
    "pins": _outline,
    "vetoes": lambda value: tuple(map(_outline, value)),
    "tissue": lambda value: None if value is None else tuple(map(_outline, value)),
    "mpp_override": lambda value: None if value is None else float(value),
    "conclusion": lambda value: Conclusion(str(value["path_class"]), str(value["text"])),
}
