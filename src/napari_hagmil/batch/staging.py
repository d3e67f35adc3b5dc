"""Copy a slide to a local disk before it is read, where its own disk is slow; see ``--cache``.

The copy has the slide's name, so that the files of the result do not differ, and goes as soon as
the slide is done. Copies of processes that were killed go with the next one.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from napari_hagmil.batch.folder import BatchSettings
from napari_hagmil.cohort.cohort import SlideRecord
from napari_hagmil.errors import SlideChangedError
from napari_hagmil.files import remove, remove_drafts, sibling
from napari_hagmil.ledger import SlideState

#: Slides of several files whose names say nothing of the others': these are read where they lie.
_SCATTERED = frozenset({".dcm", ".vms", ".vmu"})

#: Bytes that are left free on the disk, for whatever else runs there.
_SPARE = 2**30


@dataclass(frozen=True, slots=True)
class StagedWork:
    """`analyze_into` on a copy of the slide.

    Attributes
    ----------
    cache : Path
        A folder on a local disk. Any number of processes may share it.
    limit : float
        Bytes that all copies together may take. A slide that does not fit beside the others is read
        where it lies.
    """

    cache: Path
    limit: float

    def __call__(self, record: SlideRecord, settings: BatchSettings, folder: Path) -> SlideState:
        """Copy, analyze, remove the copy."""
        from napari_hagmil.batch.analysis import analyze_into

        with staged(record.path, self.cache, self.limit) as path:
            return analyze_into(replace(record, path=path), settings, folder)


@contextmanager
def staged(path: Path, cache: Path, limit: float) -> Iterator[Path]:
    """Yield the path of a copy of a slide; of the slide itself where it cannot be copied.

    Raises
    ------
    SlideChangedError
        When the slide has changed since it was copied.
    """
    before = _stamp(path)
    copy = _copied(path, cache, limit) if before else None
    if copy is None:
        yield path
        return
    try:
        yield copy
        if _stamp(path) != before:
            raise SlideChangedError(
                path.stem,
                "was written to or replaced while it was read",
                remedy="read it again when the file is complete",
            )
    finally:
        remove(copy.parent)


def _copied(path: Path, cache: Path, limit: float) -> Path | None:
    """Copy a slide into a folder of its own; None where there is no room, or it cannot be read."""
    remove_drafts(cache, older_than=_ABANDONED)
    place = sibling(cache / "slide")
    try:
        place.mkdir(parents=True)
        # Told before it is copied: whoever counts in the meantime counts it, too.
        size = sum(size for _, size, _ in _stamp(path))
        (place / _SIZE).write_text(str(size))
        if _fits(cache, size, limit):
            for part in _parts(path):
                if part.is_dir():
                    shutil.copytree(part, place / part.name)
                else:
                    shutil.copy2(part, place / part.name)
            return place / path.name
    except OSError:
        pass  # The reader says what is wrong with the slide; a full disk is none of its faults.
    remove(place)
    return None


#: The file beside a copy that says what it will take, bytes.
_SIZE = ".size"

#: Age of a copy from which it is nobody's any more, where its process cannot be asked, s.
_ABANDONED = 7 * 86_400.0


def _parts(path: Path) -> list[Path]:
    """The file or folder of a slide, and what belongs to it; none where that is not known."""
    suffix = path.suffix.lower()
    if suffix in _SCATTERED:
        return []
    # A folder of DICOM files is as good as one of OME-Zarr.
    return [path, path.with_suffix("")] if suffix == ".mrxs" else [path]


def _stamp(path: Path) -> list[tuple[int, int, int]]:
    """What changes with a slide's content: number, size and time of each file; [] if unknown."""
    try:
        files = [
            file
            for part in _parts(path)
            for file in (sorted(part.rglob("*")) if part.is_dir() else [part])
        ]
        facts = [file.stat() for file in files if not file.is_dir()]
    except OSError:
        return []
    return [(fact.st_ino, fact.st_size, fact.st_mtime_ns) for fact in facts]


def _fits(cache: Path, size: int, limit: float) -> bool:
    """Whether all copies, this one among them, fit the limit and the disk."""
    total = sum(_promised(file) for file in cache.glob(f".slide.*.tmp/{_SIZE}"))
    return total <= limit and size + _SPARE <= shutil.disk_usage(cache).free


def _promised(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0  # Gone since it was listed.
