"""Read annotations of QuPath and others from GeoJSON, with their classes and comments."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.errors import AnnotationError
from napari_hagmil.export.geojson_reader import (
    AREAS,
    child_annotations,
    geometries,
    is_empty,
    polygons_of,
    read_json,
)
from napari_hagmil.export.mask import read_mask
from napari_hagmil.export.xml_annotations import XML_SUFFIXES, read_xml_annotations
from napari_hagmil.geometry import from_file_xy
from napari_hagmil.polygons import Rings, are_on_a_slide
from napari_hagmil.polygons import outline as outline_of
from napari_hagmil.review import UNCLASSIFIED, Annotation, AnnotationKind, PathClass, new_id
from napari_hagmil.review.state import FEWEST
from napari_hagmil.slide.canvas import Origin

#: What the files end in that are read here, dropped on the window too.
ANNOTATION_SUFFIXES = (".geojson", ".json", *sorted(XML_SUFFIXES, reverse=True))
#: Suffixes of masks.
MASKS = frozenset({".tif", ".tiff"})

#: As a dialog says it.
ANNOTATION_FILES = (
    "GeoJSON, ASAP, ImageScope, HALO, mask "
    f"({' '.join(f'*{one}' for one in (*ANNOTATION_SUFFIXES, *sorted(MASKS)))})"
)

#: The kind of annotation that each geometry becomes, and how many positions it needs.
_KINDS: dict[str, tuple[AnnotationKind, int]] = {
    "Point": ("point", 1),
    "MultiPoint": ("point", 1),
    "LineString": ("ruler", 2),
    "MultiLineString": ("ruler", 2),
}

#: Kinds of areas that our own files tell apart.
_OWN_KINDS: dict[str, AnnotationKind] = {
    "freehand": "freehand", "rectangle": "rectangle", "ellipse": "ellipse"
}  # fmt: skip

#: QuPath's packed colours: alpha, red, green, blue in 32 bits, signed or not.
_PACKED = range(-(2**31), 2**32)


def read_annotations(
    path: str | Path,
    *,
    origin: Origin = (0, 0),
    on_note: Callable[[str], None] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Annotation], list[PathClass]]:
    """Read areas with their holes, points and lines, and which is a part of which.

    Parameters
    ----------
    path : path
        GeoJSON: features, collections of features or of geometries, or one geometry. Or, with a
        suffix of `XML_SUFFIXES`, a file of ASAP, ImageScope or HALO; or, with one of TIFF, a mask
        that a review has written.
    origin : tuple of int
        `Slide.origin`, from whose canvas the XML counts.
    on_note : callable, optional
        Called with a sentence that counts what is left out: what encloses nothing.
    on_progress : callable, optional
        Called with the number of geometries of GeoJSON that are read, and of all.

    Returns
    -------
    annotations : list of Annotation
        Level-0 px. Each point of a MultiPoint and each area of a MultiPolygon is one annotation;
        an annotation among the child objects of another is a part of its first area.
    classes : list of PathClass
        Those that they name, with the colours of the file.

    Raises
    ------
    AnnotationError
        When the file is not GeoJSON, or holds nothing that can be read.
    """
    path = Path(path)
    if path.suffix.lower() in XML_SUFFIXES:
        return read_xml_annotations(path, origin)
    if path.suffix.lower() in MASKS:
        return _read_mask(path)
    content = read_json(path)
    drawn: list[Annotation] = []
    classes: dict[str, PathClass] = {}
    left_out: Counter[str] = Counter()
    found = list(geometries(content, path.name))
    parents: dict[int, str] = {}
    for done, (feature, geometry) in enumerate(found):
        if on_progress is not None:
            on_progress(done, len(found))
        made = _annotations(feature, _shapes(geometry, path.name, left_out))
        path_class, _ = _said(feature)
        if path_class is not None:
            classes.setdefault(path_class.name, path_class)
        drawn += [replace(one, parent=parents.get(id(feature), "")) for one in made]
        parents.update(_parents_of_children(feature, made))
    if not drawn and not is_empty(content):
        raise AnnotationError(
            path.name,
            "must hold areas, points or lines",
            value=_counted(left_out) or "none",
            remedy="export areas instead",
        )
    if left_out and on_note is not None:
        on_note(f"{_counted(left_out)} in {path.name} left out.")
    return drawn, list(classes.values())


def _read_mask(path: Path) -> tuple[list[Annotation], list[PathClass]]:
    areas = read_mask(path)
    drawn = [
        Annotation(new_id(), "polygon", rings.outer, one.name, holes=rings.holes)
        for rings, one in areas
    ]
    return drawn, list({one.name: one for _, one in areas if one.name}.values())


_Shape = tuple[AnnotationKind, Rings]


def _annotations(feature: Any, shapes: Sequence[_Shape]) -> list[Annotation]:
    """What a feature of a file says, of each of its shapes."""
    path_class, comment = _said(feature)
    said = feature.get("properties")
    said = said if isinstance(said, dict) else {}
    metadata = said.get("metadata")
    stated = str(metadata.get("kind")) if isinstance(metadata, dict) else ""
    made = []
    for kind, rings in shapes:
        own = _OWN_KINDS.get(stated, kind) if kind == "polygon" else kind
        is_box = len(rings.outer) == FEWEST["rectangle"] and not rings.holes
        made.append(
            Annotation(
                new_id(),
                kind if own == "rectangle" and not is_box else own,
                rings.outer,
                path_class.name if path_class else "",
                comment,
                rings.holes,
                locked=said.get("isLocked") is True,
            )
        )
    return made


def _parents_of_children(feature: Any, made: Sequence[Annotation]) -> dict[int, str]:
    """The parent of each child of a feature: the first of its areas."""
    if not made or not made[0].is_area:
        return {}
    return {id(child): made[0].id for child in child_annotations(feature)}


def _counted(left_out: Counter[str]) -> str:
    return ", ".join(f"{n} {what.format(s='' if n == 1 else 's')}" for what, n in left_out.items())


def _shapes(geometry: Any, name: str, left_out: Counter[str]) -> list[_Shape]:
    kind = str(geometry["type"])
    if kind in AREAS:
        rings = polygons_of(geometry, name)
        left_out.update("outline{s} around nothing" for ring in rings if ring is None)
        return [("polygon", ring) for ring in rings if ring is not None]
    ours, n = _KINDS[kind]
    parts = geometry.get("coordinates")
    found: list[_Shape] = []
    is_list = isinstance(parts, list)
    for part in (parts if is_list else ()) if kind.startswith("Multi") else (parts,):
        points = _places(part, kind, name)
        if len(points) < n:
            left_out["line{s} of one place"] += 1
            continue
        is_long = ours == "ruler" and len(points) > n
        places = outline_of(from_file_xy(points))
        found.append(("polyline" if is_long else ours, Rings(places)))
    return found


def _places(part: Any, kind: str, name: str) -> NDArray[np.float64]:
    """Positions (x, y) of a point or a line; an altitude is dropped."""
    try:
        places = [part] if kind.endswith("Point") else part
        points = np.array([(float(x), float(y)) for x, y, *_ in places])
    except (TypeError, ValueError):
        points = np.empty((0, 2))
    if not len(points) or not are_on_a_slide(points):
        raise AnnotationError(
            name,
            f"is not GeoJSON: a {kind} needs finite [x, y] numbers of a slide",
            value=f"{str(part)[:40]!r}",
            remedy="export it again as GeoJSON",
        )
    return points


def _said(feature: Any) -> tuple[PathClass | None, str]:
    """Class and comment, where QuPath or this package wrote them."""
    said = feature.get("properties")
    said = said if isinstance(said, dict) else {}
    metadata, found = said.get("metadata"), said.get("classification")
    comment = str(metadata.get("comment", "")) if isinstance(metadata, dict) else ""
    stated = found if isinstance(found, dict) else {"name": found}
    name = _name(stated.get("names")) or _name(stated.get("name"))
    if not name:
        return None, comment
    color = _color(stated.get("color", stated.get("colorRGB", said.get("color"))))
    return PathClass(name, color), comment


def _name(found: Any) -> str:
    """A class, or as QuPath shows a derived one: "Tumor: Positive"."""
    parts = found if isinstance(found, list) else [found]
    return ": ".join(str(part).strip() for part in parts if part not in (None, ""))


def _color(found: Any) -> tuple[int, int, int]:
    """Red, green and blue of a list (QuPath from 0.4 on), a packed integer (before), or a hex."""
    if isinstance(found, str):
        hexadecimal = re.fullmatch(r"#([0-9a-fA-F]{6})(?:[0-9a-fA-F]{2})?", found.strip())
        found = int(hexadecimal[1], 16) if hexadecimal else None
    if isinstance(found, int) and not isinstance(found, bool) and found in _PACKED:
        found = [found >> 16 & 255, found >> 8 & 255, found & 255]
    if isinstance(found, list) and len(found) in (3, 4):
        red, green, blue = found[:3]
        if all(type(c) is int and 0 <= c <= 255 for c in found):
            return red, green, blue
    return UNCLASSIFIED.color
