"""The interface of a file format: a grid of tiles per level, and facts about the slide.

A backend decodes single tiles. Everything above that is written once, for all formats: gathering
and caching (`gather`), resampling (`region`) and the viewer's levels (`view`, `slide`).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.errors import Problem

Pixels = NDArray[Any]
"""(height, width, channels), uint8 for every brightfield slide."""

Address = tuple[int, int, int]
"""Level, row and column of a tile."""


#: The vendor of synthetic slides: their description begins with it.
PHANTOM = "napari-hagmil phantom"


@dataclass(frozen=True, slots=True)
class LevelGrid:
    """How one level of the file is cut into tiles.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns of the level, px.
    tile : tuple of int
        Rows and columns of a tile, px; strips are tiles as wide as the level.
    compression : str
        Its common name: "JPEG", "JPEG 2000", "Deflate".
    sparse : int
        How many tiles the file does not hold; they are background.
    held : (rows, columns) bool array or None
        By tile, whether the file holds it; None: all of them, or unknown.
    """

    shape: tuple[int, int]
    tile: tuple[int, int]
    compression: str = "none"
    sparse: int = 0
    held: NDArray[np.bool_] | None = field(default=None, compare=False, repr=False)

    @property
    def n_tiles(self) -> tuple[int, int]:
        """Rows and columns of the grid of tiles."""
        return -(-self.shape[0] // self.tile[0]), -(-self.shape[1] // self.tile[1])

    @property
    def share_held(self) -> float:
        """Share of the tiles that the file holds, as far as known."""
        return 1.0 if self.held is None else float(self.held.mean())

    def holds(self, top_left: tuple[int, int], shape: tuple[int, int]) -> bool:
        """Whether the file may hold a pixel of a rectangle of the level, px."""
        if self.held is None:
            return True
        y, x = (
            slice(max(start, 0) // tile, max(-(-(start + size) // tile), 0))
            for start, size, tile in zip(top_left, shape, self.tile, strict=True)
        )
        return bool(self.held[y, x].any())


@dataclass(frozen=True, slots=True)
class PixelSize:
    """A pixel size that the file states.

    Attributes
    ----------
    mpp : tuple of float
        µm per level-0 pixel, (y, x).
    source : str
        Where it stands: "Aperio MPP tag", "TIFF resolution", "objective power".
    """

    mpp: tuple[float, float]
    source: str


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a file says its pixels lie in a frame that it shares with other pictures.

    Attributes
    ----------
    scale : tuple of float
        µm per level-0 pixel, (y, x); of any picture, a heat map's too.
    translation : tuple of float
        Where the centre of level-0 pixel (0, 0) lies, µm (y, x).
    """

    scale: tuple[float, float]
    translation: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Channel:
    """What a file says about a channel.

    Attributes
    ----------
    name : str
        "DAPI"; may be empty.
    color : str
        What to show it in, "0000ff"; empty where the file does not say.
    """

    name: str = ""
    color: str = ""


@dataclass(frozen=True, slots=True)
class SlideFacts:
    """What a file says about itself, read without decoding a pixel.

    Attributes
    ----------
    grids : tuple of LevelGrid
        One per level, finest first.
    n_channels : int
        Channels of every tile.
    dtype : numpy.dtype
        Of every tile.
    is_rgb : bool
        Whether the channels are red, green and blue.
    fluorescence : str
        Empty for brightfield, else what lit the slide ("3 fluorescence channels").
    pixel_sizes : tuple of PixelSize
        As stated by the file, best first.
    objective : float or None
        Magnification of the objective.
    vendor : str
        Who wrote the file.
    channels : tuple of Channel
        Names and colours of the channels, where the file has them.
    associated : tuple of str
        Names of label, macro and thumbnail; their pixels may show patient data.
    problems : tuple of Problem
        What the user should know before trusting the picture.
    why : str
        Why this backend was chosen.
    origin : tuple of int
        Pixel (y, x) of the canvas on which level-0 pixel (0, 0) lies: see `slide.canvas`.
    placement : Placement or None
        As an OME-Zarr states it. A slide is a frame of its own; what lies over one is not.
    color_profile : bytes
        The ICC profile of its pixels, as it stands in the file; empty: none.
    """

    grids: tuple[LevelGrid, ...]
    n_channels: int = 3
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.uint8))
    is_rgb: bool = True
    fluorescence: str = ""
    pixel_sizes: tuple[PixelSize, ...] = ()
    objective: float | None = None
    vendor: str = "unknown"
    channels: tuple[Channel, ...] = ()
    associated: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    why: str = ""
    origin: tuple[int, int] = (0, 0)
    placement: Placement | None = None
    color_profile: bytes = field(default=b"", repr=False)

    @property
    def background(self) -> int:
        """Value of empty glass: white in transmitted light of any depth, black in fluorescence."""
        if self.fluorescence or not self.is_rgb:
            return 0
        return int(np.iinfo(self.dtype).max) if self.dtype.kind == "u" else 1


class SlideReader(Protocol):
    """A file format.

    `read_tile` is called from many threads at once.
    """

    @property
    def backend(self) -> str:
        """Name of the backend, "tiff"."""

    @property
    def facts(self) -> SlideFacts:
        """What is known without decoding."""

    def read_tile(self, address: Address, meter: Meter) -> Pixels | None:
        """Decode one tile.

        Parameters
        ----------
        address : tuple of int
            Level, row, column.
        meter : Meter
            Counts the bytes that are read.

        Returns
        -------
        (h, w, c) array or None
            At most the grid's tile size; the last row and column may be cut at the
            level's edge or padded beyond it. None: the file holds no such tile.

        Raises
        ------
        SlideReadError
            When the tile cannot be decoded.
        """

    def fingerprint(self) -> str:
        """Hash the content; the path does not count."""

    def close(self) -> None:
        """Close the file."""


@dataclass(slots=True)
class Meter:
    """Counts what was read; safe to share between threads.

    Attributes
    ----------
    bytes_read, tiles_read : int
        Encoded bytes fetched from the file, and tiles decoded.
    """

    bytes_read: int = 0
    tiles_read: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, n_bytes: int) -> None:
        """Count one tile of `n_bytes` encoded bytes."""
        with self._lock:
            self.bytes_read += n_bytes
            self.tiles_read += 1


@dataclass(frozen=True, slots=True)
class SlideSpec:
    """All that another process needs to open the same slide; picklable.

    Attributes
    ----------
    path : Path
        The file or folder; a `Path` made of a URL stands for the URL.
    mpp : float or None
        The pixel size the user gave, µm per level-0 pixel.
    """

    path: Path
    mpp: float | None = None
