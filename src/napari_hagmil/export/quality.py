"""A slide's artefacts in files: picture, shares, and a steering file that leaves them out."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from napari_hagmil.cascade.steering import SCHEMA as STEERING
from napari_hagmil.export.overview import Picture, encode_png
from napari_hagmil.files import replacing
from napari_hagmil.purpose import RESEARCH_USE
from napari_hagmil.quality import COLORS, KINDS, SlideQuality
from napari_hagmil.untrusted import well_formed

SCHEMA = "napari-hagmil/quality/1"

#: Opacity of an artefact's colour, and rows of the legend below the picture, px.
_OPACITY, _LEGEND = 0.55, 44


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
    height, width = thumbnail.shape[:2]
    picture = thumbnail.copy()
    for kind, found in quality.maps.items():
        mask = cv2.resize(
            found.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST
        ).astype(bool)
        color = np.array(COLORS[kind], np.float32)
        blended = (1 - _OPACITY) * picture[mask] + _OPACITY * color
        picture[mask] = blended.astype(np.uint8)
    return np.vstack([picture, _legend(quality, width)])


def _legend(quality: SlideQuality, width: int) -> Picture:
    legend = np.full((_LEGEND, width, 3), 255, np.uint8)
    step = width // max(len(quality.maps), 1)
    for number, (kind, share) in enumerate(quality.shares.items()):
        x = number * step + 6
        cv2.rectangle(legend, (x, 14), (x + 16, 30), COLORS[kind], -1)
        text = f"{kind} {share:.1%}"
        scale = min(0.5, 0.5 * (step - 30) / (9 * len(text)))
        cv2.putText(
            legend, text, (x + 22, 28), cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 1, cv2.LINE_AA
        )
    return legend


def _slide_shape(quality: SlideQuality) -> tuple[int, int]:
    height, width = (round(n * quality.downsample) for n in quality.specimen.shape)
    return height, width


def _text(document: dict[str, Any]) -> bytes:
    text = json.dumps(document, allow_nan=False, ensure_ascii=False, indent=1)
    return f"{well_formed(text)}\n".encode()


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as draft:
        draft.write_bytes(content)
