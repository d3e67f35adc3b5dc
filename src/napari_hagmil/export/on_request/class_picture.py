"""A slide's picture with classes of places in colour, over a legend with their shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_hagmil.export.pictures.overview import Picture

#: Opacity of a class's colour, and rows of the legend below the picture, px.
_OPACITY, _LEGEND = 0.55, 44


@dataclass(frozen=True, eq=False)
class ClassLayer:
    """One class: where it is, and how it is drawn.

    Attributes
    ----------
    mask : (h, w) bool array
        Over the whole slide.
    color : (3,) int
        RGB.
    share : float
        Of the tissue, for the legend.
    """

    mask: NDArray[np.bool_]
    color: tuple[int, int, int]
    share: float


def class_picture(thumbnail: Picture, classes: Mapping[str, ClassLayer]) -> Picture:
    """The slide with its classes in colour, over a legend with their shares."""
    height, width = thumbnail.shape[:2]
    picture = thumbnail.copy()
    for layer in classes.values():
        mask = cv2.resize(
            layer.mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST
        ).astype(bool)
        color = np.array(layer.color, np.float32)
        blended = (1 - _OPACITY) * picture[mask] + _OPACITY * color
        picture[mask] = blended.astype(np.uint8)
    return np.vstack([picture, _legend(classes, width)])


def _legend(classes: Mapping[str, ClassLayer], width: int) -> Picture:
    legend = np.full((_LEGEND, width, 3), 255, np.uint8)
    step = width // max(len(classes), 1)
    for number, (name, layer) in enumerate(classes.items()):
        x = number * step + 6
        cv2.rectangle(legend, (x, 14), (x + 16, 30), layer.color, -1)
        text = f"{name} {layer.share:.1%}"
        scale = min(0.5, 0.5 * (step - 30) / (9 * len(text)))
        cv2.putText(
            legend, text, (x + 22, 28), cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 1, cv2.LINE_AA
        )
    return legend
