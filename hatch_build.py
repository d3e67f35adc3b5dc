"""Refuse to build a package whose manifest is not the one at the root; describe it for an index.

npe2 looks for ``napari.yaml`` inside the package only. A symlink becomes a text file of 17 bytes
in a Windows checkout, and hatchling's ``force-include`` does not reach an editable install; so the
package holds a copy.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

#: What a link leads to within the repository: neither an address nor a place on the page.
_FILE = r"(?!\w+:|#)([^)\s]+)"


class ManifestHook(BuildHookInterface[Any]):
    """Compares the two manifests before anything is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Raise where they differ."""
        root = Path(self.root)
        copy = root / "src" / "napari_hagmil" / "napari.yaml"
        if copy.is_symlink() or copy.read_bytes() != (root / "napari.yaml").read_bytes():
            raise ValueError(f"{copy} differs from the manifest at the root; copy that over it")


class DescriptionHook(MetadataHookInterface):
    """Makes the description of a package index of the README."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Put in the README without what leads to files that an index page does not have.

        The project has no public address that such a link could be completed with.
        """
        text = (Path(self.root) / "README.md").read_text("utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": without_files(text)}


def without_files(markdown: str) -> str:
    """Drop pictures of the repository, and name the files that links lead to instead of linking."""
    no_pictures = re.sub(rf"!\[[^\]]*\]\({_FILE}\)\n*", "", markdown)
    return re.sub(rf"\[([^\]]*)\]\({_FILE}\)", r"\1 (`\2` in the sources)", no_pictures)
