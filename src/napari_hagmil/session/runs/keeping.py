"""The last complete result of a slide, kept beside the journal of its review."""

from __future__ import annotations

from pathlib import Path

from napari_hagmil.bundles import find_bundle
from napari_hagmil.cascade import SlideResult
from napari_hagmil.errors import HagmilError
from napari_hagmil.export.result_reader import keep_result
from napari_hagmil.models.bundle import bundle_sha256
from napari_hagmil.review import Sitting
from napari_hagmil.review.readers import reader_of
from napari_hagmil.review.shelf import review_folders

SUFFIX = ".result"


def keep(sitting: Sitting, result: SlideResult) -> None:
    """Keep a result where the review is written; not where another window writes it.

    Raises
    ------
    OutputError
        When the folder cannot be written.
    """
    if sitting.journal is not None and not (sitting.held_by or sitting.lost):
        keep_result(result, _folder(sitting.journal.path, result.slide.fingerprint))


def kept(sitting: Sitting, fingerprint: str) -> Path | None:
    """Where a result for exactly these bytes is kept; None without one."""
    shelf = sitting.shelf
    places = (shelf.journal, shelf.found, shelf.fallback) if shelf else ()
    folders = [_folder(one, fingerprint) for one in places if one is not None]
    return next((one for one in folders if (one / "result.json").is_file()), None)


def latest_kept(slide: Path) -> Path | None:
    """The latest result kept of a slide that need not be open: perhaps of earlier bytes of it."""
    found = [one for folder in review_folders(slide) for one in folder.glob(f"*{SUFFIX}")]
    whole = [one for one in found if (one / "result.json").is_file()]
    return max(whole, key=lambda one: one.stat().st_mtime, default=None)


def is_of_model(result: SlideResult, name: str) -> bool:
    """Whether a result was found with the weights that a bundle has today."""
    try:
        return bundle_sha256(find_bundle(name)) == result.model.sha256
    except HagmilError:
        return False


def _folder(journal: Path, fingerprint: str) -> Path:
    """Beside the journals that everybody shares: a result belongs to no reader."""
    folder = journal.parent
    return (folder.parent if reader_of(folder) else folder) / (fingerprint + SUFFIX)
