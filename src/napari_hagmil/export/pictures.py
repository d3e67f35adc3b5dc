"""Pictures as PNG."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_hagmil.errors import OutputError

Picture = NDArray[np.uint8]
"""(h, w, 3) RGB."""


def encode_png(picture: Picture) -> bytes:
    """Encode an RGB picture (h, w, 3) uint8."""
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or not picture.size:
        raise OutputError(
            f"a picture must be (h, w, 3) uint8 to be written, got {picture.shape} "
            f"{picture.dtype}; convert it to RGB"
        )
    data = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1]
    return bytes(data)
