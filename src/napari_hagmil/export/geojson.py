"""GeoJSON as QuPath writes and reads it: (x, y) with pixel edges at integers."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.attention import AttentionRegion
from napari_hagmil.files import replacing
from napari_hagmil.geometry import to_file_xy
from napari_hagmil.polygons import Rings, area_of, signed_area
from napari_hagmil.purpose import RESEARCH_USE
from napari_hagmil.review.classes import PathClass
from napari_hagmil.untrusted import well_formed

#: Names of region ids: the same slide and outline give the same id, run after run.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "napari-hagmil/region/1")


#: The property of a feature under which QuPath writes and reads the objects that lie within it (as
#: its own export with "include children" does); to other readers it is one more property.
CHILDREN = "childObjects"

#: One of QuPath's default classes.
REGION = PathClass("Region*", (0, 0, 180))
TISSUE = PathClass("Tissue", (0, 158, 115))
EPITHELIUM = PathClass("Epithelium", (0, 158, 115))
#: Orange of Okabe and Ito's palette: distinct from pink tissue and from blue, also to the colour
#: blind.
ATTENTION = PathClass("Attention", (230, 159, 0))


def write_geojson(
    path: str | Path,
    regions: Sequence[AttentionRegion],
    *,
    fingerprint: str,
    path_class: PathClass = REGION,
    magnification: float | None = None,
) -> None:
    """Write attention regions for QuPath, best first, as a FeatureCollection.

    Parameters
    ----------
    path : path
        Replaced whole.
    regions : sequence of AttentionRegion
        In level-0 px.
    fingerprint : str
        Of the slide; with a region's outline it makes the region's id.
    path_class : PathClass
        Class of every region.
    magnification : float, optional
        Of the depth that found them: 40 for 40×.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    features = [
        region_feature(
            region,
            name=f"Attention {number}",
            fingerprint=fingerprint,
            path_class=path_class,
            measurements={} if magnification is None else {"Magnification": magnification},
        )
        for number, region in enumerate(regions, start=1)
    ]
    write_features(path, features)


def region_feature(
    region: AttentionRegion,
    *,
    name: str,
    fingerprint: str,
    path_class: PathClass = REGION,
    measurements: dict[str, float] | None = None,
) -> dict[str, Any]:
    """Make a QuPath annotation of one region, with its patches as child objects.

    `measurements` are added to score and area.
    """
    rings = [closed_ring(region.polygon), *(closed_ring(h, hole=True) for h in region.holes)]
    measured = {
        "Attention score (percentile)": region.score,
        "Area µm^2": region.area_um2,
        "Patches": float(region.n_nodes),
        **(measurements or {}),
    }
    feature = _annotation(fingerprint, rings, name, path_class, measured)
    if region.patches:
        feature["properties"][CHILDREN] = [
            patch_feature(
                patch.box,
                patch.score,
                feature_id=_id(fingerprint, ["patch", *patch.box]),
                path_class=ATTENTION,
            )
            for patch in region.patches
        ]
    return feature


def write_tissue(
    path: str | Path,
    polygons: Sequence[Rings],
    *,
    fingerprint: str,
    mpp: float,
    path_class: PathClass = TISSUE,
) -> None:
    """Write the tissue for QuPath, an annotation per piece.

    Parameters
    ----------
    path : path
        Replaced whole.
    polygons : sequence of Rings
        In level-0 px.
    fingerprint : str
        Of the slide.
    mpp : float
        µm per level-0 px.
    path_class : PathClass
        Class of every piece, which is named after it.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    features = []
    for number, one in enumerate(polygons, start=1):
        outer, *holes = map(np.asarray, (one.outer, *one.holes))
        rings = [closed_ring(outer), *(closed_ring(hole, hole=True) for hole in holes)]
        measured = {"Area µm^2": area_of(one) * mpp**2}
        name = f"{path_class.name} {number}"
        features.append(_annotation(fingerprint, rings, name, path_class, measured))
    write_features(path, features)


def _annotation(
    fingerprint: str,
    rings: list[list[list[float]]],
    name: str,
    path_class: PathClass,
    measured: Mapping[str, float],
) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": _id(fingerprint, rings),
        "geometry": {"type": "Polygon", "coordinates": rings},
        "properties": {
            "objectType": "annotation",
            "name": name,
            "classification": {"name": path_class.name, "color": list(path_class.color)},
            "measurements": {key: json_number(value) for key, value in measured.items()},
        },
    }


def patch_feature(
    box: tuple[float, float, float, float],
    score: float,
    *,
    feature_id: str,
    path_class: PathClass,
    said: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Make a QuPath tile of a patch: `box` is y0, x0, y1, x1, `said` its metadata."""
    y0, x0, y1, x1 = box
    ring = closed_ring(np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)]))
    properties: dict[str, Any] = {
        "objectType": "tile",
        "classification": {"name": path_class.name, "color": list(path_class.color)},
        "measurements": {"Attention score (percentile)": json_number(score)},
    }
    if said:
        properties["metadata"] = dict(said)
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "id": feature_id, "geometry": geometry, "properties": properties}


def _id(fingerprint: str, what: Sequence[Any]) -> str:
    return str(uuid.uuid5(_NAMESPACE, fingerprint + json.dumps(what)))


def write_features(
    path: str | Path,
    features: Sequence[dict[str, Any]],
    *,
    review: Mapping[str, Any] | None = None,
) -> None:
    """Write features, made by `region_feature` or alike, as a FeatureCollection.

    `review` describes all of them; it becomes a foreign member of the collection (RFC 7946,
    section 6.1), which QuPath ignores.
    """
    collection: dict[str, Any] = {"type": "FeatureCollection", "purpose": RESEARCH_USE}
    collection["features"] = list(features)
    if review:
        collection["review"] = dict(review)
    text = json.dumps(collection, allow_nan=False, ensure_ascii=False, indent=1)
    with replacing(Path(path)) as draft:
        draft.write_text(well_formed(text) + "\n", encoding="utf-8")


def closed_ring(polygon: NDArray[np.float64], *, hole: bool = False) -> list[list[float]]:
    """Close a ring, as (x, y); outer ones counterclockwise, holes clockwise (RFC 7946)."""
    if (signed_area(polygon) < 0) != hole:
        polygon = polygon[::-1]
    points: list[list[float]] = to_file_xy(polygon).tolist()
    return [*points, points[0]]


def json_number(value: float) -> float | str:
    """QuPath's measurements: JSON has no NaN and no infinity, so they are strings."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(value)
