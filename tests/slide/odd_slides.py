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
    with tifffile.TiffFile(path, mode="r+") as tiff:  # tifffile's writer takes all JPEG for YCbCr
        for page in tiff.pages:
            if int(page.compression) == 7:
                page.tags["PhotometricInterpretation"].overwrite(2)
    return levels


def sparse_svs(path: Path, pixels: Picture) -> list[Picture]:
    """Tiles that the scanner left out, as background does: neither bytes nor a place."""
    levels = [level.copy() for level in svs(path, pixels)]
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tags = tiff.pages[0].tags
        for name in ("TileOffsets", "TileByteCounts"):
            values = list(tags[name].value)
            values[:4], values[6] = [0] * 4, 0
            tags[name].overwrite(tuple(values))
    levels[0][:240] = 255
    levels[0][240:480, 480:720] = 255
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


def ndpi(
    path: Path,
    pixels: Picture,
    base: int = 0,
    *,
    lens: float = 20.0,
    light: str = "",
    per_cm: int = 20000,
) -> list[Picture]:
    """One JPEG per level with restart markers, and where each interval starts; macro and map.

    `base` moves the pictures behind that byte: beyond 4 GB, offsets need Hamamatsu's high bits.
    """
    levels, pages = [], []
    pixels = pixels[: pixels.shape[0] // 16 * 16, : pixels.shape[1] // 128 * 128]
    for step, level in zip((1, 2), made.halved(pixels, (1, 2)), strict=True):
        jpeg = restarted(level, 8)
        levels.append(np.asarray(Image.open(io.BytesIO(jpeg))))
        pages.append((level.shape, jpeg, lens / step, interval_starts(jpeg)))
    for kind, side in ((-1.0, 96), (-2.0, 64)):
        small = np.ascontiguousarray(pixels[:side, : 2 * side])
        pages.append((small.shape, restarted(small, 0), kind, []))
    _write_ndpi(path, pages, base, light, per_cm)
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
    path: Path,
    pages: Sequence[tuple[tuple[int, ...], bytes, float, list[int]]],
    base: int,
    light: str,
    per_cm: int,
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
            texts = {271: b"Hamamatsu\0", 305: b"made by a test\0"}
            if light:
                texts[65434] = light.encode() + b"\0" * (4 - len(light) % 4 + 4)
            for code, data in texts.items():
                extra[code] = 2, len(data), file.tell()
                file.write(data)
            for code in (282, 283):
                extra[code] = 5, 1, file.tell()
                file.write(struct.pack("<II", per_cm, 1))
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
                **dict.fromkeys((65422, 65423, 65424), (9, 1, 0)),
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
    """Two pieces of tissue scanned apart, the larger of them the slide; a macro of the glass."""
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
        pages += [
            grey | _qpi(f"Opal {480 + 40 * c}", kind) | {"data": level[..., c].copy()}
            for c in range(5)
        ]
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
        options = {"quality": 92, "progressive": kind == "progressive"}
        image.save(path, **(options if path.suffix == ".jpeg" else {}))
        return [np.asarray(Image.open(path).convert("RGB"))]

    return write


def transparent_png(path: Path, pixels: Picture) -> list[Picture]:
    """Cut out: black where nothing shows."""
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    alpha[:200], alpha[200:300] = 0, 128
    shown = np.where(alpha[..., None] > 0, pixels, 0).astype(np.uint8)
    path.write_bytes(imagecodecs.png_encode(np.dstack([shown, alpha])))
    on_white = Image.new("RGBA", pixels.shape[1::-1], "white")
    return [np.asarray(Image.alpha_composite(on_white, Image.open(path)).convert("RGB"))]


def png_of_16_bits(path: Path, pixels: Picture) -> list[Picture]:
    """The high bytes are what is shown."""
    path.write_bytes(imagecodecs.png_encode(pixels.astype(np.uint16) * 256 + 77))
    return [pixels]


# -- what must be read, and what is refused -----------------------------------------------


def channel(pixels: Picture) -> Picture:
    """Grey."""
    return pixels[..., 0]


def apart(pixels: Picture) -> Picture:
    """Planes, one after the other."""
    return np.moveaxis(pixels, -1, 0)


def white_is_0(path: Path, pixels: Picture) -> list[Picture]:
    """Grey as fax machines and some microscopes store it."""
    grey = channel(pixels)
    write_pages(path, [{"data": 255 - grey, "photometric": "miniswhite"} | TILED])
    return [grey[..., None]]


def ycbcr(path: Path, pixels: Picture) -> list[Picture]:
    """YCbCr that no JPEG decoder turns into RGB, without subsampling."""
    stored = Image.fromarray(pixels).convert("YCbCr")
    stored.save(path, compression="tiff_deflate")
    return [np.asarray(stored.convert("RGB"))]


def ycbcr_subsampled(path: Path, pixels: Picture) -> list[Picture]:
    """The same, where the colours are said to be coarser than the light."""
    ycbcr(path, pixels)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags[530].overwrite((2, 2))
    return []


TILED = {"tile": (256, 256)}
GREY = {"photometric": "minisblack"}

#: Name → how it is written, and the largest difference from the reference that is explained (in
#: rounding a colour transform).
READ: dict[str, tuple[Write, int]] = {
    "aperio.svs": (svs, 0),
    "sparse.svs": (sparse_svs, 0),
    "aperio-ycbcr.svs": (svs_2000, 1),
    "aperio-rgb.svs": (svs_2000_rgb, 0),
    "hamamatsu.ndpi": (ndpi, 0),
    "above-4-gb.ndpi": (ndpi_above_4_gb, 0),
    "collection.scn": (scn_collection, 0),
    "multiplex.qptiff": (qptiff, 0),
    "channels.ome.tif": (ome_channels, 0),
    "big-endian.tif": (generic(byteorder=">", big=False), 0),
    "big-endian-bigtiff.tif": (generic(byteorder=">"), 0),
    "lzw.tif": (generic(compression="lzw", predictor=2), 0),
    "zstd.tif": (generic(compression="zstd", predictor=2), 0),
    "webp.tif": (generic(compression="webp", compressionargs={"lossless": True}), 0),
    "packbits.tif": (generic(compression="packbits"), 0),
    "lzma.tif": (generic(compression="lzma"), 0),
    "jpeg-2000.tif": (generic(compression="jpeg2000"), 0),
    "uncompressed.tif": (generic(compression=None), 0),
    "steps-of-3-and-7.tif": (generic(steps=(1, 3, 7)), 0),
    "step-of-5.tif": (generic(steps=(1, 5)), 0),
    "tile-over-picture.tif": (generic(tile=(2048, 2048)), 0),
    "small-tiles.tif": (generic(tile=(16, 16)), 0),
    "oblong-tiles.tif": (generic(tile=(128, 512)), 0),
    "planar.tif": (one_level(apart, planarconfig="separate", **TILED), 0),
    "planar-predictor.tif": (
        one_level(apart, planarconfig="separate", compression="zlib", predictor=2, **TILED),
        0,
    ),
    "planar-strips.tif": (one_level(apart, planarconfig="separate", rowsperstrip=64), 0),
    "one-strip.tif": (one_level(np.asarray), 0),
    "one-strip-deflate.tif": (one_level(np.asarray, compression="zlib", predictor=2), 0),
    "strips.tif": (one_level(np.asarray, compression="zlib", rowsperstrip=77), 0),
    "grey-16.tif": (
        one_level(lambda p: channel(p).astype(np.uint16) * 200, rowsperstrip=100, **GREY),
        0,
    ),
    "grey-16-big-endian-lzw.tif": (
        one_level(
            lambda p: (channel(p).astype(np.uint16) * 257).astype(">u2"),
            compression="lzw",
            predictor=2,
            **GREY,
            **TILED,
        ),
        0,
    ),
    "float.tif": (
        one_level(
            lambda p: channel(p).astype(np.float32) / 255,
            compression="zlib",
            predictor=3,
            **GREY,
            **TILED,
        ),
        0,
    ),
    "white-is-0.tif": (white_is_0, 0),
    "ycbcr.tif": (ycbcr, 1),
    "rgb-16.tif": (one_level(lambda p: p.astype(np.uint16) * 257, compression="zlib", **TILED), 0),
    "plain.png": (picture("rgb"), 0),
    "grey.png": (picture("grey"), 0),
    "palette.png": (picture("palette"), 0),
    "bit.png": (picture("bit"), 0),
    "grey-alpha.png": (picture("grey-alpha"), 0),
    "transparent.png": (transparent_png, 1),
    "16-bit.png": (png_of_16_bits, 0),
    "plain.jpeg": (picture("rgb"), 0),
    "grey.jpeg": (picture("grey"), 0),
    "progressive.jpeg": (picture("progressive"), 0),
}


def cmyk(path: Path, pixels: Picture) -> list[Picture]:
    """As printers want it."""
    Image.fromarray(pixels).convert("CMYK").save(path)
    return []


#: Name → how it is written, and what the one sentence says.
REFUSED: dict[str, tuple[Write, str]] = {
    "jpeg-xl.tif": (generic(compression="jpegxl"), "JPEG XL, which is not decoded here"),
    "jpeg-xr.tif": (generic(compression="jpegxr"), "JPEG XR, which is not decoded here"),
    "png.tif": (generic(compression="png"), "PNG, which is not decoded here"),
    "palette.tif": (
        one_level(channel, photometric="palette", colormap=np.zeros((3, 256), np.uint16), **TILED),
        "colours as TIFF photometric 3",
    ),
    "cmyk.tif": (
        one_level(lambda p: np.dstack([p, p[..., :1]]), photometric="separated", **TILED),
        "colours as TIFF photometric 5",
    ),
    "lab.tif": (one_level(np.asarray, photometric="cielab"), "colours as TIFF photometric 8"),
    "ycbcr-subsampled.tif": (ycbcr_subsampled, "YCbCr with subsampled colours outside of a JPEG"),
    "bits.tif": (one_level(lambda p: channel(p) > 200, **GREY), "has pixels of 1 bits"),
    "signed.tif": (one_level(lambda p: channel(p).astype(np.int16), **GREY), "(int16)"),
    "cmyk.jpeg": (cmyk, "is a JPEG of 4 colours"),
}
