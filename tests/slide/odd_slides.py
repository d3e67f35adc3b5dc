"""Slides as odd as labs have them, and what their pixels are.

Each writer returns the levels that a reader must find, (h, w, c), decoded by another way than the
one that is tested: what was written, or libjpeg's, Pillow's or OpenJPEG's decode of it.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import made_slides as made
import numpy as np
import tifffile
from PIL import Image

Picture = np.ndarray
Write = Callable[[Path, Picture], list[Picture]]

APERIO = "Aperio Image Library v12.0.5\r\n|AppMag = 20|MPP = 0.5"


def write_pages(path: Path, pages: Sequence[dict[str, Any]], **options: Any) -> None:
    """TIFF pages, each with options of its own; `data` is the picture or its encoded tiles."""
    with tifffile.TiffWriter(path, **options) as tiff:
        for page in pages:
            tiff.write(**({"photometric": "rgb", "metadata": None} | page))


# -- Aperio -------------------------------------------------------------------------------


def abbreviated(jpeg: bytes) -> tuple[bytes, bytes]:
    """A JPEG's tables (quantisation, Huffman), and the JPEG without them."""
    at, tables, rest = 2, b"", b""
    while jpeg[at + 1] != 0xDA:
        size = 2 + struct.unpack_from(">H", jpeg, at + 2)[0]
        if jpeg[at + 1] in (0xDB, 0xC4):
            tables += jpeg[at : at + size]
        elif jpeg[at + 1] != 0xE0:  # JFIF says YCbCr, which Aperio's do not
            rest += jpeg[at : at + size]
        at += size
    return b"\xff\xd8" + tables + b"\xff\xd9", b"\xff\xd8" + rest + jpeg[at:]


def tiles_of(pixels: Picture, side: int, **jpeg: Any) -> tuple[list[bytes], Picture]:
    """JPEG tiles of a picture, and the picture that libjpeg makes of them."""
    rows, columns = (-(-s // side) for s in pixels.shape[:2])
    encoded = [imagecodecs.jpeg8_encode(t, **jpeg) for t in made._tiles(pixels, side)]
    space = "RGB" if pixels.shape[2] == 3 else None
    decoded = [
        np.atleast_3d(
            imagecodecs.jpeg8_decode(e, colorspace=jpeg.get("outcolorspace"), outcolorspace=space)
        )
        for e in encoded
    ]
    lines = [np.concatenate(decoded[r * columns : (r + 1) * columns], axis=1) for r in range(rows)]
    return encoded, np.concatenate(lines)[: pixels.shape[0], : pixels.shape[1]]


def svs(path: Path, pixels: Picture) -> list[Picture]:
    """Aperio's JPEG: 240-px tiles that hold RGB and share JPEGTables, levels by 1, 4, label."""
    pages, levels = [], []
    for i, level in enumerate(made.halved(pixels, (1, 4))):
        encoded, decoded = tiles_of(
            level, 240, level=85, colorspace="RGB", outcolorspace="RGB", subsampling="444"
        )
        split = [abbreviated(tile) for tile in encoded]
        pages.append(
            {
                "data": iter([rest for _, rest in split]),
                "shape": level.shape,
                "dtype": np.uint8,
                "tile": (240, 240),
                "compression": "jpeg",
                "description": APERIO,
                "extratags": [(347, 7, len(split[0][0]), split[0][0], True)],
            }
        )
        levels.append(decoded)
        if i == 0:
            pages.append({"data": pixels[::8, ::8].copy(), "rowsperstrip": 16})
    pages.append({"data": pixels[:90, :80].copy(), "subfiletype": 1, "description": "label"})
    pages.append({"data": pixels[:50, :120].copy(), "subfiletype": 9, "description": "macro"})
    write_pages(path, pages)
    return levels


def svs_2000(path: Path, pixels: Picture, kind: int = 33003) -> list[Picture]:
    """Aperio's lossy JPEG 2000 in 240-px tiles: YCbCr as it is stored, unless told otherwise."""
    pages, levels = [], []
    for level in made.halved(pixels, (1, 2)):
        columns = -(-level.shape[1] // 240)
        stored = level if kind == 33005 else np.asarray(Image.fromarray(level).convert("YCbCr"))
        encoded = [
            imagecodecs.jpeg2k_encode(t, level=40, codecformat="j2k", mct=kind == 33005)
            for t in made._tiles(stored, 240)
        ]
        decoded = [imagecodecs.jpeg2k_decode(e) for e in encoded]
        lines = [np.hstack(decoded[r : r + columns]) for r in range(0, len(decoded), columns)]
        whole = np.concatenate(lines)[: level.shape[0], : level.shape[1]]
        if kind != 33005:
            whole = np.asarray(Image.fromarray(whole, "YCbCr").convert("RGB"))
        levels.append(whole)
        page = {"shape": level.shape, "dtype": np.uint8, "tile": (240, 240), "compression": kind}
        pages.append(page | {"data": iter(encoded), "description": APERIO})
    pages.insert(1, {"data": pixels[::8, ::8].copy(), "rowsperstrip": 16})
    write_pages(path, pages)
    return levels


def svs_2000_rgb(path: Path, pixels: Picture) -> list[Picture]:
    """The other kind."""
    return svs_2000(path, pixels, 33005)


# -- Hamamatsu ----------------------------------------------------------------------------


def ndpi(path: Path, pixels: Picture, base: int = 0) -> list[Picture]:
    """One JPEG per level with restart markers, and where each interval starts; macro and map.

    `base` moves the pictures behind that byte: beyond 4 GB, offsets need Hamamatsu's high bits.
    """
    levels, pages = [], []
    pixels = pixels[: pixels.shape[0] // 16 * 16, : pixels.shape[1] // 128 * 128]
    for step, level in zip((1, 2), made.halved(pixels, (1, 2)), strict=True):
        jpeg = restarted(level, 8)
        levels.append(np.asarray(Image.open(io.BytesIO(jpeg))))
        pages.append((level.shape, jpeg, 20.0 / step, interval_starts(jpeg)))
    for lens, side in ((-1.0, 96), (-2.0, 64)):
        small = np.ascontiguousarray(pixels[:side, : 2 * side])
        pages.append((small.shape, restarted(small, 0), lens, []))
    _write_ndpi(path, pages, base)
    return levels


def restarted(pixels: Picture, interval: int) -> bytes:
    """A JPEG with a restart marker after every `interval` blocks of 8×8."""
    buffer = io.BytesIO()
    picture = Image.fromarray(pixels)
    options = {"restart_marker_blocks": interval} if interval else {}
    picture.save(buffer, "JPEG", quality=90, subsampling=0, **options)
    return buffer.getvalue()


def interval_starts(jpeg: bytes) -> list[int]:
    """First byte of every restart interval of the scan."""
    at = 2
    while jpeg[at + 1] != 0xDA:
        at += 2 + struct.unpack_from(">H", jpeg, at + 2)[0]
    at += 2 + struct.unpack_from(">H", jpeg, at + 2)[0]
    found = [at]
    data = np.frombuffer(jpeg, np.uint8)
    marks = np.flatnonzero((data[:-1] == 0xFF) & (data[1:] >= 0xD0) & (data[1:] <= 0xD7))
    return found + [int(m) + 2 for m in marks if m >= at]


def _write_ndpi(
    path: Path, pages: Sequence[tuple[tuple[int, ...], bytes, float, list[int]]], base: int
) -> None:
    """Hamamatsu's TIFF: offsets of 8 bytes to pages, and the high bits of every tag behind them."""
    with path.open("wb") as file:
        file.write(struct.pack("<2sHQ", b"II", 42, 0))
        link = 4
        for shape, jpeg, lens, starts in pages:
            file.seek(max(file.tell(), base))
            strip = file.tell()
            file.write(jpeg)
            extra = {}
            for code, data in ((271, b"Hamamatsu\0"), (305, b"made by a test\0")):
                extra[code] = 2, len(data), file.tell()
                file.write(data)
            for code in (282, 283):
                extra[code] = 5, 1, file.tell()
                file.write(struct.pack("<II", 20000, 1))
            extra[258] = 3, 3, file.tell()
            file.write(struct.pack("<3H", 8, 8, 8))
            if starts:
                extra[65426] = 4, len(starts), file.tell()
                file.write(struct.pack(f"<{len(starts)}I", *starts))
            tags = extra | {
                256: (4, 1, shape[1]),
                257: (4, 1, shape[0]),
                259: (3, 1, 7),
                262: (3, 1, 6),
                273: (4, 1, strip),
                277: (3, 1, 3),
                278: (4, 1, shape[0]),
                279: (4, 1, len(jpeg)),
                296: (3, 1, 3),
                530: (3, 2, 1 | 1 << 16),
                65420: (4, 1, 1),
                **dict.fromkeys((65422, 65423, 65424), (4, 1, 0)),
                65421: (11, 1, struct.unpack("<I", struct.pack("<f", lens))[0]),
            }
            file.seek(file.tell() + file.tell() % 2)
            here = file.tell()
            file.write(struct.pack("<H", len(tags)))
            ordered = [(code, *tags[code]) for code in sorted(tags)]
            for code, kind, count, value in ordered:
                file.write(struct.pack("<HHII", code, kind, count, value & 0xFFFFFFFF))
            after = file.tell()
            file.write(struct.pack("<Q", 0))
            file.writelines(struct.pack("<I", value >> 32) for *_, value in ordered)
            end = file.tell()
            file.seek(link)
            file.write(struct.pack("<Q", here))
            link = after
            file.seek(end)


def ndpi_above_4_gb(path: Path, pixels: Picture) -> list[Picture]:
    """A sparse file whose pages and strips lie beyond 4 GB."""
    return ndpi(path, pixels, 2**32 + 4096)


# -- Leica, Akoya, OME --------------------------------------------------------------------


def scn_collection(path: Path, pixels: Picture) -> list[Picture]:
    """Two pieces of tissue scanned apart, and a macro of the whole glass; the larger is the slide."""
    large, small = made.halved(pixels, (1, 2, 4)), made.halved(pixels[:600, :500], (1, 2))
    made.write_scn(path, large, more=small)
    return large


def qptiff(path: Path, pixels: Picture) -> list[Picture]:
    """Five 16-bit channels at three resolutions, an RGB thumbnail between, macro and label."""
    channels = [pixels[..., i % 3].astype(np.uint16) * (i + 1) for i in range(5)]
    levels = [np.stack([c[::s, ::s] for c in channels], axis=2) for s in (1, 2, 4)]
    grey = {"photometric": "minisblack", "tile": (512, 512), "compression": "lzw"}
    pages: list[dict[str, Any]] = []
    for i, level in enumerate(levels):
        kind = "ReducedResolution" if i else "FullResolution"
        for c in range(5):
            pages.append(grey | _qpi(f"Opal {480 + 40 * c}", kind) | {"data": level[..., c].copy()})
        if i == 0:
            pages.append({"data": pixels[::8, ::8].copy()} | _qpi("", "Thumbnail"))
    pages.append({"data": pixels[:100, :230].copy()} | _qpi("", "Overview"))
    pages.append({"data": pixels[:90, :80].copy()} | _qpi("", "Label"))
    write_pages(path, pages)
    return levels


def _qpi(name: str, kind: str) -> dict[str, Any]:
    """Akoya's description of a page."""
    named = f"<Name>{name}</Name><Color>255,0,0</Color>" if name else ""
    text = (
        '<?xml version="1.0" encoding="utf-16"?><PerkinElmer-QPI-ImageDescription>'
        f"<ImageType>{kind}</ImageType><Objective>20x</Objective>{named}"
        "</PerkinElmer-QPI-ImageDescription>"
    )
    size = {"resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}
    return {"description": text, "software": "PerkinElmer-QPI"} | size


def ome_channels(path: Path, pixels: Picture) -> list[Picture]:
    """Four 16-bit channels of OME-TIFF, its levels in sub-IFDs, channel by channel."""
    stack = np.stack([pixels[..., i % 3].astype(np.uint16) * (9 * i + 1) for i in range(4)])
    levels = [np.ascontiguousarray(stack[:, ::s, ::s]) for s in (1, 2, 4)]
    options = {"photometric": "minisblack", "tile": (256, 256), "compression": "zlib"}
    names = {"Name": ["DAPI", "CD3", "CD8", "PanCK"]}
    sizes = {f"PhysicalSize{a}": 0.5 for a in "XY"} | {f"PhysicalSize{a}Unit": "µm" for a in "XY"}
    with tifffile.TiffWriter(path, ome=True, bigtiff=True) as tiff:
        metadata = {"axes": "CYX", "Channel": names} | sizes
        tiff.write(levels[0], subifds=2, metadata=metadata, predictor=True, **options)
        for level in levels[1:]:
            tiff.write(level, subfiletype=1, predictor=True, **options)
    return [np.moveaxis(level, 0, -1) for level in levels]


# -- generic TIFF, as libraries write it --------------------------------------------------


def generic(steps: Sequence[int] = (1, 2, 4), byteorder: str = "<", big: bool = True, **page: Any):
    """Levels of RGB in lossless tiles."""

    def write(path: Path, pixels: Picture) -> list[Picture]:
        levels = made.halved(pixels, steps)
        settings = {"tile": (256, 256), "compression": "deflate"} | page
        pages = [{"data": level, "subfiletype": int(i > 0)} for i, level in enumerate(levels)]
        write_pages(path, [p | settings for p in pages], bigtiff=big, byteorder=byteorder)
        return levels

    return write


def one_level(change: Callable[[Picture], Picture], **page: Any) -> Write:
    """One page of changed pixels, lossless."""

    def write(path: Path, pixels: Picture) -> list[Picture]:
        data = np.ascontiguousarray(change(pixels))
        write_pages(path, [{"data": data} | page])
        apart = page.get("planarconfig") == "separate"
        return [np.moveaxis(data, 0, -1) if apart else np.atleast_3d(data)]

    return write


# -- plain pictures -----------------------------------------------------------------------


def picture(kind: str) -> Write:
    """A PNG or JPEG, as Pillow writes and reads it."""
    modes = {"grey": "L", "palette": "P", "bit": "1", "grey-alpha": "LA"}

    def write(path: Path, pixels: Picture) -> list[Picture]:
        image = Image.fromarray(pixels)
        image = image.convert(modes[kind]) if kind in modes else image
        options = {"quality": 92} if path.suffix in (".jpg", ".jpeg") else {}
        image.save(path, progressive=True, **options) if kind == "progressive" else image.save(
            path, **options
        )
        return [np.asarray(Image.open(path).convert("RGB"))]

    return write
