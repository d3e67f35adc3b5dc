"""Decode every tile of a slide once, to know what is damaged before anything relies on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, product
from math import prod

import numpy as np

from napari_hagmil.slide.interface import Address, LevelGrid
from napari_hagmil.slide.slide import Slide

#: Tiles between two reports.
_BATCH = 256


def check_slide(
    slide: Slide, *, workers: int = 2, on_progress: Callable[[float], None] | None = None
) -> tuple[dict[str, int], ...]:
    """Decode every tile of every level.

    Parameters
    ----------
    slide : Slide
        An open slide; `Slide.unreadable` names its damaged tiles afterwards.
    workers : int
        Threads that decode.
    on_progress : callable, optional
        Called with the fraction done, 0 to 1; an exception it raises stops the work.

    Returns
    -------
    tuple of dict
        By level: how many tiles are "read", "absent" and "unread".
    """
    grids = slide.reader.facts.grids
    counts = [Counter({"read": 0, "absent": _n_absent(grid), "unread": 0}) for grid in grids]
    total = max(1, sum(prod(grid.n_tiles) - _n_absent(grid) for grid in grids))
    done, addresses = 0, _addresses(slide)
    with ThreadPoolExecutor(workers, thread_name_prefix="check") as pool:
        while batch := list(islice(addresses, _BATCH)):
            for address, status in zip(batch, pool.map(slide.check_tile, batch), strict=True):
                counts[address[0]][status] += 1
            done += len(batch)
            if on_progress is not None:
                on_progress(done / total)
    return tuple(dict(count) for count in counts)


def _n_absent(grid: LevelGrid) -> int:
    """Tiles that are known not to be there."""
    return 0 if grid.held is None else int(grid.held.size - np.count_nonzero(grid.held))


def _addresses(slide: Slide) -> Iterator[Address]:
    for level, grid in enumerate(slide.reader.facts.grids):
        if grid.held is not None:
            yield from ((level, int(row), int(column)) for row, column in np.argwhere(grid.held))
            continue
        rows, columns = grid.n_tiles
        yield from product((level,), range(rows), range(columns))
