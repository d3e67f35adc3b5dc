"""napari's reader: a slide's path → its layers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.utils import progress

from napari_hagmil.errors import HagmilError
from napari_hagmil.plugin.layers import LayerTuple, slide_layer
from napari_hagmil.slide import open_slide

#: Files that make a folder a candidate: of a DICOM slide, or of a Zarr.
_FOLDER_MEMBERS = ("*.dcm", "zarr.json", ".zgroup", ".zarray", ".zattrs")

Reader = Callable[[str | list[str]], list[LayerTuple]]


def get_reader(path: str | list[str]) -> Reader | None:
    """Return a function that reads the path, or None when it is not a slide.

    napari applies no filename patterns to folders, so this looks for their members.
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
    return [_slide_layer(one) for one in paths]


def _slide_layer(path: str) -> LayerTuple:
    """The layer of a slide, with napari's progress bar while its coarse levels are made."""
    slide = open_slide(path)
    bars: list[Any] = []

    def show(share: float) -> None:
        if not bars:
            bars.append(progress(total=100, desc=f"Coarse levels of {slide.name}"))
        bars[0].update(int(100 * share) - bars[0].n)

    slide.view_levels(on_progress=show)
    for bar in bars:
        bar.close()
    return slide_layer(slide)
