"""What is planted where patients' data may lie, and a search for it in what is written."""

from __future__ import annotations

import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
from PIL import Image

#: Names, a barcode, a date and folders, none of which any program writes by itself.
PLANTED = ("Doe^Jane", "Jane Doe", "BC-4711-XY", "19501224", "St-Elsewhere", "H2026-0815")


def found_in(folder: Path) -> dict[str, list[str]]:
    """What is planted in the files below a folder, by file; names and packed bytes included."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        name = str(path.relative_to(folder.parent))
        words = set(planted_in(path.name.encode()))
        if path.is_file():
            words |= {word for part in _parts(path) for word in planted_in(part)}
        if words:
            found[name] = sorted(words)
    return found


def planted_in(content: bytes) -> list[str]:
    """The planted words in bytes, in any case and usual encoding."""
    low = content.lower()
    return [
        word
        for word in PLANTED
        for code in ("utf-8", "utf-16-le", "utf-16-be")
        if word.lower().encode(code) in low
    ]


def _parts(path: Path) -> Iterator[bytes]:
    """A file's bytes, and those that are packed in it."""
    content = path.read_bytes()
    yield content
    yield from _unpacked(content)
    if path.suffix == ".png":
        with Image.open(path) as picture:
            yield repr((picture.info, getattr(picture, "text", ""))).encode()
    elif path.suffix == ".parquet":
        table = pq.read_table(path)
        yield repr((table.schema.metadata, table.to_pydict())).encode()
    elif path.suffix in (".h5", ".hdf5"):
        yield from _of_h5(path)


def _unpacked(content: bytes) -> Iterator[bytes]:
    if content.startswith(b"PK") and zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            for name in packed.namelist():
                yield name.encode()
                yield packed.read(name)
    elif content.startswith(b"\x1f\x8b"):
        yield gzip.decompress(content)
    elif content.startswith(b"\x28\xb5\x2f\xfd"):
        import numcodecs

        yield bytes(numcodecs.Zstd().decode(content))
    # Streams of deflate, as PDF and PNG hold them.
    for at in (found.start() for found in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", content)):
        try:
            yield zlib.decompressobj().decompress(content[at:], 2**20)
        except zlib.error:
            continue


def _of_h5(path: Path) -> Iterator[bytes]:
    import h5py

    with h5py.File(path) as file:
        yield repr(dict(file.attrs)).encode()
        for name, one in file.items():
            yield repr((name, dict(one.attrs))).encode()
            if isinstance(one, h5py.Dataset):
                yield one[()].tobytes()
