"""Verify that a folder's files are as they were written, by their manifests and hash chains.

Neither has a key. They detect what a disk, a copy or a careless hand changed; whoever can write the
files can also write a manifest, unless its hash was noted elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_hagmil.errors import ManifestError, statement_of
from napari_hagmil.export.result_json import changed_versions
from napari_hagmil.ledger import check_manifest, read_manifest
from napari_hagmil.review.chain import check_journal, is_journal
from napari_hagmil.untrusted import read_json
from napari_hagmil.viewing.table import check_table, is_table

_MANIFEST = "manifest.json"

#: Files that a manifest belongs beside: what each makes of its folder.
_MARKS = {"result.json": "a result", "metrics.json": "an evaluation"}

#: The beginning of the schema of a slide's features.
_FEATURES = "napari-hagmil/features/"


@dataclass(frozen=True, slots=True)
class Finding:
    """A file that differs from what was written.

    Attributes
    ----------
    place : str
        Below the folder that was verified.
    what : str
        A clause: "is missing".
    """

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place} {self.what}"


@dataclass(slots=True)
class Verification:
    """The outcome of a verification.

    Attributes
    ----------
    files, journals : int
        How many were compared with a manifest, and by their chain or seal.
    findings : list of Finding
    notes : list of Finding
        Remarks on intact files: a result of other versions.
    """

    files: int = 0
    journals: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)


def verify_folder(folder: Path) -> Verification:
    """Compare everything in a folder that has a manifest or a chain with it.

    Results of `analyze`, predictions, runs, feature stores and journals are found at any depth;
    hidden folders, which hold drafts and claims, and links are left out. `folder` may also be a
    journal.
    """
    found = Verification()
    if folder.is_file():
        _verify_journal(folder, folder.name, found)
        return found
    for here in _folders(folder):
        _verify_one(here, folder, found)
    return found


def _folders(folder: Path) -> Iterator[Path]:
    """A folder and those below it; one with a manifest answers for all that is in it."""
    for here, names, _ in os.walk(folder):
        yield Path(here)
        is_listed = (Path(here) / _MANIFEST).exists()
        names[:] = [] if is_listed else sorted(n for n in names if not n.startswith("."))


def _verify_one(here: Path, folder: Path, found: Verification) -> None:
    place = here.relative_to(folder).as_posix()
    prefix = "" if place == "." else f"{place}/"
    if (here / _MANIFEST).exists():
        _verify_manifest(here, prefix, found)
        return
    name = place if prefix else here.name
    what = _kind(here)
    if what:
        found.findings.append(Finding(name, f"is {what} without a {_MANIFEST}"))
    for path in sorted(here.iterdir()):
        if (is_journal(path) or is_table(path)) and path.is_file():
            _verify_journal(path, prefix + path.name, found)


def _verify_manifest(here: Path, prefix: str, found: Verification) -> None:
    try:
        wrong = check_manifest(here)
        found.files += len(read_manifest(here).files)
    except ManifestError as error:
        found.findings.append(Finding(f"{prefix}{_MANIFEST}", _clause(error)))
        return
    found.findings += [Finding(prefix + place, what) for place, what in wrong.items()]
    if "result.json" not in wrong and (here / "result.json").exists():
        note = changed_versions(read_json(here / "result.json"))
        found.notes += [Finding(f"{prefix}result.json", note)] if note else []


def _clause(error: ManifestError) -> str:
    return statement_of(error).removeprefix(error.problem.subject).strip()


def _kind(here: Path) -> str:
    """What a folder without a manifest holds that should have one; "" where nothing."""
    for name, what in _MARKS.items():
        if (here / name).is_file():
            return what
    try:
        attributes: Any = read_json(here / "zarr.json", limit=2**20)["attributes"]
        return "features" if str(attributes["schema"]).startswith(_FEATURES) else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _verify_journal(path: Path, place: str, found: Verification) -> None:
    """A journal by its chain, a path of the viewport by its seal."""
    try:
        wrong = check_table(path) if is_table(path) else check_journal(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        wrong = f"cannot be read ({error})"
    found.journals += 1
    found.findings += [Finding(place, wrong)] if wrong else []
