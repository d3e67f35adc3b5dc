"""Read annotations drawn in ASAP, such as Camelyon's: XML → (y, x)."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np

from napari_hagmil.errors import AnnotationError
from napari_hagmil.geometry import from_file_xy
from napari_hagmil.polygons import Outline, Rings, are_on_a_slide, contains, outline, shape_of
from napari_hagmil.review import UNCLASSIFIED, Annotation, AnnotationKind, PathClass, new_id
from napari_hagmil.slide.canvas import Origin
from napari_hagmil.untrusted import read_regular

#: Annotations of a whole slide have some 10 MB.
_MAX_BYTES = 256 * 2**20

#: Groups whose areas are cut out of the others: normal tissue within a metastasis.
_CUT_OUT = frozenset({"_2", "normal", "exclusion"})

_AREAS, _POINTS = frozenset({"polygon", "spline", "rectangle"}), frozenset({"dot", "pointset"})


def read_asap(path: str | Path, origin: Origin = (0, 0)) -> list[Rings]:
    """Read the areas of an ASAP file: for each its outer ring, then its holes.

    In Camelyon16 the groups ``_0``, ``_1`` and ``Tumor`` are metastases, ``_2`` and ``Exclusion``
    normal tissue within them; in Camelyon17 they are ``metastases`` and ``normal``. An area of
    normal tissue is a hole of the smallest area that it lies in; outside of all it says nothing.
    Points, lines and areas of fewer than three corners enclose nothing and are passed over: the
    official files have some, and their users cannot draw them again.

    Parameters
    ----------
    path : path
        XML of ASAP.
    origin : tuple of int
        `Slide.origin`: ASAP counts from the corner of the canvas.

    Returns
    -------
    list of Rings
        Corners (y, x) in level-0 px, pixel centres at integers.

    Raises
    ------
    AnnotationError
        When the file is not ASAP's XML.
    """
    path = Path(path)
    areas: list[Outline] = []
    cut_out: list[Outline] = []
    for shape in _shapes(_root(path), path.name, origin):
        if shape.kind == "polygon":
            (cut_out if shape.group.lower() in _CUT_OUT else areas).append(shape.points)
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
    if root is None or root.tag != "ASAP_Annotations":
        raise _refused(path.name, "not ASAP's XML")
    return root


def _decoded(data: bytes) -> str:
    """Decode the file as UTF-8 or UTF-16, whatever its declaration says.

    In another encoding only names of groups can be damaged by this.
    """
    is_wide = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return data.decode("utf-16" if is_wide else "utf-8-sig", errors="replace")


def _refused(name: str, reason: str) -> AnnotationError:
    return AnnotationError(
        name, "must be a readable annotation of ASAP", value=reason, remedy="save it again in ASAP"
    )


def read_asap_annotations(
    path: str | Path, origin: Origin = (0, 0)
) -> tuple[list[Annotation], list[PathClass]]:
    """Read everything that was drawn in ASAP, with its groups as classes.

    Areas become polygons (those of normal tissue within a metastasis, too), dots and sets of points
    become points. Parameters, frame and errors as of `read_asap`.
    """
    path = Path(path)
    root = _root(path)
    colors = {one.get("Name", ""): one.get("Color", "") for one in root.iter("Group")}
    drawn: list[Annotation] = []
    classes: dict[str, PathClass] = {}
    for shape in _shapes(root, path.name, origin):
        if shape.group:
            color = _color(colors.get(shape.group, "") or shape.color)
            classes.setdefault(shape.group, PathClass(shape.group, color))
        parts = [(point,) for point in shape.points] if shape.kind == "point" else [shape.points]
        drawn += [Annotation(new_id(), shape.kind, part, shape.group) for part in parts]
    return drawn, list(classes.values())


def _color(text: str) -> tuple[int, int, int]:
    found = re.fullmatch("#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})", text)
    if found is None:
        return UNCLASSIFIED.color
    red, green, blue = (int(part, 16) for part in found.groups())
    return red, green, blue


@dataclass(frozen=True, slots=True)
class _Shape:
    """One annotation: "polygon" or "point", its places, its group ("" for none)."""

    kind: AnnotationKind
    points: Outline
    group: str
    color: str


def _shapes(root: Xml.Element, name: str, origin: Origin) -> Iterator[_Shape]:
    for annotation in root.iter("Annotation"):
        said = annotation.get("Type", "Polygon").lower()
        is_area = said in _AREAS
        if not is_area and said not in _POINTS:
            continue
        points = _ring(list(annotation.iter("Coordinate")), name, origin)
        if len(set(points)) >= (3 if is_area else 1):
            group = annotation.get("PartOfGroup", "").strip()
            group = "" if group.lower() == "none" else group
            kind: AnnotationKind = "polygon" if is_area else "point"
            yield _Shape(kind, points, group, annotation.get("Color", ""))


def _ring(corners: list[Xml.Element], name: str, origin: Origin) -> Outline:
    try:
        # They are numbered, and need not stand in order.
        corners = sorted(corners, key=lambda corner: float(corner.get("Order", 0)))
        points = np.array([(float(c.attrib["X"]), float(c.attrib["Y"])) for c in corners])
    except (KeyError, ValueError) as error:
        raise _refused(name, "a corner without X and Y") from error
    points = points.reshape(-1, 2)
    if not are_on_a_slide(points):
        raise _refused(name, "a corner that is on no slide")
    if len(points) > 1 and (points[0] == points[-1]).all():
        points = points[:-1]
    return outline(from_file_xy(points) - origin)
