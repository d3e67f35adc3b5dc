"""States and steps as JSON, one line of the journal each.

A step holds only what changed. A line carries its number and a checksum, so that a torn one is
recognized, and a link to the line before, so that a changed, removed or moved one is, too. The
codec is written by hand: cattrs or pydantic would cover the members of the dataclasses, but not
the differences of lists by id or the tolerance for fields of later versions, which are most of it.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any, TypeVar

from napari_hagmil.review.classes import PathClass
from napari_hagmil.review.members import (
    classes_from,
    conclusion_from,
    drawn_from,
    mpp_from,
    outline_from,
    region_from,
    rings_from,
    sign_off_from,
)
from napari_hagmil.review.state import Annotation, Conclusion, ReviewRegion, ReviewState, SignOff
from napari_hagmil.untrusted import parse_json

Record = dict[str, Any]

_Item = TypeVar("_Item", ReviewRegion, Annotation)

#: Long lists of members with ids: only the changed members are written.
_LISTS: dict[str, Callable[[Record], Any]] = {"regions": region_from, "annotations": drawn_from}

#: Bytes of ``{"crc":"01234567",``.
_PREFIX = 18


def difference(before: ReviewState, after: ReviewState) -> Record:
    """The record of the step from one state to the next."""
    record: Record = {}
    for field in fields(ReviewState):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old is new or old == new:
            continue
        record[field.name] = _items(old, new) if field.name in _LISTS else _plain(new)
    return record


def applied(before: ReviewState, record: Record) -> ReviewState:
    """The state after a recorded step; fields that this version does not know are ignored.

    Raises
    ------
    ValueError, KeyError, TypeError
        When the record does not have the form that `difference` gives.
    """
    if not isinstance(record, dict):
        raise TypeError("a step that is no object")
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


def _items(old: tuple[_Item, ...], new: tuple[_Item, ...]) -> Record:
    known = {item.id: item for item in old}
    # One that is the very same need not be compared: there may be tens of thousands.
    changed = [i for i in new if (one := known.get(i.id)) is not i and one != i]
    record: Record = {"items": [_members(one) for one in changed]}
    ids = [item.id for item in new]
    if ids != [item.id for item in old]:
        record["ids"] = ids
    return record


def _merged(
    old: tuple[_Item, ...], record: Record, decode: Callable[[Record], _Item]
) -> tuple[_Item, ...]:
    known = {item.id: item for item in old}
    made = map(decode, record["items"])
    known.update({one.id: one for one in made})
    ids = record.get("ids", [item.id for item in old])
    if len(set(ids)) < len(ids):
        raise ValueError("an id that stands there twice")
    return tuple(known[one] for one in ids)


def _members(item: Any) -> Record:
    return {name: getattr(item, name) for name in _NAMES[type(item)]}


#: Asked for each of ten thousand annotations, `fields` would take most of the time.
_NAMES: dict[type, tuple[str, ...]] = {
    kind: tuple(field.name for field in fields(kind))
    for kind in (ReviewRegion, Annotation, PathClass, Conclusion, SignOff)
}


def _plain(value: Any) -> Any:
    if isinstance(value, Conclusion | SignOff):
        return _members(value)
    if isinstance(value, tuple) and value and isinstance(value[0], PathClass):
        return [_members(one) for one in value]
    return value


_DECODE: dict[str, Callable[[Any], Any]] = {
    "classes": classes_from,
    "pins": outline_from,
    "vetoes": rings_from,
    "tissue": lambda value: None if value is None else rings_from(value),
    "mpp_override": mpp_from,
    "conclusion": conclusion_from,
    "signed": sign_off_from,
}


def encode_line(number: int, record: Record, before: bytes = b"") -> bytes:
    """One line with its newline.

    Its checksum covers everything after it; its link in the chain, everything after that and the
    link of the line `before`: h_n = SHA-256(h_{n-1} + rest_n), in hexadecimal.
    """
    rest = "".join(_pieces({"n": number, **record}, _LEVELS))[1:].encode()
    rest = _CHAIN % (_link(_link_of(before), rest), rest)
    return b'{"crc":"%08x",%s\n' % (zlib.crc32(rest), rest)


#: Of JSON, from a record to the members of its lists: each of these is encoded by itself.
_LEVELS = 4

_encode = json.JSONEncoder(separators=(",", ":")).encode


def _pieces(value: Any, levels: int) -> Iterator[str]:
    """JSON in pieces: the encoder lets no other thread run before it has ended."""
    if not levels or not isinstance(value, dict | list):
        yield _encode(value)
        return
    named = isinstance(value, dict)
    before = "{" if named else "["
    for one in value:
        yield f"{before}{_encode(one)}:" if named else before
        yield from _pieces(value[one] if named else one, levels - 1)
        before = ","
    ends = "{}" if named else "[]"
    yield ends[1] if value else ends


def decode_lines(data: bytes) -> tuple[list[Record], bytes]:
    """The records before the first line that is torn, damaged or out of sequence, and the rest.

    Lines of earlier versions have no links; after the first that has one, all must.

    Returns
    -------
    records : list of dict
        In order.
    rest : bytes
        Everything from that line on: usually nothing, or a torn last line.
    """
    records: list[Record] = []
    at, before = 0, b""
    while (end := data.find(b"\n", at)) >= 0:
        line = data[at:end]
        record = _decode(line)
        if record is None or record["n"] != len(records) or not _follows(line, before):
            break
        record.pop("chain", None)
        records.append(record)
        at, before = end + 1, line
    return records, data[at:]


def is_chained(data: bytes) -> bool:
    """Whether the lines of a journal are linked; those of earlier versions are not."""
    return bool(_link_of(data.partition(b"\n")[0]))


def last_link(data: bytes) -> str:
    """The link of the last whole line, which stands for all before it; "" without a chain."""
    return _link_of(data[: data.rfind(b"\n") + 1].rstrip(b"\n").rpartition(b"\n")[2]).decode()


#: Comes between the checksum of a line and the rest.
_CHAIN = b'"chain":"%s",%s'

#: Where a link and the rest begin.
_LINK, _REST = slice(_PREFIX + 9, _PREFIX + 73), _PREFIX + 75


def _link_of(line: bytes) -> bytes:
    """The link of a line, 64 hexadecimal digits; empty where it has none."""
    has_one = line[_PREFIX : _PREFIX + 9] == b'"chain":"' and line[_REST - 2 : _REST] == b'",'
    return line[_LINK] if has_one else b""


def _link(before: bytes, rest: bytes) -> bytes:
    return hashlib.sha256(before + rest).hexdigest().encode()


def _follows(line: bytes, before: bytes) -> bool:
    """Whether a line is the next after `before`, which is empty for the first."""
    known, link = _link_of(before), _link_of(line)
    if not link:
        return not known
    return link == _link(known, line[_REST:])


def _decode(line: bytes) -> Record | None:
    rest = line[_PREFIX:]
    if line[:_PREFIX] != b'{"crc":"%08x",' % zlib.crc32(rest):
        return None
    try:
        record = parse_json(b"{" + rest)
    except ValueError:
        return None
    return record if isinstance(record.get("n"), int) else None
