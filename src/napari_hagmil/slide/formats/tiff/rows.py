"""Read contiguous uncompressed strips as plain rows of pixels.

Libraries write a large picture as one strip of any size. Decoding it whole for one patch would take
gigabytes, but its rows can be read in parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_hagmil.slide.formats.file_bytes import FileBytes
from napari_hagmil.slide.interface import Pixels

#: Rows and columns that are read at a time, px.
PART = (256, 1024)


@dataclass(frozen=True, slots=True)
class PlainRows:
    """The layout of a picture's uncompressed rows in its file.

    Attributes
    ----------
    start : int
        Byte of the first row.
    shape : tuple of int
        Rows and columns, px.
    dtype : numpy.dtype
        Of a sample, in the byte order of the file.
    n_samples : int
        Samples of a pixel.
    """

    start: int
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    n_samples: int


def row_starts(pages: Sequence[Any], n_samples: int, sample_bytes: int) -> list[int] | None:
    """Byte at which the rows of every page begin; None where they are no plain rows.

    Parameters
    ----------
    pages : sequence of tifffile.TiffPage or TiffFrame
        Of the same layout.
    n_samples : int
        Runs of strips of each page: 1, or one per sample that is stored apart.
    sample_bytes : int
        Bytes of one run.

    Returns
    -------
    list of int or None
        By page, and within a page by sample.
    """
    key = pages[0].keyframe
    plain = int(key.compression) == 1 and int(key.predictor) == 1 and int(key.fillorder) == 1
    if key.is_tiled or not plain or key.is_subsampled:
        return None
    starts = []
    for page in pages:
        n_strips = len(page.dataoffsets) // n_samples
        for sample in range(n_samples):
            at = slice(sample * n_strips, (sample + 1) * n_strips)
            start = _start_of_run(page.dataoffsets[at], page.databytecounts[at], sample_bytes)
            if start is None:
                return None
            starts.append(start)
    return starts


def _start_of_run(offsets: Sequence[int], counts: Sequence[int], n_bytes: int) -> int | None:
    if not offsets or len(offsets) != len(counts) or offsets[0] <= 0 or sum(counts) < n_bytes:
        return None
    ends = np.asarray(offsets[:-1], np.int64) + np.asarray(counts[:-1], np.int64)
    follow = np.array_equal(ends, np.asarray(offsets[1:], np.int64))
    return int(offsets[0]) if follow else None


def read_rows(file: FileBytes, picture: PlainRows, corner: tuple[int, int]) -> Pixels:
    """Read a part of plain rows.

    Parameters
    ----------
    file : FileBytes
        The open file.
    picture : PlainRows
        Where the rows lie.
    corner : tuple of int
        First row and column of the part, px.

    Returns
    -------
    (h, w, samples) array
        At most `PART`, cut at the edge of the picture; in the machine's byte order.

    Raises
    ------
    ValueError
        When the file ends before.
    """
    dtype, shape = picture.dtype, picture.shape
    rows, columns = (min(p, s - c) for p, s, c in zip(PART, shape, corner, strict=True))
    width = dtype.itemsize * picture.n_samples
    line = shape[1] * width
    first = picture.start + corner[0] * line + corner[1] * width
    if columns == shape[1]:
        data = file.read(first, rows * line)
    else:
        data = b"".join(file.read(first + row * line, columns * width) for row in range(rows))
    if len(data) < rows * columns * width:
        raise ValueError("it lies beyond the end of the file")
    pixels = np.frombuffer(data, dtype).reshape(rows, columns, picture.n_samples)
    return pixels.astype(dtype.newbyteorder("="), copy=False)
