"""Where the journals of a slide are: beside it, or in the user's data folder."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from platformdirs import user_data_path

from napari_hagmil.errors import Problem
from napari_hagmil.files import fits_name
from napari_hagmil.review.readers import PREFIX, folder_name, reader_folder, reader_of

SUFFIX = ".hagmil-review"
JOURNAL = ".jsonl"


@dataclass(frozen=True, slots=True)
class Shelf:
    """The journal files of one slide.

    Attributes
    ----------
    journal : Path
        The one to write; its folder may not exist yet.
    fallback : Path
        Where to write when that fails: in the user's data folder.
    found : Path or None
        The one to read, written for exactly these bytes: the latest of all places.
    earlier : tuple of Path
        Journals written for this file when it had other content, latest first.
    """

    journal: Path
    fallback: Path
    found: Path | None
    earlier: tuple[Path, ...]


def shelf_of(
    slide: Path,
    fingerprint: str,
    *,
    user_folder: Path | None = None,
    beside_slide: bool = True,
    reader: str = "",
) -> Shelf:
    """Find the journals of a slide, and choose where to write.

    Parameters
    ----------
    slide : Path
        The slide's file or folder.
    fingerprint : str
        Of its content: a journal belongs to bytes, not to a name.
    user_folder : Path, optional
        Used where the slide's folder cannot be written; by default the user's data folder.
    beside_slide : bool
        Whether to write beside the slide, where its folder is writable.
    reader : str
        Whose journals; empty: those that everybody shares.
    """
    slide = slide.resolve()
    elsewhere = user_folder or _user_folder()
    beside, own = _places(slide, elsewhere)
    folder = beside if beside_slide and _writable(beside) else own
    name = fingerprint + JOURNAL
    # A link beside the slide could lead to any file of the user's.
    around = [one for one in (folder, beside, own, *_orphans(slide)) if not one.is_symlink()]
    places = [reader_folder(one, reader) / name for one in around]
    places = [one for one in places if not (one.parent.is_symlink() or one.is_symlink())]
    moved = Path(f"*{SUFFIX}") / folder_name(reader) / name
    places += sorted(elsewhere.glob(str(moved))) if elsewhere.is_dir() else []
    folder, beside, own = (reader_folder(one, reader) for one in (folder, beside, own))
    existing = {one: one.stat().st_mtime for one in places if one.is_file()}
    # A folder that has become read-only or writable since leaves two: the later one counts.
    found = max(existing, key=existing.__getitem__) if existing else None
    others = [p for f in (beside, own) for p in _own_files(f) if p.name != name]
    earlier = sorted(others, key=lambda p: p.stat().st_mtime, reverse=True)
    return Shelf(folder / name, own / name, found, tuple(earlier))


def journals_of(
    slide: Path, fingerprint: str = "", *, user_folder: Path | None = None
) -> dict[str, Path]:
    """The journal of every reader of a slide, that of the shared review under the name "".

    Parameters
    ----------
    slide : Path
        The slide's file or folder, which need not be there.
    fingerprint : str
        Of its content; empty where that is not known: the latest journal of each reader.
    user_folder : Path, optional
        As for `shelf_of`.
    """
    latest: dict[str, tuple[float, Path]] = {}
    for folder in review_folders(slide, user_folder=user_folder):
        for one in (folder, *folder.glob(f"{PREFIX}*")):
            for path in _own_files(one):
                if fingerprint in ("", path.stem):
                    found = path.stat().st_mtime, path
                    reader = reader_of(one) if one != folder else ""
                    latest[reader] = max(latest.get(reader, found), found)
    return {reader: path for reader, (_, path) in sorted(latest.items())}


def review_folders(slide: Path, *, user_folder: Path | None = None) -> list[Path]:
    """The folders that hold reviews of a slide: beside it, and in the user's data folder."""
    places = dict.fromkeys(_places(slide.resolve(), user_folder or _user_folder()))
    return [one for one in places if one.is_dir() and not one.is_symlink()]


def _user_folder() -> Path:
    return user_data_path("napari-hagmil", appauthor=False) / "reviews"


def _places(slide: Path, elsewhere: Path) -> tuple[Path, Path]:
    """The folder with a slide's reviews beside it, and the one in the user's data folder."""
    # A hash of the path tells slides of one name apart without disclosing the path.
    own = elsewhere / (hashlib.sha256(os.fsencode(slide)).hexdigest()[:24] + SUFFIX)
    beside = slide.with_name(slide.name + SUFFIX)
    return (beside if fits_name(beside) else own), own


def _own_files(folder: Path) -> list[Path]:
    if folder.is_symlink():
        return []
    return [path for path in folder.glob(f"*{JOURNAL}") if not path.is_symlink()]


def _orphans(slide: Path) -> list[Path]:
    """Review folders beside the slide whose slide is gone: it may have been renamed to this one."""
    return [
        folder
        for folder in sorted(slide.parent.glob(f"*{SUFFIX}"))
        if not folder.with_name(folder.name.removesuffix(SUFFIX)).exists()
    ]


def _writable(folder: Path) -> bool:
    """Whether the folder is writable or can be created; a symbolic link is not accepted."""
    if folder.is_symlink():
        return False
    if folder.is_dir():
        return os.access(folder, os.W_OK | os.X_OK)
    return os.access(folder.parent, os.W_OK | os.X_OK)


def keep_damaged(path: Path) -> Problem:
    """Copy a damaged journal before it is overwritten, and report that."""
    copy = path.with_name(f"{path.stem}.damaged-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    restored = "is damaged; what could be read of it was restored"
    try:
        copy.write_bytes(path.read_bytes())
    except OSError:
        return Problem(f"the journal {path.name}", restored)
    kept = f"and the whole file kept as {copy.name}"
    return Problem(f"the journal {path.name}", f"{restored}, {kept}")
