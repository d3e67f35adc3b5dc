"""Which picture of a collection in bioformats2raw's layout is the scan.

Converters write every picture of a slide's file, in its order: the first may be the macro.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import zarr

from napari_hagmil.errors import SlideFormatError
from napari_hagmil.geometry import is_plausible_mpp
from napari_hagmil.slide.formats.associated import associated_kind, is_camera_picture
from napari_hagmil.slide.formats.ome_zarr.layout import (
    ZarrLayout,
    malformed,
    ome_metadata,
    zarr_layout,
)
from napari_hagmil.slide.formats.tiff.stated import ome_pictures

#: A file of a scanner has some five pictures; a folder that claims more is not searched through.
_MOST = 256

#: Where bioformats2raw keeps the file's own metadata.
OME_XML = "OME/METADATA.ome.xml"


def is_collection(ome: Mapping[str, Any]) -> bool:
    """Whether a group is a collection of pictures, and no picture itself."""
    return ome.get("bioformats2raw.layout") == 3 and "multiscales" not in ome


def slide_layout(name: str, node: Any, text_at: Callable[[str], str]) -> ZarrLayout:
    """Find the levels of a slide: of a picture, or of the scan of a collection.

    Parameters
    ----------
    name : str
        Of the slide, for errors.
    node : zarr.Array or zarr.Group
        What the slide's path names.
    text_at : callable
        Called with a key below `node`; returns the text of that document, "" without one.

    Raises
    ------
    SlideFormatError
        When no picture is found.
    """
    if isinstance(node, zarr.Array) or not is_collection(ome_metadata(name, node)):
        return zarr_layout(name, node)
    paths = collection_paths(node)
    told = [one.name for one in ome_pictures(text_at(OME_XML))]
    found: list[ZarrLayout] = []
    names: list[str] = []
    failed: SlideFormatError | None = None
    for number, path in enumerate(paths):
        picture = node.get(path)
        if not isinstance(picture, zarr.Group):
            continue
        try:
            layout = zarr_layout(name, picture)
        except SlideFormatError as error:
            failed = failed or error
            continue
        found.append(layout)
        names.append(layout.title or (told[number] if len(told) == len(paths) else ""))
    if not found:
        raise failed or malformed(name, f"its collection has no picture {(*paths, '0')[0]}")
    return _scan_of(found, [*_kinds(found, names)])


def collection_paths(node: Any) -> list[str]:
    """Groups of a collection's pictures, as it lists them, or by their numbers."""
    series = node.get("OME")
    said = {} if series is None else series.attrs.asdict()
    said = said.get("ome", said)
    listed = said.get("series") if isinstance(said, Mapping) else None
    if isinstance(listed, list) and listed:
        return [str(path) for path in listed[:_MOST]]
    paths: list[str] = []
    while len(paths) < _MOST and isinstance(node.get(str(len(paths))), zarr.Group):
        paths.append(str(len(paths)))
    return paths


def _kinds(found: Sequence[ZarrLayout], names: Sequence[str]) -> list[str]:
    sizes = [_mpp(layout) for layout in found]
    kinds = []
    for i, name in enumerate(names):
        others = sizes[:i] + sizes[i + 1 :]
        camera = "macro" if is_camera_picture(sizes[i], others) else ""
        kinds.append(associated_kind(name) or camera)
    return kinds


def _scan_of(found: Sequence[ZarrLayout], kinds: Sequence[str]) -> ZarrLayout:
    """Choose the largest scan of a known pixel size, or the largest picture; name the others."""
    order = range(len(found))
    scans = [i for i in order if not kinds[i]] or list(order)
    measured = [i for i in scans if is_plausible_mpp(_mpp(found[i]))]
    chosen = max(measured or scans, key=lambda i: found[i].size("y") * found[i].size("x"))
    others = tuple(kinds[i] or "other" for i in order if i != chosen)
    return replace(found[chosen], associated=others)


def _mpp(layout: ZarrLayout) -> float | None:
    if layout.placement is None:
        return None
    y, x = layout.placement.scale
    return float((y * x) ** 0.5) if y > 0 and x > 0 else None
