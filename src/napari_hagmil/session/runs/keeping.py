"""The last complete result of a slide, kept beside the journal of its review."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from napari_hagmil.bundles import find_bundle
from napari_hagmil.cascade import SlideResult, SlideSummary
from napari_hagmil.errors import HagmilError
from napari_hagmil.export.result_reader import keep_result
from napari_hagmil.models.bundle import bundle_sha256
from napari_hagmil.review import Sitting
from napari_hagmil.review.readers import reader_of
from napari_hagmil.review.shelf import review_folders
from napari_hagmil.slide import Slide

SUFFIX = ".result"


def keep(sitting: Sitting, result: SlideResult) -> None:
    """Keep a result where the review is written; not where another window writes it.

    Raises
    ------
    OutputError
        When the folder cannot be written.
    """
    if sitting.journal is not None and not (sitting.held_by or sitting.lost):
        keep_result(result, _folder(sitting.journal.path, _name(result.slide)))


def kept(sitting: Sitting, slide: Slide) -> Path | None:
    """Where a result for exactly these bytes and this pixel size is kept; None without one."""
    shelf = sitting.shelf
    places = (shelf.journal, shelf.found, shelf.fallback) if shelf else ()
    folders = [_folder(one, _name(slide)) for one in places if one is not None]
    return next((one for one in folders if (one / "result.json").is_file()), None)


def latest_kept(slide: Path) -> Path | None:
    """The latest result kept of a slide that need not be open: perhaps of earlier bytes of it."""
    found = [one for folder in review_folders(slide) for one in folder.glob(f"*{SUFFIX}")]
    whole = [one for one in found if (one / "result.json").is_file()]
    return max(whole, key=lambda one: one.stat().st_mtime, default=None)


def kept_of_earlier(slide: Slide) -> Path | None:
    """The latest result kept of what a slide's file held before; None without one."""
    found = [
        one
        for folder in review_folders(slide.path)
        for one in folder.glob(f"*{SUFFIX}")
        if not one.name.startswith(slide.fingerprint) and (one / "result.json").is_file()
    ]
    return max(found, key=lambda one: one.stat().st_mtime, default=None)


def model_of(result: SlideResult, names: Iterable[str]) -> str:
    """The first of some bundles whose weights found a result; empty where none did."""
    return next((name for name in names if is_of_model(result, name)), "")


def is_of_model(result: SlideResult, name: str) -> bool:
    """Whether a result was found with the weights that a bundle has today."""
    try:
        return bundle_sha256(find_bundle(name)) == result.model.sha256
    except HagmilError:
        return False


def _name(slide: Slide | SlideSummary) -> str:
    """A pixel size that the user gave has a result of its own: undo brings the other one back."""
    given = slide.mpp is not None and slide.mpp_source == "given"
    return slide.fingerprint + (f"-{slide.mpp:.6g}um" if given else "")


def _folder(journal: Path, name: str) -> Path:
    """Beside the journals that everybody shares: a result belongs to no reader."""
    folder = journal.parent
    return (folder.parent if reader_of(folder) else folder) / (name + SUFFIX)
