"""The planted truth as QuPath GeoJSON."""

import json
import uuid
from typing import Any

import numpy as np

from napari_hagmil.phantom.model import Lesion, PhantomConfig, PhantomTruth

NAMESPACE = uuid.UUID("6f2d9a54-5b0e-4c6e-9d1b-7a1c0f3e8b42")


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
