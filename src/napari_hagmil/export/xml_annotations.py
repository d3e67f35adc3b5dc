"""Read annotations that ASAP (Camelyon's are such), ImageScope and HALO keep as XML → (y, x)."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np

from napari_hagmil.errors import AnnotationError
from napari_hagmil.geometry import from_file_xy
from napari_hagmil.polygons import (
    Outline,
    Rings,
    are_on_a_slide,
    contains,
    ellipse_around,
    outline,
    shape_of,
)
from napari_hagmil.review import UNCLASSIFIED, Annotation, AnnotationKind, PathClass, new_id
from napari_hagmil.slide.canvas import Origin
from napari_hagmil.untrusted import read_regular

#: Annotations of a whole slide have some 10 MB.
_MAX_BYTES = 256 * 2**20

#: What the files of these programs end in.
XML_SUFFIXES = frozenset({".xml", ".annotations"})

#: Groups of ASAP whose areas are cut out of the others: normal tissue within a metastasis.
_CUT_OUT = frozenset({"_2", "normal", "exclusion"})

#: Kinds of ASAP by name; those of ImageScope by number, of HALO by name.
_AREAS, _POINTS = frozenset({"polygon", "spline", "rectangle"}), frozenset({"dot", "pointset"})
_FREEHAND = frozenset({"", "0", "polygon", "freehand"})
_BOXES, _ELLIPSES = frozenset({"1", "rectangle"}), frozenset({"2", "ellipse"})
_PINS = frozenset({"5", "pin", "point"})
_RULERS = frozenset({"4", "ruler"})


def read_xml_areas(path: str | Path, origin: Origin = (0, 0)) -> list[Rings]:
    """Read the areas of a file of ASAP, ImageScope or HALO: the outer ring of each, then its holes.

    In Camelyon16 the groups ``_0``, ``_1`` and ``Tumor`` are metastases, ``_2`` and ``Exclusion``
    normal tissue within them; in Camelyon17 they are ``metastases`` and ``normal``. An area of
    normal tissue, and a negative one of ImageScope or HALO, is a hole of the smallest area that it
    lies in; outside of all it says nothing.
    Points, lines and areas of fewer than three corners enclose nothing and are passed over: the
    official files have some, and their users cannot draw them again.

    Parameters
    ----------
    path : path
        XML; the root tells the program.
    origin : tuple of int
        `Slide.origin`: these programs count from the corner of the canvas.

    Returns
    -------
    list of Rings
        Corners (y, x) in level-0 px, pixel centres at integers.

    Raises
    ------
    AnnotationError
        When the file is of none of them.
    """
    path = Path(path)
    areas: list[Outline] = []
    cut_out: list[Outline] = []
    for shape in _shapes(_root(path), path.name, origin):
        if shape.kind == "polygon":
            (cut_out if shape.is_cut_out else areas).append(shape.points)
    sizes = [shape_of(Rings(area)).area for area in areas]
    holes: dict[int, list[Outline]] = {}
    for hole in cut_out:
        around = [i for i, area in enumerate(areas) if contains([Rings(area)], hole[:1])[0]]
        if around:
            holes.setdefault(min(around, key=sizes.__getitem__), []).append(hole)
    return [Rings(area, tuple(holes.get(i, ()))) for i, area in enumerate(areas)]


def _root(path: Path) -> Xml.Element:
    try:
        text = _decoded(read_regular(path, _MAX_BYTES))
        # Annotations need no document type, and its entities can swell without bound.
        root = Xml.fromstring(text) if "<!DOCTYPE" not in text else None
    except (OSError, ValueError, Xml.ParseError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not valid XML: {error}"
        raise _refused(path.name, reason or "not valid XML") from error
    if root is None or root.tag not in _READERS:
        raise _refused(path.name, "the XML of another program")
    return root


def _decoded(data: bytes) -> str:
    """Decode the file as UTF-8 or UTF-16, whatever its declaration says.

    In another encoding only names of groups can be damaged by this.
    """
    is_wide = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return data.decode("utf-16" if is_wide else "utf-8-sig", errors="replace")


def _refused(name: str, reason: str) -> AnnotationError:
    return AnnotationError(
        name,
        "must be a readable annotation of ASAP, ImageScope or HALO",
        value=reason,
        remedy="save it again there",
    )


def read_xml_annotations(
    path: str | Path, origin: Origin = (0, 0)
) -> tuple[list[Annotation], list[PathClass]]:
    """Read everything that was drawn, with ASAP's groups, or the layers of the others, as classes.

    Areas become polygons (those of normal tissue within a metastasis, too), dots and sets of points
    become points, rulers rulers. Parameters, frame and errors as of `read_xml_areas`.
    """
    path = Path(path)
    drawn: list[Annotation] = []
    classes: dict[str, PathClass] = {}
    for shape in _shapes(_root(path), path.name, origin):
        if shape.group:
            classes.setdefault(shape.group, PathClass(shape.group, shape.color))
        parts = [(point,) for point in shape.points] if shape.kind == "point" else [shape.points]
        drawn += [
            Annotation(new_id(), shape.kind, part, shape.group, shape.comment) for part in parts
        ]
    return drawn, list(classes.values())


@dataclass(frozen=True, slots=True)
class _Shape:
    """One annotation: "polygon", "ruler" or "point", its places, its group ("" for none)."""

    kind: AnnotationKind
    points: Outline
    group: str
    color: tuple[int, int, int]
    is_cut_out: bool = False
    comment: str = ""


def _shapes(root: Xml.Element, name: str, origin: Origin) -> Iterator[_Shape]:
    yield from _READERS[root.tag](root, name, origin)


def _asap_shapes(root: Xml.Element, name: str, origin: Origin) -> Iterator[_Shape]:
    colors = {one.get("Name", ""): one.get("Color", "") for one in root.iter("Group")}
    for annotation in root.iter("Annotation"):
        said = annotation.get("Type", "Polygon").lower()
        is_area = said in _AREAS
        if not is_area and said not in _POINTS:
            continue
        points = _places(list(annotation.iter("Coordinate")), name, origin)
        if len(set(points)) >= (3 if is_area else 1):
            group = annotation.get("PartOfGroup", "").strip()
            group = "" if group.lower() == "none" else group
            kind: AnnotationKind = "polygon" if is_area else "point"
            color = _color(colors.get(group, "") or annotation.get("Color", ""))
            yield _Shape(kind, points, group, color, group.lower() in _CUT_OUT)


def _layer_shapes(root: Xml.Element, name: str, origin: Origin) -> Iterator[_Shape]:
    """Regions in layers, as ImageScope and HALO have them; kinds that are none of ours are left."""
    for layer in root.iter("Annotation"):
        told = (one.get("Value", "") for one in layer.iterfind("Attributes/Attribute"))
        title = next((text.strip() for text in (layer.get("Name", ""), *told) if text.strip()), "")
        color = _packed(layer.get("LineColor", ""))
        for region in layer.iter("Region"):
            text = (region.get("Text") or "").strip()
            corners = [one for one in region.iter() if one.tag in ("Vertex", "V")]
            points = _places(corners, name, origin)
            found = _region(region.get("Type", "").lower(), points)
            if found is not None:
                is_negative = region.get("NegativeROA", "0").lower() in ("1", "true")
                group, comment = title or text, text if title else ""
                yield _Shape(*found, group, color, is_negative, comment)


def _region(said: str, points: Outline) -> tuple[AnnotationKind, Outline] | None:
    """What a region of ImageScope or HALO is here; of boxes and ellipses two corners may stand."""
    n = len(set(points))
    if said in _PINS and n:
        return "point", points[:1]
    if said in _RULERS and n == 2:
        return "ruler", points
    if n == 2 and said in _BOXES | _ELLIPSES:
        (top, left), (bottom, right) = points[0], points[1]
        box = ((top, left), (top, right), (bottom, right), (bottom, left))
        return "polygon", ellipse_around(box) if said in _ELLIPSES else box
    if n >= 3 and said in _FREEHAND | _BOXES | _ELLIPSES:
        return "polygon", points
    return None


#: By the name of a file's outermost element.
_READERS: dict[str, Callable[[Xml.Element, str, Origin], Iterator[_Shape]]] = {
    "ASAP_Annotations": _asap_shapes,
    "Annotations": _layer_shapes,
}


def _color(text: str) -> tuple[int, int, int]:
    found = re.fullmatch("#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})", text)
    if found is None:
        return UNCLASSIFIED.color
    red, green, blue = (int(part, 16) for part in found.groups())
    return red, green, blue


def _packed(text: str) -> tuple[int, int, int]:
    """Windows' colours: a whole number whose lowest byte is red."""
    if not text.isdecimal() or len(text) > 10:
        return UNCLASSIFIED.color
    value = int(text)
    return value & 255, value >> 8 & 255, value >> 16 & 255


def _places(corners: list[Xml.Element], name: str, origin: Origin) -> Outline:
    """The corners on the slide, in their order; the closing one goes."""
    try:
        # ASAP's are numbered, and need not stand in order.
        corners = sorted(corners, key=lambda corner: _number(corner.get("Order", "0")))
        points = np.array([(_number(c.attrib["X"]), _number(c.attrib["Y"])) for c in corners])
    except (KeyError, ValueError) as error:
        raise _refused(name, "a corner without X and Y") from error
    points = points.reshape(-1, 2)
    if not are_on_a_slide(points):
        raise _refused(name, "a corner that is on no slide")
    if len(points) > 1 and (points[0] == points[-1]).all():
        points = points[:-1]
    return outline(from_file_xy(points) - origin)


def _number(text: str) -> float:
    """Some countries' computers write a comma for the point."""
    return float(text.replace(",", "."))
