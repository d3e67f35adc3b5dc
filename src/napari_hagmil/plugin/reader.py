"""napari's reader: a slide's path → its layers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari_hagmil.errors import HagmilError
from napari_hagmil.plugin.layers import LayerTuple, slide_layer
from napari_hagmil.slide import open_slide

#: What a folder must hold to be looked at: a DICOM slide, or a Zarr.
_FOLDER_MEMBERS = ("*.dcm", "zarr.json", ".zgroup", ".zarray", ".zattrs")

Reader = Callable[[str | list[str]], list[LayerTuple]]


def get_reader(path: str | list[str]) -> Reader | None:
    """Return a function that reads the path, or None when it is not a slide.

    napari does not apply filename patterns to folders: they are looked into here.
    """
    first = Path(path[0] if isinstance(path, list) else path)
    if first.is_dir() and not any(any(first.glob(pattern)) for pattern in _FOLDER_MEMBERS):
        return None
    try:
        open_slide(first).close()
    except HagmilError:
        return None
    return read_slides


def read_slides(path: str | list[str]) -> list[LayerTuple]:
    """Layers of one or more slides."""
    paths = path if isinstance(path, list) else [path]
    return [slide_layer(open_slide(one)) for one in paths]
