"""Manifests: sizes and hashes of a folder's files, written last.

A manifest finds what was changed, cut or lost. It has no key: whoever may write the files may write
their manifest, too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_hagmil.errors import ManifestError
from napari_hagmil.files import replacing
from napari_hagmil.untrusted import MAX_JSON_BYTES, parse_json, read_json, read_regular

SCHEMA = "napari-hagmil/manifest/1"

#: A folder's manifest.
NAME = "manifest.json"

#: What a result may say differently each time it is made from the same things, at any depth.
PASSING = frozenset({"seconds", "start", "host", "pid", "bytes_read"})

#: What manifests of earlier versions leave out. Two threads may both read a tile or share it, so
#: that the bytes of one analysis differ from those of the next.
_EARLIER = frozenset({"seconds", "start", "host", "pid"})

#: Files that are hashed without what passes, wherever they stand: JSON, and pages on which it is
#: marked.
RESULTS = frozenset({"result.json", "metrics.json", "report.html"})

_MARKED = re.compile(rb'<span class="passing">[0-9.,]*</span>')

#: Bytes of a manifest: a slide's features have a line for some hundred patches.
_LIMIT = 64 * 2**20

_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class FileFacts:
    """The expected size and hash of a file.

    Attributes
    ----------
    sha256 : str
        Of its bytes; where `size` is None, without what passes.
    size : int or None
        Bytes.
    without : frozenset of str
        The keys that were left out of the hash, where `size` is None.
    """

    sha256: str
    size: int | None
    without: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a folder.

    Attributes
    ----------
    files : mapping of str to FileFacts
        By their place below the folder, with "/" between its parts.
    """

    files: Mapping[str, FileFacts]

    def matches(self, place: str, data: bytes | memoryview) -> bool:
        """Whether these bytes are those of a file."""
        known = self.files.get(place)
        return known is not None and known.sha256 == hashlib.sha256(data).hexdigest()


def write_manifest(folder: Path, *, leave_out: Collection[str] = ()) -> Manifest:
    """Write the manifest of everything in a folder.

    Parameters
    ----------
    folder : Path
    leave_out : collection of str
        Names at the top of the folder that other programs write.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
    files = {
        place: file_facts(folder / place)
        for place in _places(folder)
        if place.split("/", 1)[0] not in leave_out
    }
    document = {
        "schema": SCHEMA,
        "files": {place: _entry(facts) for place, facts in sorted(files.items())},
    }
    with replacing(folder / NAME) as draft:
        draft.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return Manifest(files)


def read_manifest(folder: Path) -> Manifest:
    """Read a folder's manifest.

    Raises
    ------
    FileNotFoundError
        When there is none.
    ManifestError
        When it is no manifest.
    """
    try:
        said = read_json(folder / NAME, limit=_LIMIT)
        if said["schema"] != SCHEMA:
            raise ValueError(f"its schema is {said['schema']!r:.80}")
        return Manifest({str(place): _facts(place, one) for place, one in said["files"].items()})
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ManifestError(
            f"{folder.name}/{NAME}", f"cannot be read ({error})", remedy="make the folder again"
        ) from error


def check_manifest(folder: Path) -> dict[str, str]:
    """Compare a folder with its manifest: a clause for each path that differs.

    Foreign files beside the listed ones are ignored; inside a listed folder they are reported.

    Raises
    ------
    FileNotFoundError, ManifestError
        As `read_manifest`.
    """
    files = read_manifest(folder).files
    findings = {place: file_difference(folder / place, known) for place, known in files.items()}
    own = {place.split("/", 1)[0] for place in files if "/" in place}
    for place in _places(folder):
        if place not in files and "/" in place and place.split("/", 1)[0] in own:
            findings[place] = "is not in the manifest"
    return {place: wrong for place, wrong in findings.items() if wrong}


def file_difference(path: Path, known: FileFacts) -> str:
    """Say how a file differs from what is expected; "" where it does not."""
    try:
        if path.is_symlink() or not path.is_file():
            return "is a link" if path.is_symlink() else "is missing"
        size = path.stat().st_size
        if known.size is not None and size != known.size:
            return f"has {size:,} bytes, not {known.size:,}"
        found = file_facts(path, known.without or PASSING)
        if (found.size is None) != (known.size is None):
            return "is not hashed as a file of its name is"
    except (OSError, ValueError) as error:
        return f"cannot be read ({error})"
    return "" if found.sha256 == known.sha256 else "is not what was written"


def file_facts(path: Path, without: Collection[str] = PASSING) -> FileFacts:
    """Hash a file; a result without seconds, start, host, pid and bytes read.

    Raises
    ------
    OSError
        When it cannot be read.
    ValueError
        When it is a result that is no JSON.
    """
    if path.name in RESULTS:
        data = _without_passing(path, without)
        return FileFacts(hashlib.sha256(data).hexdigest(), None, frozenset(without))
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return FileFacts(digest.hexdigest(), size)


def _without_passing(path: Path, without: Collection[str]) -> bytes:
    data = read_regular(path, MAX_JSON_BYTES)
    if path.suffix != ".json":
        return _MARKED.sub(b"", data)
    return json.dumps(
        _lasting(parse_json(data), without), sort_keys=True, separators=(",", ":")
    ).encode()


def _lasting(value: Any, without: Collection[str]) -> Any:
    if isinstance(value, dict):
        return {key: _lasting(one, without) for key, one in value.items() if key not in without}
    return [_lasting(one, without) for one in value] if isinstance(value, list) else value


def _places(folder: Path) -> list[str]:
    """Files and links below a folder, but for its manifest and drafts."""
    found = [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    ]
    return sorted(place for place in found if place != NAME and not _is_draft(place))


def _is_draft(place: str) -> bool:
    return any(part.startswith(".") and part.endswith(".tmp") for part in place.split("/"))


def _entry(facts: FileFacts) -> dict[str, object]:
    if facts.size is None:
        return {"sha256": facts.sha256, "without": sorted(facts.without)}
    return {"sha256": facts.sha256, "size": facts.size}


def _facts(place: str, said: Mapping[str, Any]) -> FileFacts:
    """One entry, checked: a place below the folder and no other."""
    parts = Path(place).parts
    if not parts or Path(place).is_absolute() or ".." in parts or "\\" in place or "\0" in place:
        raise ValueError(f"{place!r:.80} is no place in its folder")
    sha256, size = said["sha256"], said.get("size")
    if not (isinstance(sha256, str) and len(sha256) == 64):
        raise ValueError(f"{place!r:.80} has no SHA-256")
    without = frozenset(said.get("without", ()))
    if size is None and without not in (PASSING, _EARLIER):
        raise ValueError(f"{place!r:.80} has no size")
    if size is not None and not (type(size) is int and size >= 0):
        raise ValueError(f"{place!r:.80} has the size {size!r:.40}")
    return FileFacts(sha256, size, without)
