"""Ways to damage a file: bytes anywhere, and values where its format has them."""

from __future__ import annotations

import io
import json
import random
import re
import struct
import zipfile
from collections.abc import Callable

from napari_hagmil.review.record import encode_line
from odd_json import BROKEN_TEXTS, mutated_text

Mutate = Callable[[bytes, random.Random], bytes]

#: What a number, a word or a quoted text of a table, TOML or XML is replaced with.
ODD_TEXTS = [
    "", "nan", "inf", "-inf", "1e308", "-1e308", "1e999", "9" * 400, "-1", "0", "0.5", "true",
    "[]", "{}", "[[]]", "''", '""', '"x"', "x", "\x00", "\x1b[31m", "=1+1", "a" * 5000, "\ufeff",
    "\u202e", "../..", "/etc/passwd", "sep=;", "\n", "\r", "&#0;", "<x/>", "]]>", "{a=1}", "1,2",
    "1979-05-27", "0x7fffffffffffffff",
]  # fmt: skip


def damaged_bytes(data: bytes, rng: random.Random) -> bytes:
    """Bits flipped, numbers replaced, parts cut out, doubled or zeroed."""
    if not data:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(64)))
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        at, what = rng.randrange(len(changed)), rng.randrange(6)
        n = min(rng.choice([1, 2, 4, 8, 64, 1000]), len(changed) - at)
        if what == 0:
            changed[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            changed[at : at + n] = bytes(rng.randrange(256) for _ in range(n))
        elif what == 2 and n < len(changed):
            del changed[at : at + n]
        elif what == 3:
            changed[at:at] = changed[at : at + n]
        elif what == 4:
            value = rng.choice([0, 1, -1, 2**31 - 1, -(2**31), 2**16])
            changed[at : at + 4] = struct.pack("<i", value)
        elif rng.random() < 0.2 and at:
            del changed[at:]
    return bytes(changed)


def damaged_json(data: bytes, rng: random.Random) -> bytes:
    """One to three values replaced, or no such document at all."""
    if rng.random() < 0.02:
        return rng.choice(BROKEN_TEXTS).encode()
    return mutated_text(json.loads(data), rng).encode("utf-8", "surrogatepass")


def damaged_text(data: bytes, rng: random.Random) -> bytes:
    """Words, numbers and quoted texts replaced, lines doubled or dropped."""
    text = data.decode()
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        tokens = list(re.finditer(r'"[^"\n]*"|[\w.+-]+|[^\w\s]', text))
        lines = text.splitlines(keepends=True)
        if rng.random() < 0.1 and len(lines) > 1:
            at = rng.randrange(len(lines))
            lines[at : at + 1] = rng.choice([[], [lines[at]] * 2, [rng.choice(lines)]])
            text = "".join(lines)
        elif tokens:
            token = rng.choice(tokens)
            odd = rng.choice([*ODD_TEXTS, rng.choice(tokens)[0], token[0] * 2])
            if token[0].startswith('"') and rng.random() < 0.7:
                odd = f'"{odd}"'
            text = text[: token.start()] + odd + text[token.end() :]
    return text.encode("utf-8", "surrogatepass")


def damaged_journal(data: bytes, rng: random.Random) -> bytes:
    """Values of lines replaced, each line with the checksum and the number that it should have."""
    records = [json.loads(b"{" + line[18:]) for line in data.splitlines()]
    for record in records:
        del record["n"], record["chain"]
    for _ in range(rng.choice([1, 1, 2])):
        at = rng.randrange(len(records))
        text = mutated_text(records[at], rng)
        try:
            changed = json.loads(text)
        except ValueError:
            continue
        records[at] = changed if isinstance(changed, dict) else {"kind": changed}
    lines: list[bytes] = []
    for record in records:
        lines.append(encode_line(len(lines), record, lines[-1] if lines else b""))
    return b"".join(lines)


def damaged_zip(data: bytes, rng: random.Random) -> bytes:
    """One member damaged or renamed, all checksums of the archive right."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        infos = old.infolist()
        chosen = rng.choice([one for one in infos if one.file_size < 10**6])
        for info in infos:
            content, name = old.read(info), info.filename
            if info is chosen:
                if rng.random() < 0.1:
                    name = rng.choice(["../x", "/x", "a/b/c", name + "\x00", "x" * 300, ""])
                elif name.endswith(".json") and rng.random() < 0.7:
                    content = damaged_json(content, rng)
                else:
                    content = damaged_bytes(content, rng)
            new.writestr(zipfile.ZipInfo(name or "x"), content)
    return out.getvalue()


def damaged_safetensors(data: bytes, rng: random.Random) -> bytes:
    """The header's values replaced, its length kept right."""
    n = struct.unpack("<Q", data[:8])[0]
    header = damaged_json(data[8 : 8 + n], rng)
    return struct.pack("<Q", len(header)) + header + data[8 + n :]


BY_ENDING: dict[str, Mutate] = {
    ".json": damaged_json,
    ".geojson": damaged_json,
    ".lock": damaged_json,
    ".jsonl": damaged_journal,
    ".csv": damaged_text,
    ".txt": damaged_text,
    ".tsv": damaged_text,
    ".toml": damaged_text,
    ".xml": damaged_text,
    ".zip": damaged_zip,
    ".pt": damaged_zip,
    ".ckpt": damaged_zip,
    ".safetensors": damaged_safetensors,
}


def damaged(data: bytes, ending: str, rng: random.Random) -> bytes:
    """Damage a file: four times of five as its format allows, else anywhere."""
    by_format = BY_ENDING.get(ending)
    if by_format is None or rng.random() < 0.2:
        return damaged_bytes(data, rng)
    return by_format(data, rng)
