"""Cache the coarse levels of large slides that have none: made once, bounded in size.

The levels of a viewer that a file lacks are area means of a finer one. Of a slide of one level, the
coarsest is the mean of everything: minutes for a large one. So they are kept, lossless, under the
slide's fingerprint; the least recently used make room.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from napari_hagmil.cache import PYRAMIDS, mark_used, remove_cached
from napari_hagmil.errors import CancelledError, HagmilError, SlideReadError
from napari_hagmil.files import replacing
from napari_hagmil.slide.formats.tiff.reader import TiffReader
from napari_hagmil.slide.gather import Gatherer
from napari_hagmil.slide.interface import LevelGrid, Pixels
from napari_hagmil.slide.pyramids.bands import ReportShare
from napari_hagmil.slide.pyramids.tiff_writer import TiffStyle, write_tiff
from napari_hagmil.slide.slide import Slide

#: Pixels of level 0 from which on keeping its means is worth it: about ten seconds of decoding.
WORTH_PIXELS = 2**26

#: A slide that holds less than this share of its tiles is mostly empty: its means are quickly made,
#: and would be long in writing.
_FULL = 0.25

#: Lossless, so that a cached view and a fresh one are the same pixels.
_STYLE = TiffStyle("zstd", tile=512)
_SUFFIX = PYRAMIDS.pattern.removeprefix("*")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CachedLevels:
    """Levels in a file of the cache; the first is a mean by 2, the next by 4, and so on."""

    gather: Gatherer

    def read(self, index: int, top_left: tuple[int, int], shape: tuple[int, int]) -> Pixels:
        """Pixels of a rectangle of the level `index`."""
        return self.gather.read(index, top_left, shape)

    def close(self) -> None:
        """Close the file."""
        self.gather.reader.close()


def _is_worth(grid: LevelGrid) -> bool:
    """Whether the means of a level take so long to make that they are worth their space."""
    share = grid.share_held
    return share >= _FULL and share * prod(grid.shape) >= WORTH_PIXELS


def open_cached(
    slide: Slide, factors: Sequence[int], on_progress: ReportShare | None = None
) -> CachedLevels | None:
    """Open the means of a slide's level 0, made now if they are not kept yet.

    Returns None where they are not worth their space or cannot be made: places of the slide are
    damaged (and would be cached without their marks), or the disk refuses them.
    """
    if not _is_worth(slide.reader.facts.grids[0]):
        return None
    path = PYRAMIDS.folder / f"{slide.fingerprint}{_SUFFIX}"
    try:
        if not path.exists():
            _make(path, slide, tuple(factors), on_progress)
        held = _open(path, slide, len(factors))
    except CancelledError:
        raise
    except SlideReadError:
        return None
    except (OSError, HagmilError) as error:
        _log.warning("coarse levels of %s are not kept: %s", slide.name, error)
        return None
    return held


def _open(path: Path, slide: Slide, n_levels: int) -> CachedLevels:
    try:
        reader = TiffReader(path)
    except HagmilError:
        remove_cached(path)  # the next time it is made anew
        raise
    mark_used(path)
    if len(reader.facts.grids) < n_levels or reader.facts.n_channels != slide.n_channels:
        reader.close()
        remove_cached(path)
        raise OSError("what was kept does not fit, and was removed")
    return CachedLevels(Gatherer(reader, slide.background))


def _make(path: Path, slide: Slide, factors: tuple[int, ...], report: ReportShare | None) -> None:
    with replacing(path) as draft:
        write_tiff(draft, slide, factors, _STYLE, report)
    PYRAMIDS.make_room(path)
