"""Lines of a journal: JSON, each with its number and checksum, so that a torn one is known."""

from __future__ import annotations

import json
import zlib

from napari_hagmil.review.record import Record

#: ``{"crc":"01234567",``
_PREFIX = 18


def encode_line(number: int, record: Record) -> bytes:
    """One line with its newline; the checksum covers all that follows it."""
    rest = json.dumps({"n": number, **record}, separators=(",", ":"))[1:].encode()
    return b'{"crc":"%08x",%s\n' % (zlib.crc32(rest), rest)


def decode_lines(data: bytes) -> tuple[list[Record], bytes]:
    """The records up to the first line that is torn, damaged or out of turn, and the rest.

    Returns
    -------
    records : list of dict
        In order.
    rest : bytes
        What was not understood; a torn last line, as a rule nothing.
    """
    records: list[Record] = []
    at = 0
    while (end := data.find(b"\n", at)) >= 0:
        record = _decode(data[at:end])
        if record is None or record["n"] != len(records):
            break
        records.append(record)
        at = end + 1
    return records, data[at:]


def _decode(line: bytes) -> Record | None:
    rest = line[_PREFIX:]
    if line[:_PREFIX] != b'{"crc":"%08x",' % zlib.crc32(rest):
        return None
    record: Record = json.loads(b"{" + rest)
    return record
