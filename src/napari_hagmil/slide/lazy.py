"""A level as a dask array: whoever computes with it has its graph, and a view is read without.

dask is imported on first use of this module, which costs 0.4 s and 60 MB: import it in a function.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import dask
import dask.array as da
import dask.threaded
import numpy as np

from napari_hagmil.slide.interface import Pixels
from napari_hagmil.slide.view import LevelArray


class ReadArray(da.Array):  # type: ignore[misc]
    """A dask array whose pixels, wanted whole, are read at once and not by way of its graph.

    A viewer asks for its slices as numpy arrays, one a view: for each, a graph would be computed,
    and a second copy put together from its chunks. Everything else is dask's own.
    """

    _level: LevelArray | None
    _read: Callable[[], Pixels]

    def __array__(self, dtype: Any = None, copy: bool | None = None, **kwargs: Any) -> Pixels:
        """The pixels."""
        return self._read().astype(dtype or self.dtype, copy=False)

    def __getitem__(self, index: Any) -> Any:
        part, level = super().__getitem__(index), self._level
        if level is None or not _is_rectangle(index):
            return part
        return _reading(part, lambda: level[index], None)


def lazy_levels(levels: Sequence[Any]) -> list[Any]:
    """The levels of a view as dask arrays, but for the coarsest, which is in memory."""
    *finer, coarsest = levels
    return [*map(lazy_array, finer), coarsest]


def lazy_array(array: LevelArray) -> Any:
    """Wrap a level as a dask array (y, x, c) in chunks of whole tiles, about `CHUNK` px a side."""
    _compute_in_threads()
    whole = da.from_array(
        array,
        chunks=array.chunks,
        name=array.name,
        asarray=False,
        lock=False,
        # Otherwise each view walks over the chunks of the whole level: 9 s at 400,000 px.
        inline_array=True,
        meta=np.empty((0, 0, 0), array.dtype),
    )
    return _reading(whole, lambda: np.asarray(array), array)


def _reading(made: Any, read: Callable[[], Pixels], level: LevelArray | None) -> ReadArray:
    array = ReadArray(made.dask, made.name, made.chunks, meta=made._meta)
    array._read, array._level = read, level
    return array


def _is_rectangle(index: Any) -> bool:
    """Whether an index asks for rows, columns and channels by slices or numbers, forwards."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        (isinstance(one, slice) and (one.step is None or one.step > 0))
        or (isinstance(one, int | np.integer) and one >= 0)
        for one in parts
    )


def _compute_in_threads() -> None:
    """Let dask use threads unless somebody has chosen otherwise, as a distributed client does.

    To find out that nobody has, and even to take "threads" by name, dask imports distributed where
    it is installed, which costs the first view more than a second.
    """
    if dask.config.get("scheduler", None) is None and "distributed" not in sys.modules:
        dask.config.set(scheduler=dask.threaded.get)
