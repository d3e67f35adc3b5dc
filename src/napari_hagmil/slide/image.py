"""A plain PNG or JPEG as a slide of one level, decoded whole at the first read."""

from __future__ import annotations

import threading
from pathlib import Path

import imagecodecs
import numpy as np

from napari_hagmil.errors import SlideFormatError, SlideReadError
from napari_hagmil.slide.file_bytes import fingerprint
from napari_hagmil.slide.protocol import Address, LevelGrid, Meter, Pixels, SlideFacts
from napari_hagmil.slide.segments import check_scan, jpeg_size, png_size

#: Decoded pixels. Larger pictures belong into a pyramid.
MAX_PIXELS = 2**28

#: Progressive JPEGs and photographs put their size behind megabytes of metadata.
_HEAD_BYTES = 2**22

_TILE = 1024


class ImageReader:
    """A picture without a pyramid, and without a pixel size that could be believed.

    Parameters
    ----------
    path : Path
        A PNG or JPEG file.
    """

    backend = "image"

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        self._kind = "PNG" if head[:4] == b"\x89PNG" else "JPEG"
        shape = png_size(head) if self._kind == "PNG" else jpeg_size(head)
        if shape is None or min(shape) < 1:
            raise SlideFormatError(
                f"{path.name} is a damaged {self._kind}: it states no size; export it again"
            )
        if shape[0] * shape[1] > MAX_PIXELS:
            raise SlideFormatError(
                f"{path.name} has {shape[0]}×{shape[1]} pixels, too many to be decoded at once; "
                "convert it to a pyramidal TIFF"
            )
        grid = LevelGrid(shape, (min(_TILE, shape[0]), min(_TILE, shape[1])), self._kind)
        self.facts = SlideFacts(grids=(grid,), vendor="none", why=f"a plain {self._kind}")
        self._pixels: Pixels | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of the pixels."""
        self._pixels = None

    def fingerprint(self) -> str:
        """Hash of size, ends and samples."""
        return fingerprint(self.path)

    def read_tile(self, address: Address, meter: Meter) -> Pixels | None:
        """Cut a tile out of the picture."""
        with self._lock:
            if self._pixels is None:
                self._pixels = self._decode(meter)
        rows, columns = self.facts.grids[0].tile
        y, x = address[1] * rows, address[2] * columns
        return self._pixels[y : y + rows, x : x + columns]

    def _decode(self, meter: Meter) -> Pixels:
        data = self.path.read_bytes()
        meter.add(len(data))
        try:
            if self._kind == "PNG":
                pixels = np.asarray(imagecodecs.png_decode(data))
            else:
                if b"\xff\xd9" not in data[-65536:]:
                    raise ValueError("it is cut short")
                pixels = _decoded_jpeg(data)
                check_scan(data, pixels, pixels.shape[:2], _decoded_jpeg)
            return _as_rgb(pixels, self.facts.grids[0].shape)
        except Exception as error:  # decoders raise their own kinds
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise SlideReadError(
                f"{self.path.name} cannot be decoded ({reason}); export it again"
            ) from error


def _decoded_jpeg(data: bytes) -> Pixels:
    return np.asarray(imagecodecs.jpeg8_decode(data, outcolorspace="RGB"))


def _as_rgb(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
    """8-bit RGB from grey, 16 bits or with alpha."""
    if pixels.shape[:2] != shape:
        raise ValueError(f"it holds {pixels.shape[0]}×{pixels.shape[1]} pixels, not {shape}")
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[2] < 3:
        pixels = np.repeat(pixels[..., :1], 3, axis=2)
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    return np.ascontiguousarray(pixels[..., :3])
