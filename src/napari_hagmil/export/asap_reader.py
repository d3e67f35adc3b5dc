"""Areas that people drew in ASAP, as Camelyon's annotations are: XML → (y, x)."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np

from napari_hagmil.errors import AnnotationError
from napari_hagmil.geometry import from_file_xy
from napari_hagmil.polygons import Outline, Rings, are_on_a_slide, contains, outline, shape_of
from napari_hagmil.untrusted import read_regular

#: Annotations of a whole slide have some 10 MB.
_MAX_BYTES = 256 * 2**20

#: Groups whose areas are cut out of the others: normal tissue within a metastasis.
_CUT_OUT = frozenset({"_2", "normal", "exclusion"})

_AREAS = frozenset({"polygon", "spline", "rectangle"})


def read_asap(path: str | Path) -> list[Rings]:
    """Read the areas of an ASAP file: for each its outer ring, then its holes.

    In Camelyon16 the groups ``_0``, ``_1`` and ``Tumor`` are metastases, ``_2`` and ``Exclusion``
    normal tissue within them; in Camelyon17 they are ``metastases`` and ``normal``. An area of
    normal tissue is a hole of the smallest area that it lies in; outside of all it says nothing.
    Points, lines and areas of fewer than three corners enclose nothing and are passed over: the
    official files have some, and their users cannot draw them again.

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
    for group, ring in _rings(_root(path), path.name):
        (cut_out if group in _CUT_OUT else areas).append(ring)
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
    """The text, whatever its declaration says: in another encoding, no word of it could be found.

    Names of groups are all that can be damaged by this.
    """
    is_wide = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return data.decode("utf-16" if is_wide else "utf-8-sig", errors="replace")


def _refused(name: str, reason: str) -> AnnotationError:
    return AnnotationError(
        name, "must be a readable annotation of ASAP", value=reason, remedy="save it again in ASAP"
    )


def _rings(root: Xml.Element, name: str) -> Iterator[tuple[str, Outline]]:
    """Group, in small letters, and ring of every area."""
    for annotation in root.iter("Annotation"):
        if annotation.get("Type", "Polygon").lower() in _AREAS:
            corners = list(annotation.iter("Coordinate"))
            ring = _ring(corners, name)
            if len(set(ring)) >= 3:
                yield annotation.get("PartOfGroup", "").strip().lower(), ring


def _ring(corners: list[Xml.Element], name: str) -> Outline:
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
    return outline(from_file_xy(points))
