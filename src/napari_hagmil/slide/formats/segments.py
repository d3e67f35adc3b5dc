"""Inspect an encoded tile before it is decoded: its size, and whether it is complete.

Decoders allocate what the tile's own header declares, and fill a truncated JPEG with grey
without an error. Both are caught here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from napari_hagmil.slide.interface import Pixels

#: Bytes at the end among which the end marker must stand: some writers pad after it.
_TAIL = 64

#: Scans of a JPEG. Progressive ones have about ten.
MAX_SCANS = 64

#: What decoders put where a scan stops short, and bytes that are no end of a scan.
_GREY, _JUNK = 128, b"\x5a\xa5\x3c" * 64


def check_segment(data: bytes, kind: str, limit: tuple[int, int], *, header: bool = True) -> None:
    """Raise ValueError with the reason when a tile must not be decoded.

    Parameters
    ----------
    data : bytes
        The encoded tile.
    kind : str
        "JPEG", "JPEG 2000", "WebP"; others are not looked into.
    limit : tuple of int
        Rows and columns that the tile may have.
    header : bool
        False for a JPEG whose header stands elsewhere (Hamamatsu).
    """
    if kind == "JPEG":
        _check_end(data, restart=not header)
        check_scan_count(data)
        size = jpeg_size(data) if header else None
    elif kind == "JPEG 2000":
        _check_end(data)
        size = jpeg2000_size(data)
    elif kind == "WebP":
        size = webp_size(data)
    else:
        return
    if size is not None and (size[0] > limit[0] or size[1] > limit[1]):
        raise ValueError(f"it holds {size[0]}×{size[1]} pixels where {limit[0]}×{limit[1]} fit")


def _check_end(data: bytes, *, restart: bool = False) -> None:
    # Within the scan every 0xFF is followed by 0 or a restart marker, so that the end
    # marker cannot stand there by chance.
    if data.rfind(b"\xff\xd9", max(0, len(data) - _TAIL)) >= 0:
        return
    if restart and len(data) > 1 and data[-2] == 0xFF and 0xD0 <= data[-1] <= 0xD7:
        return
    raise ValueError("it is cut short")


def check_scan_count(data: bytes) -> None:
    """Raise ValueError for a JPEG of endless scans, each of which goes over all of its pixels."""
    # Within a scan every 0xFF is followed by 0 or a restart marker: what is counted are starts
    # of scans, and at most a few in metadata.
    if (n_scans := data.count(b"\xff\xda")) > MAX_SCANS:
        raise ValueError(f"it has {n_scans} scans where at most {MAX_SCANS} are read")


def check_scan(
    data: bytes, pixels: Pixels, inside: tuple[int, int], decode: Callable[[bytes], Pixels]
) -> None:
    """Raise ValueError when a JPEG has an end but its scan stopped before.

    Decoders fill what is missing with middle grey. Where a picture ends in just that grey,
    it is decoded again with junk before the end marker: a whole scan does not read it.

    Parameters
    ----------
    data : bytes
        The encoded tile.
    pixels : (h, w, c) array
        As decoded.
    inside : tuple of int
        Rows and columns that lie within the level; the rest is padding of any colour.
    decode : callable
        Decodes bytes as `data` was decoded.
    """
    if not ends_in_grey(pixels, inside):
        return
    if not np.array_equal(decode(with_junk(data)), pixels):
        raise ValueError("it is cut short")


def ends_in_grey(pixels: Pixels, inside: tuple[int, int]) -> bool:
    """Whether the last corner of a tile is what decoders put where a scan stopped short."""
    rows, columns = min(inside[0], pixels.shape[0]), min(inside[1], pixels.shape[1])
    corner = pixels[max(rows - 4, 0) : rows, max(columns - 4, 0) : columns]
    return bool((corner == _GREY).all())


def with_junk(data: bytes) -> bytes:
    """The JPEG with bytes that are no end of a scan before its end (or last restart) marker."""
    end = data.rfind(b"\xff\xd9")
    if end < 0:
        end = len(data) - 2
    return data[:end] + _JUNK + data[end:]


@dataclass(frozen=True, slots=True)
class JpegFrame:
    """What a JPEG says before its first scan.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns.
    samples : int
        1 for grey, 3 for colour, 4 for CMYK.
    several_scans : bool
        Progressive, or a scan per colour: decoders hold all coefficients at once.
    """

    shape: tuple[int, int]
    samples: int
    several_scans: bool


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Rows and columns from the start-of-frame marker."""
    frame = jpeg_frame(data)
    return None if frame is None else frame.shape


def jpeg_frame(data: bytes) -> JpegFrame | None:
    """What the start of frame and the first start of scan say; None when there is no frame."""
    at, frame = 2, None
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xDA:
            if frame is not None and at + 5 <= len(data) and data[at + 4] < frame.samples:
                frame = JpegFrame(frame.shape, frame.samples, True)
            return frame
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and at + 10 <= len(data):
            rows, columns, samples = struct.unpack_from(">HHB", data, at + 5)
            frame = JpegFrame((rows, columns), samples, marker not in (0xC0, 0xC1))
        # Fill bytes and markers without a body.
        bare = marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8
        at += 1 if marker == 0xFF else 2
        if not bare:
            at += int(struct.unpack_from(">H", data, at)[0])
    return frame


def jpeg2000_size(data: bytes) -> tuple[int, int] | None:
    """Rows and columns from the SIZ marker of the codestream."""
    at = data.find(b"\xff\x4f\xff\x51", 0, 4096)
    if at < 0 or at + 24 > len(data):
        return None
    columns, rows, left, top = struct.unpack_from(">IIII", data, at + 8)
    return rows - top, columns - left


def jpeg2000_is_plain(data: bytes) -> bool:
    """Whether three components of a codestream come out as they are stored.

    A stream that states a colour transform (COD), or has colours of fewer samples than
    brightness (SIZ), is made RGB by its decoder.
    """
    size = data.find(b"\xff\x4f\xff\x51", 0, 4096)
    coding = data.find(b"\xff\x52", max(size, 0), 8192)
    if size < 0 or coding < 0 or coding + 9 > len(data) or size + 51 > len(data):
        return False
    n_components = struct.unpack_from(">H", data, size + 40)[0]
    steps = [data[size + 43 + 3 * i : size + 45 + 3 * i] for i in range(3)]
    return n_components == 3 and len(set(steps)) == 1 and data[coding + 8] == 0


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Rows and columns from the first chunk of a WebP file."""
    if len(data) < 30 or data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    if data[12:16] == b"VP8 ":
        columns, rows = struct.unpack_from("<HH", data, 26)
        return rows & 0x3FFF, columns & 0x3FFF
    if data[12:16] == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    columns = int.from_bytes(data[24:27], "little") + 1
    return int.from_bytes(data[27:30], "little") + 1, columns


def png_size(data: bytes) -> tuple[int, int] | None:
    """Rows and columns from the IHDR chunk of a PNG file."""
    if data[:8] != b"\x89PNG\r\n\x1a\n" or len(data) < 24:
        return None
    columns, rows = struct.unpack_from(">II", data, 16)
    return rows, columns
