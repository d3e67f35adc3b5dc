"""A slide's epithelium in files: picture, shares, and outlines that ``--tissue`` takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from napari_hagmil.attention.tissue_outlines import tissue_polygons
from napari_hagmil.epithelium import CLASS_COLORS, CLASSES, EpitheliumMap
from napari_hagmil.export.geojson import EPITHELIUM, write_tissue
from napari_hagmil.export.on_request.class_picture import ClassLayer, class_picture
from napari_hagmil.export.pictures.overview import Picture, encode_png
from napari_hagmil.files import replacing
from napari_hagmil.purpose import RESEARCH_USE
from napari_hagmil.slide import Slide
from napari_hagmil.untrusted import well_formed

SCHEMA = "napari-hagmil/epithelium/1"


def write_epithelium(found: EpitheliumMap, slide: Slide, thumbnail: Picture, folder: Path) -> None:
    """Write epithelium.json, epithelium.png and epithelium.geojson.

    Parameters
    ----------
    found : EpitheliumMap
    slide : Slide
        That it was found on.
    thumbnail : (h, w, 3) uint8 array
        The whole slide, RGB.
    folder : Path
        Made where it is missing.

    Raises
    ------
    OutputError
        When they cannot be written.
    """
    text = json.dumps(epithelium_document(found, slide.name), ensure_ascii=False, indent=1)
    for name, content in (
        ("epithelium.json", f"{well_formed(text)}\n".encode()),
        ("epithelium.png", encode_png(epithelium_picture(thumbnail, found))),
    ):
        with replacing(folder / name) as draft:
            draft.write_bytes(content)
    write_tissue(
        folder / "epithelium.geojson",
        tissue_polygons(found.epithelium, slide.shape),
        fingerprint=slide.fingerprint,
        mpp=found.mpp,
        path_class=EPITHELIUM,
    )


def epithelium_document(found: EpitheliumMap, name: str) -> dict[str, Any]:
    """What epithelium.json says: the share of the tissue that each class covers."""
    return {
        "schema": SCHEMA,
        "purpose": RESEARCH_USE,
        "slide": name,
        "tissue_mm2": found.tissue_mm2,
        "shares": found.shares,
    }


def epithelium_picture(thumbnail: Picture, found: EpitheliumMap) -> Picture:
    """The slide with epithelium, stroma and lumen in colour, over a legend with their shares."""
    layers = {
        name: ClassLayer(found.values == value, CLASS_COLORS[name], found.shares[name])
        for value, name in enumerate(CLASSES, start=1)
    }
    return class_picture(thumbnail, layers)
