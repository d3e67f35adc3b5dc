"""The truth that is planted: the lesions, and they as QuPath GeoJSON."""

import json
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_hagmil.phantom.config import PhantomConfig

#: Fixed, so that the same phantom gives its lesions the same ids.
NAMESPACE = uuid.UUID("6f2d9a54-5b0e-4c6e-9d1b-7a1c0f3e8b42")

Polygon = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Lesion:
    """One planted tumour.

    Attributes
    ----------
    polygon
        (n, 2) outline as (y, x) in level-0 pixels, pixel centres at integers, not closed.
    diameter_um
        Diameter of the circle of the same area, µm.
    area_um2
        Area of the polygon, µm².
    """

    polygon: Polygon
    diameter_um: float
    area_um2: float


@dataclass(frozen=True)
class PhantomTruth:
    """All that was planted on one slide; no lesions: healthy."""

    lesions: tuple[Lesion, ...]


def truth_geojson(config: PhantomConfig, truth: PhantomTruth) -> str:
    """All lesions as a FeatureCollection; (x, y) in level-0 pixels, pixel edges at integers."""
    features = [_feature(config, i, lesion) for i, lesion in enumerate(truth.lesions)]
    return json.dumps({"type": "FeatureCollection", "features": features})


def _feature(config: PhantomConfig, number: int, lesion: Lesion) -> dict[str, Any]:
    """One lesion as an annotation of QuPath's class Tumor."""
    corner = np.round(lesion.polygon[:, ::-1] + 0.5, 3)  # pixel centres at integers → pixel edges
    ring = np.concatenate((corner, corner[:1])).tolist()
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(NAMESPACE, f"{config!r} lesion {number}")),
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "objectType": "annotation",
            "name": f"Lesion {number + 1}",
            "classification": {"name": "Tumor", "color": [200, 0, 0]},
            "measurements": {
                "diameter_um": round(lesion.diameter_um, 3),
                "area_um2": round(lesion.area_um2, 3),
            },
        },
    }
