"""napari's reader: a path → its layers, be it a slide, a results folder or annotations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.utils import progress

from napari_hagmil.errors import HagmilError
from napari_hagmil.plugin.layers import LayerTuple, placed, slide_layer
from napari_hagmil.plugin.shown import slide_shown
from napari_hagmil.slide import Slide, open_slide

#: Files that make a folder a candidate: of a DICOM slide, or of a Zarr.
_FOLDER_MEMBERS = ("*.dcm", "zarr.json", ".zgroup", ".zarray", ".zattrs")

_ANNOTATIONS = (".geojson", ".json", ".xml", ".annotations")

#: What is in every folder that `own_files` reads.
_OWN_MEMBERS = ("result.json", "zarr.json")

Reader = Callable[[str | list[str]], list[LayerTuple]]


def get_reader(path: str | list[str]) -> Reader | None:
    """Return a function that reads the path, or None when this package cannot.

    napari applies no filename patterns to folders, so this looks for their members.
    """
    first = Path(path[0] if isinstance(path, list) else path)
    if first.is_dir():
        if _is_own(first):
            return read_layers
        if not any(any(first.glob(pattern)) for pattern in _FOLDER_MEMBERS):
            return None
    try:
        if first.suffix.lower() in _ANNOTATIONS:
            from napari_hagmil.export.annotations_reader import read_annotations

            read_annotations(first)
        else:
            open_slide(first).close()
    except HagmilError:
        return None
    return read_layers


def read_layers(path: str | list[str]) -> list[LayerTuple]:
    """Layers of one or more paths that `get_reader` takes."""
    paths = path if isinstance(path, list) else [path]
    return [layer for one in paths for layer in _layers(Path(one))]


def _is_own(folder: Path) -> bool:
    """Whether a folder holds results of this package, or attention that it has written."""
    if not any((folder / name).is_file() for name in _OWN_MEMBERS):
        return False
    # Not at the top: what reads results takes some 50 MB, and a slide needs none of it.
    from napari_hagmil.plugin.own_files import attention_images, is_result

    return is_result(folder) or bool(attention_images(folder))


def _layers(path: Path) -> list[LayerTuple]:
    if path.suffix.lower() not in _ANNOTATIONS and not _is_own(path):
        slide = open_slide(path)
        return [placed(_slide_layer(slide), slide)]
    from napari_hagmil.plugin.own_files import (
        annotation_layers,
        attention_images,
        attention_layers,
        is_result,
        result_layers,
    )

    if path.suffix.lower() in _ANNOTATIONS:
        mpp, origin = slide_shown()
        return annotation_layers(path, mpp, origin)
    return result_layers(path) if is_result(path) else attention_layers(attention_images(path))


def _slide_layer(slide: Slide) -> LayerTuple:
    """The layer of a slide, with napari's progress bar while its coarse levels are made."""
    bars: list[Any] = []

    def show(share: float) -> None:
        if not bars:
            bars.append(progress(total=100, desc=f"Coarse levels of {slide.name}"))
        bars[0].update(int(100 * share) - bars[0].n)

    slide.view_levels(on_progress=show)
    for bar in bars:
        bar.close()
    return slide_layer(slide)
