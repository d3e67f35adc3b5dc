"""Keyed pseudonyms, and links named by them that stand in for slides, tables and folders.

What works on a stand-in never learns the name of the file or folder behind it, so that neither its
results nor its errors can tell it. The same key gives the same slide the same pseudonym, so that
results can be joined. Without the key nobody can find the name behind a pseudonym, not even by
trying names.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from platformdirs import user_data_path

from napari_hagmil.cohort import Cohort, SlideRecord
from napari_hagmil.cohort.cohort import KNOWN_SUFFIXES, default_name
from napari_hagmil.errors import OutputError, SlideFormatError, system_reason
from napari_hagmil.files import replacing, sibling, write_csv, write_private
from napari_hagmil.slide.location import local_path, url_of
from napari_hagmil.untrusted import read_regular

#: Bytes of a key.
_KEY = 32

Kind = Literal["slide", "patient", "truth", "cohort", "features", "file"]

#: How the name of a slide's pseudonym looks.
_SLIDE = re.compile(r"slide-[a-z2-7]{16}")

#: Names of stand-ins.
_OWN = re.compile(r"(slide|truth|cohort|features|file)-[a-z2-7]{16}(\..+)?")

#: What belongs to one slide by its name: features and outlines.
_BY_NAME = (".zarr", ".h5", ".hdf5", ".pt", ".geojson", ".xml", ".annotations")

#: Slides that are several files, which find each other by their names or their folder.
_BESIDE = (".dcm", ".vms", ".vmu")

#: Folders below one with features: those of the official code lie two deep.
_DEEP = 2


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Pseudonyms by one key, and the folder of what stands in for files.

    Attributes
    ----------
    key : bytes
        See `own_key`.
    folder : Path
        The user's alone: the links in it lead back to the names.
    """

    key: bytes
    folder: Path

    @classmethod
    def own(cls) -> Pseudonyms:
        """Those of the user, kept in the data folder."""
        return cls(own_key(), _data_folder() / "stand-ins")

    def of(self, kind: Kind, name: str) -> str:
        """The pseudonym of a name: its kind, and 16 letters and digits."""
        return f"{kind}-{self._digest(name)}"

    def slide(self, path: Path) -> Path:
        """What stands in for a slide; its own stand-in for one.

        Raises
        ------
        SlideFormatError
            When the slide lies behind a URL.
        OutputError
            When no link can be made.
        """
        return self._slide(path, self.of("slide", path.name))

    def record(self, record: SlideRecord) -> SlideRecord:
        """A slide of a cohort with pseudonyms for its name and patient, and stand-ins for files.

        A slide has the pseudonym of its file, unless the table gives it a name of its own.
        """
        if self._is_mine(record.path) and is_pseudonym(record.name):
            return record
        own = record.name == default_name(record.path)
        name = self.of("slide", record.path.name if own else record.name)
        truth = record.truth
        return replace(
            record,
            path=self._slide(record.path, name),
            name=name,
            patient=name
            if record.patient in ("", record.name)
            else self.of("patient", record.patient),
            truth=None if truth is None else self.file(truth, "truth"),
        )

    def table(self, cohort: Cohort, source: Path) -> Path:
        """Write what stands in for the table of a cohort, `source`, or for a folder of slides."""
        records = list(map(self.record, cohort.records))
        path = self._place(source) / f"{self.of('cohort', source.name)}.csv"
        columns = ("slide", "label", "patient", "split", "name", "truth")
        rows = [[r.path, r.label, r.patient, r.split or "", r.name, r.truth or ""] for r in records]
        write_csv(path, columns, [[str(cell) for cell in row] for row in rows])
        path.chmod(0o600)
        return path

    def file(self, path: Path, kind: Kind = "file") -> Path:
        """What stands in for any other file or folder that is read; the suffix stays."""
        if self._is_mine(path):
            return path
        suffix = path.suffix if path.suffix.lower() in (*_BY_NAME, ".json", ".csv", ".dcm") else ""
        return self._link(self._place(path) / f"{self.of(kind, path.name)}{suffix}", path)

    def below(self, path: Path) -> Path:
        """A path whose last part is kept, which the user chose, and whose folders are hidden."""
        if self._is_mine(path.parent) or (path.parent == Path() and path.name not in ("", "..")):
            return path
        path = path if path.name else path.absolute()
        parent = path.parent
        with suppress(OSError):  # what uses it says better what is wrong
            parent.mkdir(parents=True, exist_ok=True)
        return self._link(self._place(path) / self.of("file", parent.name), parent) / path.name

    def named(self, path: Path, names: Mapping[str, str]) -> Path:
        """What stands in for a file or folder of features or outlines, named after slides.

        Parameters
        ----------
        path : Path
        names : mapping
            Pseudonyms by what files of a slide are named: see `names_of`.
        """
        if self._is_mine(path):
            return path
        folder = self._place(path) / self.of("features", path.name)
        if path.suffix in _BY_NAME or not path.is_dir():
            name = names.get(path.stem) or self.of("features", path.stem)
            return self._link(folder / f"{name}{path.suffix}", path)
        self._mirror(path, folder, names, _DEEP)
        return folder

    def _mirror(self, path: Path, folder: Path, names: Mapping[str, str], deep: int) -> None:
        _private(folder)
        for entry in sorted(path.iterdir()):
            stem, suffix = entry.name.removesuffix(entry.suffix), entry.suffix
            name = stem if _SLIDE.fullmatch(stem) else names.get(stem)
            if suffix in _BY_NAME:
                if name:
                    self._link(folder / f"{name}{suffix}", entry)
            elif deep and entry.is_dir():
                self._mirror(entry, folder / entry.name, names, deep - 1)

    def _slide(self, path: Path, name: str) -> Path:
        if url_of(path) is not None:
            raise SlideFormatError(
                "a slide behind an address", "cannot have a pseudonym", remedy="fetch it first"
            )
        path = local_path(path)
        if self._is_mine(path):
            return path
        suffix = path.suffix.lower()
        kept = path.suffix if suffix in KNOWN_SUFFIXES else ""
        folder = self._place(path)
        for beside, target in _companions(path, name):
            folder = self._place(path) / name
            self._link(folder / beside, target)
        return self._link(folder / f"{name}{kept}", path)

    def _place(self, path: Path) -> Path:
        """The folder for the stand-ins of what lies in one folder."""
        return self.folder / self._digest(os.fspath(path.absolute().parent))

    def _link(self, link: Path, target: Path) -> Path:
        _private(self.folder)
        _private(link.parent)
        target = target.absolute()
        if link.is_symlink() and link.readlink() == target:
            return link
        draft = sibling(link)
        try:
            draft.symlink_to(target, target_is_directory=target.is_dir())
            draft.replace(link)
        except OSError as error:
            raise OutputError(
                "a link that stands in for a file",
                f"cannot be made ({system_reason(error)})",
                remedy="allow links for your account (developer mode on Windows), or leave out "
                "pseudonyms",
            ) from None
        return link

    def _is_mine(self, path: Path) -> bool:
        own = path.absolute().is_relative_to(self.folder)
        return own and _OWN.fullmatch(path.name) is not None

    def _digest(self, text: str) -> str:
        digest = hmac.new(self.key, os.fsencode(text), hashlib.sha256).digest()
        return base64.b32encode(digest[:10]).decode().lower()


def is_pseudonym(name: str) -> bool:
    """Whether a slide's name is a pseudonym, with or without a suffix."""
    return _SLIDE.fullmatch(default_name(Path(name))) is not None


def names_of(record: SlideRecord) -> Iterator[str]:
    """The names that files of a slide's features go by."""
    yield from (record.name, record.path.name, record.path.stem, record.path.name.split(".")[0])


def _companions(path: Path, name: str) -> Iterator[tuple[str, Path]]:
    """What must lie beside a slide for it to be read: names there, and what they stand for."""
    suffix = path.suffix.lower()
    if suffix == ".mrxs":
        yield name, path.with_suffix("")
    elif suffix in _BESIDE and path.is_file():
        for n, other in enumerate(sorted(path.parent.iterdir())):
            # DICOM instances find their series whatever they are called, be it without a suffix.
            fits = suffix != ".dcm" or other.suffix.lower() in ("", ".dcm")
            if fits and other.name != path.name and other.is_file():
                yield (f"{name}-{n}.dcm" if suffix == ".dcm" else other.name), other


def _private(folder: Path) -> None:
    """Make a folder that is the user's alone."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            "the folder of pseudonyms",
            f"cannot be made ({system_reason(error)})",
            remedy="make room in your data folder",
        ) from None


def _data_folder() -> Path:
    return user_data_path("napari-hagmil", appauthor=False)


def own_key(path: Path | None = None) -> bytes:
    """The user's key; made on first use, readable by the user alone.

    Parameters
    ----------
    path : Path, optional
        By default ``pseudonym.key`` in the user's data folder.

    Raises
    ------
    OutputError
        When it can be neither read nor made.
    """
    path = path or _data_folder() / "pseudonym.key"
    try:
        if not path.exists():
            with replacing(path) as draft:
                write_private(draft, secrets.token_hex(_KEY))
        key = bytes.fromhex(read_regular(path, 1024).decode("ascii").strip())
        if len(key) < _KEY:
            raise ValueError("it is too short")
    except (OSError, ValueError) as error:
        raise OutputError(
            f"the key of pseudonyms, {path.name},",
            f"can be neither read nor made ({error})",
            remedy="remove it to have a new one, which gives other pseudonyms",
        ) from error
    return key
