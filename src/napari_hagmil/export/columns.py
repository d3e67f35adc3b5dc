"""Columns of Arrow from numpy arrays, made of their bytes.

`pyarrow.array` imports pandas to find out that it was not given a pandas object, which takes a
fifth of a second of every command that writes a table.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray


def numbers(
    values: ArrayLike, kind: pa.DataType, valid: NDArray[np.bool_] | None = None
) -> pa.Array:
    """A column of numbers.

    Parameters
    ----------
    values : (n,) array
    kind : pyarrow.DataType
        An integer or a floating-point type.
    valid : (n,) bool array, optional
        Where there is a value; elsewhere the column is null.
    """
    kept = np.ascontiguousarray(values, dtype=kind.to_pandas_dtype())
    bits = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(kind, len(kept), [bits, pa.py_buffer(kept)])


def texts(values: Sequence[str]) -> pa.Array:
    """A column of strings, without a null."""
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)
