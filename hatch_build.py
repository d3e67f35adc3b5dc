"""Refuse to build a package whose manifest is not the one at the root of the repository.

npe2 looks for ``napari.yaml`` inside the package only. A symlink becomes a text file of 17 bytes
in a Windows checkout, and hatchling's ``force-include`` does not reach an editable install; so the
package holds a copy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManifestHook(BuildHookInterface[Any]):
    """Compares the two manifests before anything is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Raise where they differ."""
        root = Path(self.root)
        copy = root / "src" / "napari_hagmil" / "napari.yaml"
        if copy.is_symlink() or copy.read_bytes() != (root / "napari.yaml").read_bytes():
            raise ValueError(f"{copy} differs from the manifest at the root; copy that over it")
