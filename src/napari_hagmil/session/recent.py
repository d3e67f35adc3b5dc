"""Slides and models that were opened last, kept in the user's state folder and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

from platformdirs import user_state_path

from napari_hagmil.errors import OutputError
from napari_hagmil.files import is_there, replacing, write_private
from napari_hagmil.untrusted import read_json

#: How many are kept.
KEPT = 10

_MAX_BYTES = 2**20


class RecentPaths:
    """A list of paths, the last opened first.

    Parameters
    ----------
    file : Path, optional
        Where it is kept; by default in the user's state folder.
    """

    NAME: ClassVar[str]

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or user_state_path("napari-hagmil", appauthor=False) / self.NAME

    def paths(self) -> list[Path]:
        """Those that still exist; empty when the list cannot be read."""
        try:
            listed = read_json(self._file, limit=_MAX_BYTES)
            return [Path(path) for path in listed if is_there(Path(path))][:KEPT]
        except (OSError, ValueError, TypeError):
            return []

    def add(self, path: Path) -> None:
        """Put a path first."""
        path = path.resolve()
        self._write([path, *(one for one in self.paths() if one != path)][:KEPT])

    def clear(self) -> None:
        """Forget all of them."""
        self._write([])

    def _write(self, paths: list[Path]) -> None:
        try:
            with replacing(self._file) as draft:
                write_private(draft, json.dumps([str(path) for path in paths]))
        except OutputError:
            # The list is a convenience: a slide must open even where it cannot be saved.
            return


class RecentSlides(RecentPaths):
    """The slides that were opened last."""

    NAME = "recent.json"


class RecentBundles(RecentPaths):
    """The model bundles that were chosen last, of those that do not ship with the package."""

    NAME = "bundles.json"
