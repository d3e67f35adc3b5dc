"""A slide's artefacts in files: picture, shares, and a steering file that leaves them out."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from napari_hagmil.cascade.steering import SCHEMA as STEERING
from napari_hagmil.export.on_request.class_picture import ClassLayer, class_picture
from napari_hagmil.export.pictures.overview import Picture, encode_png
from napari_hagmil.files import replacing
from napari_hagmil.purpose import RESEARCH_USE
from napari_hagmil.quality import COLORS, KINDS, SlideQuality
from napari_hagmil.untrusted import well_formed

SCHEMA = "napari-hagmil/quality/1"


def write_quality(
    quality: SlideQuality,
    thumbnail: Picture,
    folder: Path,
    *,
    name: str,
    leave_out: Collection[str] = KINDS,
) -> None:
    """Write quality.json, quality.png and leave-out.json, which ``--steer`` takes.

    Parameters
    ----------
    quality : SlideQuality
    thumbnail : (h, w, 3) uint8 array
        The whole slide, RGB.
    folder : Path
        Made where it is missing.
    name : str
        Of the slide.
    leave_out : collection of str
        Kinds whose places leave-out.json holds.

    Raises
    ------
    OutputError
        When they cannot be written.
    """
    places = quality.places(leave_out, _slide_shape(quality))
    steering = {"schema": STEERING, "follow": [], "leave_out": places}
    _write(folder / "quality.json", _text(quality_document(quality, name)))
    _write(folder / "leave-out.json", _text(steering))
    _write(folder / "quality.png", encode_png(quality_picture(thumbnail, quality)))


def quality_document(quality: SlideQuality, name: str) -> dict[str, Any]:
    """What quality.json says: the share of the specimen that each kind covers."""
    area = float(quality.specimen.sum()) * (quality.downsample * quality.mpp / 1000) ** 2
    return {
        "schema": SCHEMA,
        "purpose": RESEARCH_USE,
        "slide": name,
        "specimen_mm2": area,
        "shares": quality.shares,
        "notes": list(quality.notes),
    }


def quality_picture(thumbnail: Picture, quality: SlideQuality) -> Picture:
    """The slide with its artefacts in colour, over a legend with their shares."""
    layers = {
        kind: ClassLayer(quality.maps[kind], COLORS[kind], share)  # type: ignore[index]
        for kind, share in quality.shares.items()
    }
    return class_picture(thumbnail, layers)


def _slide_shape(quality: SlideQuality) -> tuple[int, int]:
    height, width = (round(n * quality.downsample) for n in quality.specimen.shape)
    return height, width


def _text(document: dict[str, Any]) -> bytes:
    text = json.dumps(document, allow_nan=False, ensure_ascii=False, indent=1)
    return f"{well_formed(text)}\n".encode()


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as draft:
        draft.write_bytes(content)
