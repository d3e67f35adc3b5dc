"""The cache on disk: a folder per kind of file, bounded; what was used longest ago goes first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from napari_hagmil.files import remove_drafts


@dataclass(frozen=True, slots=True)
class CacheKind:
    """One kind of files that are kept because making them again takes long.

    Attributes
    ----------
    name : str
        Of its folder.
    pattern : str
        Of its files' names.
    limit : float
        Bytes that all of them together may take, unless `variable` says otherwise.
    variable : str
        Environment variable with that limit in GB; 0 keeps none.
    """

    name: str
    pattern: str
    limit: float
    variable: str

    @property
    def folder(self) -> Path:
        """Below HAGMIL_CACHE, or in the user's cache folder."""
        return cache_root() / self.name

    @property
    def limit_bytes(self) -> float:
        """Bytes that all files together may take."""
        try:
            return max(0.0, float(os.environ[self.variable]) * 1e9)
        except (KeyError, ValueError):
            return self.limit

    def files(self) -> list[tuple[Path, int]]:
        """Files and their bytes, the one used last first."""
        found = list(self._stated())
        found.sort(key=lambda each: each[2], reverse=True)
        return [(file, size) for file, size, _ in found]

    def make_room(self, kept: Path | None = None) -> None:
        """Remove the least recently used files until the others fit, but never `kept`."""
        remove_drafts(self.folder)
        total, limit = 0, self.limit_bytes
        for file, size in self.files():
            total += size
            if total > limit and file != kept:
                remove_cached(file)

    def clear(self) -> int:
        """Remove every file; returns the bytes that were freed."""
        remove_drafts(self.folder, older_than=0)
        return sum(size for file, size in self.files() if remove_cached(file))

    def _stated(self) -> Iterator[tuple[Path, int, float]]:
        for file in self.folder.glob(self.pattern):
            try:
                stat = file.stat()
            except OSError:
                continue  # Another process has removed it since it was listed.
            yield file, stat.st_size, stat.st_mtime


PYRAMIDS = CacheKind("pyramids", "*-1.tif", 10e9, "HAGMIL_CACHE_GB")
FEATURES = CacheKind("features", "*/*.safetensors", 5e9, "HAGMIL_FEATURES_GB")
GRAPHS = CacheKind("graphs", "*.onnx", 2e9, "HAGMIL_GRAPHS_GB")

KINDS = (PYRAMIDS, FEATURES, GRAPHS)


def cache_root() -> Path:
    """HAGMIL_CACHE, or the user's cache folder."""
    stated = os.environ.get("HAGMIL_CACHE")
    return Path(stated) if stated else platformdirs.user_cache_path("napari-hagmil")


def mark_used(file: Path) -> None:
    """Note that a file was used now, so that others make room first; no error where it is gone."""
    try:
        os.utime(file)
    except OSError:
        return


def remove_cached(file: Path) -> bool:
    """Remove a file; an open one stays where the system says so (Windows)."""
    try:
        file.unlink()
    except OSError:
        return False
    return True
