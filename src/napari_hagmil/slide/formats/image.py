"""A plain PNG or JPEG as a slide of one level, decoded whole at the first read."""

from __future__ import annotations

import struct
import threading
import zlib
from pathlib import Path

import imagecodecs
import numpy as np

from napari_hagmil.errors import SlideFormatError, SlideReadError
from napari_hagmil.slide.color_profile import embedded_profile
from napari_hagmil.slide.formats.damage import reason_of
from napari_hagmil.slide.formats.file_bytes import fingerprint
from napari_hagmil.slide.formats.orientation import exif_orientation
from napari_hagmil.slide.formats.segments import (
    check_scan_count,
    ends_in_grey,
    jpeg_frame,
    png_size,
    with_junk,
)
from napari_hagmil.slide.formats.transparency import on_white
from napari_hagmil.slide.interface import Address, LevelGrid, Meter, Pixels, SlideFacts

#: What decoding may hold at once, bytes: the pixels as decoded, the encoded file, and what a
#: decoder keeps beside them. A larger picture must become a pyramid first.
MAX_BYTES = 400_000_000

#: Progressive JPEGs and photographs put their size behind megabytes of metadata.
_HEAD_BYTES = 2**22

_TILE = 1024

#: Samples of a pixel by PNG's colour type, a palette (3) with transparency at worst.
_PNG_SAMPLES = {0: 1, 2: 3, 3: 4, 4: 2, 6: 4}

#: Samples of a JPEG that can be made RGB: grey, and YCbCr or RGB.
_JPEG_SAMPLES = (1, 3)


class ImageReader:
    """A picture without a pyramid, and without a pixel size that could be believed.

    Parameters
    ----------
    path : Path
        A PNG or JPEG file.

    Attributes
    ----------
    orientation : int
        How a JPEG is stored, as EXIF says; 1: upright.
    """

    backend = "image"

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        self._kind = "PNG" if head[:4] == b"\x89PNG" else "JPEG"
        shape, pixel_bytes = _png_facts(head) if self._kind == "PNG" else self._jpeg_facts(head)
        self.orientation = exif_orientation(head) if self._kind == "JPEG" else 1
        if min(shape) < 1:
            raise SlideFormatError(
                path.name, f"is a damaged {self._kind}: it states no size", remedy="export it again"
            )
        n_bytes = shape[0] * shape[1] * pixel_bytes + 2 * path.stat().st_size
        if n_bytes > MAX_BYTES:
            raise SlideFormatError(
                path.name,
                f"has {shape[0]}×{shape[1]} pixels, too many to be decoded at once "
                f"({n_bytes / 1e6:.0f} MB of at most {MAX_BYTES / 1e6:.0f} MB)",
                remedy="convert it to a pyramidal TIFF",
            )
        grid = LevelGrid(shape, (min(_TILE, shape[0]), min(_TILE, shape[1])), self._kind)
        self.facts = SlideFacts(
            grids=(grid,),
            vendor="none",
            why=f"a plain {self._kind}",
            color_profile=embedded_profile(path),
        )
        self._pixels: Pixels | SlideReadError | None = None
        self._lock = threading.Lock()

    def _jpeg_facts(self, head: bytes) -> tuple[tuple[int, int], int]:
        """Rows and columns, and bytes per pixel that decoding takes."""
        frame = jpeg_frame(head)
        if frame is None:
            return (0, 0), 0
        if frame.samples not in _JPEG_SAMPLES:
            raise SlideFormatError(
                self.path.name,
                f"is a JPEG of {frame.samples} colours (CMYK and the like)",
                remedy="convert it to RGB",
            )
        # Of a JPEG in several scans the decoder holds the coefficients, 16 bits each.
        return frame.shape, 3 + (2 * frame.samples if frame.several_scans else 0)

    def close(self) -> None:
        """Drop the decoded pixels."""
        self._pixels = None

    def fingerprint(self) -> str:
        """Hash of size, ends and samples."""
        return fingerprint(self.path)

    def read_tile(self, address: Address, meter: Meter) -> Pixels | None:
        """Cut a tile out of the picture."""
        with self._lock:
            if self._pixels is None:
                self._pixels = self._decode(meter)
            pixels = self._pixels
        if isinstance(pixels, SlideReadError):
            raise pixels
        rows, columns = self.facts.grids[0].tile
        y, x = address[1] * rows, address[2] * columns
        return _as_rgb(pixels[y : y + rows, x : x + columns])

    def _decode(self, meter: Meter) -> Pixels | SlideReadError:
        """Decode the whole picture, as it is: (h, w) or (h, w, samples).

        An error is returned and kept, for every tile asks and a failed decoding takes as long.
        """
        data = self.path.read_bytes()
        meter.add(len(data))
        shape = self.facts.grids[0].shape
        try:
            if self._kind == "PNG":
                pixels = np.asarray(imagecodecs.png_decode(data))
            else:
                if b"\xff\xd9" not in data[-65536:]:
                    raise ValueError("it is cut short")
                check_scan_count(data)
                pixels = _whole_jpeg(data)
            if pixels.shape[:2] != shape:
                raise ValueError(
                    f"it holds {pixels.shape[0]}×{pixels.shape[1]} pixels, not {shape}"
                )
        except Exception as error:  # decoders raise their own kinds
            return SlideReadError(
                self.path.name, f"cannot be decoded ({reason_of(error)})", remedy="export it again"
            )
        return pixels


def _png_facts(head: bytes) -> tuple[tuple[int, int], int]:
    """Rows and columns, and bytes per decoded pixel."""
    shape = png_size(head)
    if shape is None or len(head) < 26:
        return (0, 0), 0
    depth, colour = struct.unpack_from(">BB", head, 24)
    return shape, _PNG_SAMPLES.get(colour, 4) * (2 if depth == 16 else 1)


def _whole_jpeg(data: bytes) -> Pixels:
    """Decode a JPEG; ValueError when its scan stops before its end marker.

    The second decoding, which detects that (`segments.check_scan`), is compared by checksum, so
    that two pictures of this size are never held at once.
    """
    pixels = _decoded_jpeg(data)
    if not ends_in_grey(pixels, (pixels.shape[0], pixels.shape[1])):
        return pixels
    before = zlib.crc32(pixels.data)
    del pixels
    if zlib.crc32(_decoded_jpeg(with_junk(data)).data) != before:
        raise ValueError("it is cut short")
    return _decoded_jpeg(data)


def _decoded_jpeg(data: bytes) -> Pixels:
    return np.ascontiguousarray(imagecodecs.jpeg8_decode(data, outcolorspace="RGB"))


def _as_rgb(pixels: Pixels) -> Pixels:
    """8-bit RGB from grey, 16 bits or with transparency, which lies on white."""
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    colours = pixels.shape[2] - 1 + pixels.shape[2] % 2
    rgb = np.repeat(pixels[..., :1], 3, axis=2) if colours == 1 else pixels[..., :3]
    if pixels.shape[2] > colours:
        return on_white(np.concatenate([rgb, pixels[..., -1:]], axis=2))
    return np.ascontiguousarray(rgb)
