"""The small picture of a slide in a cohort's table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_hagmil.attention import attention_map
from napari_hagmil.batch.folder import THUMBNAIL
from napari_hagmil.errors import HagmilError
from napari_hagmil.export.result_reader import read_result
from napari_hagmil.geometry import Region
from napari_hagmil.plugin.layers import ATTENTION_COLORMAP
from napari_hagmil.plugin.overview import overview_picture, tinted
from napari_hagmil.session.cohort.entry import CohortEntry
from napari_hagmil.session.runs.keeping import latest_kept
from napari_hagmil.slide import Slide, open_slide, read_scaled

#: Pixels of a stored picture beyond which it is none of ours.
_MOST = 2**20

Picture = NDArray[np.uint8]


def slide_picture(entry: CohortEntry, side: int) -> Picture | None:
    """A slide's picture, (h, w, 3), with attention where there is a result; for a worker's thread.

    Parameters
    ----------
    entry : CohortEntry
    side : int
        Its longest side, px.

    Returns
    -------
    array or None
        None where there is neither a stored picture nor a slide that can be read.
    """
    if entry.result is not None:
        stored = _stored(entry.result / THUMBNAIL, side)
        if stored is not None:
            return stored
    if entry.is_moved:
        return None
    try:
        with open_slide(entry.path) as slide:
            return _drawn(slide, side)
    except (HagmilError, OSError, ValueError):
        return None


def _stored(path: Path, side: int) -> Picture | None:
    try:
        with Image.open(path, formats=("JPEG",)) as image:
            if image.width * image.height > _MOST:
                return None
            small = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    small.thumbnail((side, side))
    return np.asarray(small)


def _drawn(slide: Slide, side: int) -> Picture:
    height, width = slide.shape
    scale = side / max(height, width)
    shape = max(1, round(height * scale)), max(1, round(width * scale))
    pixels = read_scaled(slide, Region(0, 0, height, width), shape, mark_unreadable=True)
    picture = overview_picture(pixels, side, rgb=slide.is_rgb)
    kept = latest_kept(slide.path)
    if kept is None:
        return picture
    try:
        result = read_result(kept)
    except HagmilError:
        return picture
    if result.slide.fingerprint != slide.fingerprint:
        return picture
    stage = result.stages[-1]
    amap = attention_map(result.grids[stage.depth], stage.nodes, stage.scores)
    return tinted(picture, slide.shape, amap, ATTENTION_COLORMAP)
