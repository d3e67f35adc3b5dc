"""Export a review: GeoJSON for QuPath, a table, XML for ASAP."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree as Xml

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.errors import OutputError
from napari_hagmil.export.geojson import (
    CHILDREN,
    REGION,
    closed_ring,
    json_number,
    patch_feature,
    write_features,
)
from napari_hagmil.export.mask import write_mask
from napari_hagmil.export.signature import Signature
from napari_hagmil.files import replacing, write_csv
from napari_hagmil.geometry import to_file_xy
from napari_hagmil.polygons import Outline, Rings, without_holes
from napari_hagmil.purpose import RESEARCH_USE
from napari_hagmil.review import (
    QUPATH_CLASSES,
    Annotation,
    Conclusion,
    PathClass,
    ReviewRegion,
    ReviewState,
)
from napari_hagmil.review.classes import class_named
from napari_hagmil.review.drawing.nesting import parent_among, parents_of
from napari_hagmil.review.measure import annotation_measure, region_area_um2
from napari_hagmil.review.patches import accepted_alone, decision_of
from napari_hagmil.review.state import LINES
from napari_hagmil.slide.canvas import Origin

Format = Literal["geojson", "csv", "asap", "mask"]

#: Ends of the files' names.
ENDINGS: dict[Format, str] = {
    "geojson": ".geojson", "csv": ".csv", "asap": ".xml", "mask": ".mask.tiff"
}  # fmt: skip

#: Those that can hold a conclusion.
CONCLUDING: tuple[Format, ...] = ("geojson", "csv")

#: The class of a patch that was rejected: QuPath leaves objects of it out of what it measures.
_IGNORED = class_named(QUPATH_CLASSES, "Ignore*")

_COLUMNS = (
    "slide", "reviewer", "date", "mpp", "id", "kind", "decision", "class", "score", "area_um2",
    "length_um", "area_px2", "length_px", "centre_x_px", "centre_y_px", "provenance", "comment",
    "purpose", "parent", "holes", "locked",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReviewWish:
    """What an export holds.

    Attributes
    ----------
    regions, annotations : bool
        Attention regions, and what people drew.
    accepted_only : bool
        Leave out regions that were rejected or not decided.
    classes : tuple of str or None
        Only these, "" is without a class; None all.
    formats : tuple of str
        "geojson", "csv", "asap", "mask".
    origin : tuple of int
        `Slide.origin`: ASAP counts from the corner of the canvas, the other formats from the
        scan's, as QuPath does.
    slide_shape : tuple of int or None
        Rows and columns of level 0, which a mask covers.
    """

    regions: bool = True
    annotations: bool = True
    accepted_only: bool = True
    classes: tuple[str, ...] | None = None
    formats: tuple[Format, ...] = ("geojson",)
    origin: Origin = (0, 0)
    slide_shape: tuple[int, int] | None = None

    def chosen(self, state: ReviewState) -> tuple[list[ReviewRegion], list[Annotation]]:
        """The regions and annotations that pass."""

        def passes(name: str) -> bool:
            return self.classes is None or name in self.classes

        regions = [one for one in state.regions if passes(one.path_class)]
        if self.accepted_only:
            regions = [
                part
                for one in regions
                for part in ([one] if one.decision == "accepted" else accepted_alone(one))
            ]
        drawn = [one for one in state.annotations if passes(one.path_class)]
        return (regions if self.regions else []), (drawn if self.annotations else [])

    def conclusion(self, state: ReviewState) -> Conclusion | None:
        """The conclusion, where one was written and a format can hold it."""
        held = any(name in CONCLUDING for name in self.formats)
        return state.conclusion if held and state.conclusion != Conclusion() else None


@dataclass(frozen=True, slots=True)
class _Export:
    """The input of the writers of all formats."""

    state: ReviewState
    wish: ReviewWish
    mpp: float | None
    signature: Signature


def review_files(path: str | Path, formats: Sequence[Format]) -> list[Path]:
    """The files that `write_review` will write, in the order of the formats."""
    path = Path(path)
    endings = [one for one in ENDINGS.values() if path.name.lower().endswith(one)]
    bare = path.name[: -len(endings[0])] if endings else path.name
    return [path.with_name(f"{bare}{ENDINGS[name]}") for name in formats]


def write_review(
    path: str | Path,
    state: ReviewState,
    wish: ReviewWish,
    *,
    mpp: float | None,
    signature: Signature | None = None,
) -> list[Path]:
    """Write the review in every requested format.

    Parameters
    ----------
    path : path
        With the ending of a format, or without: each format puts its own. Any other dot belongs
        to the name. Files are replaced whole.
    state : ReviewState
        Level-0 px.
    wish : ReviewWish
        What is written, and in which formats.
    mpp : float or None
        µm per level-0 px; None: unknown, and measures are in pixels.
    signature : Signature, optional
        Slide, reviewer, date and model, for tables and GeoJSON.

    Returns
    -------
    list of Path
        In the order of the formats.

    Raises
    ------
    OutputError
        When a file cannot be written.
    """
    writers = {
        "geojson": _write_geojson, "csv": _write_csv, "asap": _write_asap, "mask": _write_mask
    }  # fmt: skip
    export = _Export(state, wish, mpp, signature or Signature())
    written = review_files(path, wish.formats)
    for name, target in zip(wish.formats, written, strict=True):
        writers[name](target, export)
    return written


def _write_geojson(path: Path, export: _Export) -> None:
    regions, drawn = export.wish.chosen(export.state)
    features = [_region_feature(one, export) for one in regions]
    features += _annotation_features(drawn, export)
    review = export.signature.as_json(export.state.conclusion, export.mpp)
    write_features(path, features, review=review)


def _annotation_features(drawn: Sequence[Annotation], export: _Export) -> list[dict[str, Any]]:
    """Annotations, each with those that are a part of it as child objects.

    A part of one that is not written is a child of the next that is.
    """
    made = {one.id: _annotation_feature(one, export) for one in drawn}
    parents, roots = parents_of(export.state.annotations), []
    for name, feature in made.items():
        above = parent_among(parents, name, made)
        if above:
            made[above]["properties"].setdefault(CHILDREN, []).append(feature)
        else:
            roots.append(feature)
    return roots


def _annotation_feature(one: Annotation, export: _Export) -> dict[str, Any]:
    unit, mpp = "px" if export.mpp is None else "µm", export.mpp or 1.0
    classes = export.state.classes
    path_class = class_named(classes, one.path_class) if one.path_class else None
    measure = f"Length {unit}" if one.kind in LINES else f"Area {unit}^2"
    size = {} if one.kind == "point" else {measure: annotation_measure(one, mpp)}
    said = {"kind": one.kind, "comment": one.comment}
    feature = _feature(one.id, _geometry(one), path_class, size, said)
    if one.locked:
        feature["properties"]["isLocked"] = True
    return feature


def _region_feature(region: ReviewRegion, export: _Export) -> dict[str, Any]:
    """A region with its patches as child objects; those that were rejected get another class."""
    unit, mpp = "px" if export.mpp is None else "µm", export.mpp or 1.0
    path_class = _class_or_region(export.state, region.path_class)
    score = np.nan if region.score is None else region.score
    feature = _feature(
        region.id,
        {"type": "Polygon", "coordinates": _closed(region.rings)},
        path_class,
        {
            "Attention score (percentile)": score,
            f"Area {unit}^2": region_area_um2(region, mpp),
        },
        {"decision": region.decision, "provenance": region.provenance, "comment": region.comment},
    )
    if region.patches:
        feature["properties"][CHILDREN] = [
            patch_feature(
                one.box,
                one.score,
                feature_id=_uuid(region.id, number),
                path_class=_IGNORED if decision_of(region, one) == "rejected" else path_class,
                said={"decision": decision_of(region, one)},
            )
            for number, one in enumerate(region.patches, start=1)
        ]
    return feature


def _uuid(feature_id: str, number: int = 0) -> str:
    """The id filled up to a UUID, as QuPath wants it: it stays the same with every export."""
    return f"{feature_id[:8]:0<8}-{feature_id[8:12]:0<4}-4000-8000-{number:012x}"


def _feature(
    feature_id: str,
    geometry: dict[str, Any],
    path_class: PathClass | None,
    measures: dict[str, float],
    said: dict[str, str],
) -> dict[str, Any]:
    """One QuPath annotation; a classification needs a name and a colour, else QuPath throws."""
    properties: dict[str, Any] = {
        "objectType": "annotation",
        "measurements": {key: json_number(value) for key, value in measures.items()},
        "metadata": {key: value for key, value in said.items() if value},
    }
    if path_class is not None:
        color = list(path_class.color)
        properties["classification"] = {"name": path_class.name, "color": color}
    return {
        "type": "Feature",
        "id": _uuid(feature_id),
        "geometry": geometry,
        "properties": properties,
    }


def _geometry(annotation: Annotation) -> dict[str, Any]:
    if annotation.kind == "point":
        return {"type": "Point", "coordinates": _xy(annotation.points)[0]}
    if annotation.kind in LINES:
        return {"type": "LineString", "coordinates": _xy(annotation.points)}
    return {"type": "Polygon", "coordinates": _closed(annotation.rings)}


def _closed(rings: Rings) -> list[list[list[float]]]:
    holes = (closed_ring(np.asarray(hole), hole=True) for hole in rings.holes)
    return [closed_ring(np.asarray(rings.outer)), *holes]


def _write_mask(path: Path, export: _Export) -> None:
    wish, state = export.wish, export.state
    if wish.slide_shape is None:
        raise OutputError(path.name, "covers a slide, and none is given", remedy="open the slide")
    regions, drawn = wish.chosen(state)
    areas = [(one.rings, _class_or_region(state, one.path_class)) for one in regions]
    areas += [
        (one.rings, class_named(state.classes, one.path_class)) for one in drawn if one.is_area
    ]
    write_mask(path, areas, wish.slide_shape, mpp=export.mpp)


def _write_csv(path: Path, export: _Export) -> None:
    write_reviews(path, [_table_rows(export)])


def review_rows(
    state: ReviewState, wish: ReviewWish, *, mpp: float | None, signature: Signature
) -> list[list[Any]]:
    """A review as rows of the table that `write_review` writes, for `write_reviews`.

    Parameters are those of `write_review`.
    """
    return _table_rows(_Export(state, wish, mpp, signature))


def unreviewed_row(signature: Signature) -> list[Any]:
    """The row of a slide that nobody has reviewed."""
    return [signature.slide, "", "", "", "", "unreviewed", *[""] * (len(_COLUMNS) - 6)]


def write_reviews(path: Path, reviews: Iterable[Sequence[Sequence[Any]]]) -> None:
    """Write the rows of several reviews below each other, as one table.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    rows = (row for review in reviews for row in review)
    write_csv(path, _COLUMNS, rows, encoding="utf-8-sig", end="\r\n")


def _table_rows(export: _Export) -> list[list[Any]]:
    regions, drawn = export.wish.chosen(export.state)
    sign, mpp = export.signature, export.mpp
    rows = [row for one in regions for row in _region_rows(one, mpp)]
    rows += _annotation_rows(drawn, export)
    said = export.wish.conclusion(export.state)
    if said is not None:
        rows.append(["", "conclusion", "", said.path_class, *[""] * 8, said.text, RESEARCH_USE])
    whose = [sign.slide, sign.reviewer, sign.date, "" if mpp is None else mpp]
    return [[*whose, *row, *[""] * (len(_COLUMNS) - 4 - len(row))] for row in rows]


def _annotation_rows(drawn: Sequence[Annotation], export: _Export) -> list[list[Any]]:
    """The row of each annotation, with the nearest parent that has a row, too."""
    rows, parents, among = [], parents_of(export.state.annotations), {one.id for one in drawn}
    for one in drawn:
        size = None if one.kind == "point" else annotation_measure(one, 1.0)
        area, length = (None, size) if one.kind in LINES else (size, None)
        measured = [*_sizes(area, length, export.mpp), *_centre(one.points)]
        said = [parent_among(parents, one.id, among), len(one.holes), "yes" if one.locked else ""]
        row = [one.id, one.kind, "", one.path_class, "", *measured, "", one.comment, RESEARCH_USE]
        rows.append([*row, *said])
    return rows


def _region_rows(region: ReviewRegion, mpp: float | None) -> list[list[Any]]:
    """The row of a region, and one of each patch that was decided differently."""
    sizes = _sizes(region_area_um2(region, 1.0), None, mpp)
    said = [region.decision, region.path_class, "" if region.score is None else region.score]
    place = [*_centre(region.polygon), region.provenance, region.comment]
    facts = [RESEARCH_USE, "", len(region.holes)]
    rows = [[region.id, "region", *said, *sizes, *place, *facts]]
    for number, (box, score, decision) in enumerate(region.patches, start=1):
        if decision != "unseen":
            y0, x0, y1, x1 = box
            sizes = _sizes((y1 - y0) * (x1 - x0), None, mpp)
            place = [*_centre(((y0, x0), (y1, x1))), region.provenance, "", RESEARCH_USE]
            name = f"{region.id}-{number}"
            rows.append([name, "patch", decision, region.path_class, score, *sizes, *place])
    return rows


def _sizes(area_px2: float | None, length_px: float | None, mpp: float | None) -> list[float | str]:
    """Area and length in µm, where the pixel size is known, and both in pixels."""
    um = [
        "" if value is None or mpp is None else value * mpp**power
        for value, power in ((area_px2, 2), (length_px, 1))
    ]
    return [*um, *("" if value is None else value for value in (area_px2, length_px))]


def _write_asap(path: Path, export: _Export) -> None:
    """ASAP knows no lines; a group that is not declared makes it drop the file.

    It knows no holes either: an area with holes is cut through them into parts without any,
    which cover the same.
    """
    members = list(_asap_members(export))
    root = Xml.Element("ASAP_Annotations")
    root.append(Xml.Comment(f" {RESEARCH_USE} "))
    annotations, groups = (
        Xml.SubElement(root, "Annotations"),
        Xml.SubElement(root, "AnnotationGroups"),
    )
    for kind, name, points, path_class in members:
        facts = {"Name": name, "Type": kind, "PartOfGroup": _xml(path_class.name)}
        made = Xml.SubElement(annotations, "Annotation", {**facts, "Color": _hex(path_class)})
        _put_coordinates(made, np.asarray(points) + export.wish.origin)
    for path_class in {one[3].name: one[3] for one in members}.values():
        facts = {"Name": _xml(path_class.name), "PartOfGroup": "None", "Color": _hex(path_class)}
        Xml.SubElement(Xml.SubElement(groups, "Group", facts), "Attributes")
    Xml.indent(root)
    with replacing(path) as draft:
        Xml.ElementTree(root).write(draft, encoding="utf-8", xml_declaration=True)


def _asap_members(export: _Export) -> Iterator[tuple[str, str, Outline, PathClass]]:
    """Type, name, corners and class of each annotation of ASAP's."""
    state = export.state
    regions, drawn = export.wish.chosen(state)
    areas = [(f"Region {i}", one.rings, one.path_class) for i, one in enumerate(regions)]
    areas += [
        (f"Annotation {i}", one.rings, one.path_class) for i, one in enumerate(drawn) if one.is_area
    ]
    for name, rings, path_class in areas:
        parts = without_holes(rings) if rings.holes else [rings.outer]
        for number, part in enumerate(parts, start=1):
            of = f", part {number} of {len(parts)}" if len(parts) > 1 else ""
            yield "Polygon", name + of, part, _class_or_region(state, path_class)
    for i, one in enumerate(drawn):
        if one.kind == "point":
            path_class = one.path_class
            yield "Dot", f"Annotation {i}", one.points, _class_or_region(state, path_class)


def _put_coordinates(annotation: Xml.Element, points: NDArray[np.float64]) -> None:
    place = Xml.SubElement(annotation, "Coordinates")
    for order, (x, y) in enumerate(to_file_xy(points).tolist()):
        Xml.SubElement(place, "Coordinate", {"Order": str(order), "X": f"{x}", "Y": f"{y}"})


def _xml(text: str) -> str:
    """Replace what XML 1.0 cannot hold, control characters and lone surrogates, by U+FFFD."""
    return _NOT_XML.sub("\ufffd", text)


_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _class_or_region(state: ReviewState, name: str) -> PathClass:
    return class_named(state.classes, name) if name else REGION


def _centre(points: Outline) -> list[float]:
    """(x, y) of the middle of the bounding box, in the frame of the file."""
    corners = np.asarray(points)
    middle: list[float] = to_file_xy((corners.min(axis=0) + corners.max(axis=0)) / 2).tolist()
    return middle


def _xy(points: Sequence[tuple[float, float]]) -> list[list[float]]:
    listed: list[list[float]] = to_file_xy(np.asarray(points)).tolist()
    return listed


def _hex(path_class: PathClass) -> str:
    return "#{:02x}{:02x}{:02x}".format(*path_class.color)
