"""ICC profiles of RGB, made here: matrix and gamma, version 2."""

from __future__ import annotations

import struct

import numpy as np

#: Primaries of a wide gamut (those of Adobe RGB), adapted to D50: columns are red, green, blue.
WIDE = np.array(
    [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
)
GAMMA = 563 / 256

#: XYZ of D50 → linear sRGB.
_TO_SRGB = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
)
_COLUMNS = (b"rXYZ", b"gXYZ", b"bXYZ")
_D50 = (0.9642, 1.0, 0.8249)


def wide_profile(name: str = "Wide gamut", space: bytes = b"RGB ") -> bytes:
    """A profile of a wide gamut."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(GAMMA * 256)) + b"\0\0"
    ascii_name = name.encode("ascii") + b"\0"
    described = b"desc\0\0\0\0" + struct.pack(">I", len(ascii_name)) + ascii_name + bytes(78)
    tags = {
        b"desc": described,
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": _xyz(_D50),
        **{tag: _xyz(column) for tag, column in zip(_COLUMNS, WIDE.T, strict=True)},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    at, index, body = 128 + 4 + 12 * len(tags), b"", b""
    for tag, data in tags.items():
        index += tag + struct.pack(">II", at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = bytearray(128)
    head[0:4] = struct.pack(">I", at + len(body))
    head[8:12] = struct.pack(">I", 0x02400000)
    head[12:24] = b"mntr" + space + b"XYZ "
    head[24:36] = struct.pack(">6H", 2020, 1, 1, 0, 0, 0)
    head[36:40] = b"acsp"
    head[68:80] = b"".join(_fixed(value) for value in _D50)
    return bytes(head) + struct.pack(">I", len(tags)) + index + body


def wide_in_srgb(pixels: np.ndarray) -> np.ndarray:
    """What the numbers of that gamut are in sRGB, by its own arithmetic."""
    xyz = (pixels / 255.0) ** GAMMA @ WIDE.T
    linear = np.clip(xyz @ _TO_SRGB.T, 0, 1)
    curved = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * np.power(linear, 1 / 2.4) - 0.055
    )
    return np.asarray(np.rint(255 * curved), np.uint8)


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(values) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(_fixed(float(value)) for value in values)
