"""Cache the coarse levels of large slides that have none: made once, bounded in size.

The levels of a viewer that a file lacks are area means of a finer one. Of a slide of one level, the
coarsest is the mean of everything: minutes for a large one. So they are kept, lossless, under the
slide's fingerprint; the least recently used make room.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import platformdirs

from napari_hagmil.errors import CancelledError, HagmilError, SlideReadError
from napari_hagmil.files import remove_drafts, replacing
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

#: Bytes that all pyramids together may take; HAGMIL_CACHE_GB overrides it.
LIMIT_BYTES = 10 * 10**9

#: Lossless, so that a cached view and a fresh one are the same pixels.
_STYLE = TiffStyle("zstd", tile=512)
_SUFFIX = "-1.tif"

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


def cache_folder() -> Path:
    """Where pyramids are kept: HAGMIL_CACHE, or the user's cache folder."""
    stated = os.environ.get("HAGMIL_CACHE")
    return Path(stated) if stated else platformdirs.user_cache_path("napari-hagmil") / "pyramids"


def cached_pyramids(folder: Path | None = None) -> list[tuple[Path, int]]:
    """Files of the cache and their bytes, the one used last first."""
    folder = folder or cache_folder()
    found = [(file, file.stat()) for file in folder.glob(f"*{_SUFFIX}")]
    found.sort(key=lambda pair: pair[1].st_mtime, reverse=True)
    return [(file, stat.st_size) for file, stat in found]


def clear_cache(folder: Path | None = None) -> int:
    """Remove every cached pyramid; returns the bytes that were freed."""
    folder, freed = folder or cache_folder(), 0
    remove_drafts(folder, older_than=0)
    for file, size in cached_pyramids(folder):
        freed += size if _remove(file) else 0
    return freed


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
    path = cache_folder() / f"{slide.fingerprint}{_SUFFIX}"
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
        _remove(path)  # the next time it is made anew
        raise
    os.utime(path)  # used now: others make room first
    if len(reader.facts.grids) < n_levels or reader.facts.n_channels != slide.n_channels:
        reader.close()
        _remove(path)
        raise OSError("what was kept does not fit, and was removed")
    return CachedLevels(Gatherer(reader, slide.background))


def _make(path: Path, slide: Slide, factors: tuple[int, ...], report: ReportShare | None) -> None:
    with replacing(path) as draft:
        write_tiff(draft, slide, factors, _STYLE, report)
    _make_room(path)


def _make_room(kept: Path) -> None:
    """Remove the least recently used until all fits, but never what was just made."""
    remove_drafts(kept.parent)
    total, limit = 0, limit_bytes()
    for file, size in cached_pyramids(kept.parent):
        total += size
        if total > limit and file != kept:
            _remove(file)


def limit_bytes() -> float:
    """Bytes that all pyramids together may take."""
    try:
        return float(os.environ["HAGMIL_CACHE_GB"]) * 1e9
    except (KeyError, ValueError):
        return LIMIT_BYTES


def _remove(file: Path) -> bool:
    """Remove a file; an open one stays where the system says so (Windows)."""
    try:
        file.unlink()
    except OSError:
        return False
    return True
