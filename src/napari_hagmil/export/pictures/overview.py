"""overview.png: the whole slide with the attention of the deepest stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_hagmil.attention import AttentionMap, attention_map
from napari_hagmil.attention.rings import label_areas, trace_rings
from napari_hagmil.cascade.result import SlideResult, Stage
from napari_hagmil.errors import OutputError
from napari_hagmil.export.pictures.legend import COLORS, OUTLINE, outline_thickness, with_legend
from napari_hagmil.files import replacing
from napari_hagmil.polygons import Rings
from napari_hagmil.review import Decision

Picture = NDArray[np.uint8]
"""(h, w, 3) RGB."""

#: Longer side of the slide in the picture, px, and in that of one stage.
_SIDE, _STAGE_SIDE = 1400, 640
#: Opacity of the lowest and of the highest percentile: high attention must catch the eye,
#: low attention must still differ from "not visited", which is left as it is.
_OPACITY = (0.35, 0.65)
_HALO = (255, 255, 255)
#: RGB of the regions' outlines, as in the window.
_DECISION_RGB: dict[Decision, tuple[int, int, int]] = {
    "unseen": (255, 92, 26),
    "accepted": (30, 144, 255),
    "rejected": (91, 100, 112),
}


def write_overview(
    thumbnail: Picture, thumb_downsample: float, result: SlideResult, path: str | Path
) -> None:
    """Write `overview_picture` as PNG; `OutputError` when the file cannot be written."""
    data = encode_png(overview_picture(thumbnail, thumb_downsample, result))
    with replacing(Path(path)) as draft:
        draft.write_bytes(data)


@dataclass(frozen=True, slots=True)
class Mark:
    """A region to be outlined and numbered on an overview.

    Attributes
    ----------
    rings : Rings
        Its outlines.
    decision : str
        "unseen", "accepted" or "rejected".
    """

    rings: Rings
    decision: Decision = "unseen"


def overview_picture(
    thumbnail: Picture,
    thumb_downsample: float,
    result: SlideResult,
    marks: Sequence[Mark] = (),
) -> Picture:
    """Draw the slide, tinted where the deepest stage looked, over a legend.

    The tint is the percentile of attention; places not visited keep their own colours. The
    branches that were followed are outlined, thicker where coarser.

    Parameters
    ----------
    thumbnail : (h, w, 3) uint8
        The whole slide, RGB, its corner at the slide's corner.
    thumb_downsample : float
        Level-0 pixels per thumbnail pixel.
    result : SlideResult
        Of that slide, in any state.
    marks : sequence of Mark
        Regions to be outlined and numbered, from 1.
    """
    picture, downsample = _enlarged(thumbnail, thumb_downsample, _SIDE)
    if result.stages:
        picture = _tinted(picture, downsample, result, result.stages[-1])
        for stage in result.stages:
            _draw_followed(picture, downsample, result, stage)
    for number, mark in enumerate(marks, start=1):
        _draw_mark(picture, downsample, mark, number)
    return with_legend(picture, downsample, result)


def stage_picture(
    thumbnail: Picture, thumb_downsample: float, result: SlideResult, stage: Stage
) -> Picture:
    """Draw the slide, tinted where one stage looked, the branches that it followed outlined."""
    picture, downsample = _enlarged(thumbnail, thumb_downsample, _STAGE_SIDE)
    picture = _tinted(picture, downsample, result, stage)
    _draw_followed(picture, downsample, result, stage)
    return picture


def _enlarged(thumbnail: Picture, downsample: float, side: int) -> tuple[Picture, float]:
    """A picture of the slide with a longer side of `side` px, and its downsample."""
    factor = side / max(thumbnail.shape[:2])
    height, width = (max(1, round(one * factor)) for one in thumbnail.shape[:2])
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    resized = cv2.resize(thumbnail, (width, height), interpolation=how)
    return np.ascontiguousarray(resized, np.uint8), downsample / factor


def _draw_followed(picture: Picture, downsample: float, result: SlideResult, stage: Stage) -> None:
    """Outline the branches that a stage followed, in place."""
    nodes = stage.nodes[stage.followed]
    if len(nodes):
        amap = attention_map(result.grids[stage.depth], nodes, np.ones(len(nodes)))
        lines = _outlines(amap, (result.slide.height, result.slide.width))
        _draw(picture, downsample, lines, outline_thickness(stage.depth))


def _draw_mark(picture: Picture, downsample: float, mark: Mark, number: int) -> None:
    """Outline a region, and put its number on a disc at its upper left, in place."""
    lines = [np.asarray(ring)[:, ::-1] for ring in (mark.rings.outer, *mark.rings.holes)]
    color = _DECISION_RGB[mark.decision]
    _draw(picture, downsample, lines, 4, color)
    left, top = ((lines[0].min(axis=0) + 0.5) / downsample).astype(int)
    radius = 24
    x = int(np.clip(left - radius // 2, radius, max(picture.shape[1] - radius, radius)))
    y = int(np.clip(top - radius // 2, radius, max(picture.shape[0] - radius, radius)))
    cv2.circle(picture, (x, y), radius, _HALO, -1, cv2.LINE_AA)
    cv2.circle(picture, (x, y), radius, color, 3, cv2.LINE_AA)
    text, font, scale = str(number), cv2.FONT_HERSHEY_SIMPLEX, 0.9 if number < 100 else 0.65
    (width, height), _ = cv2.getTextSize(text, font, scale, 2)
    place = (x - width // 2, y + height // 2)
    cv2.putText(picture, text, place, font, scale, (16, 16, 48), 2, cv2.LINE_AA)


def _tinted(picture: Picture, downsample: float, result: SlideResult, stage: Stage) -> Picture:
    """Blend the percentiles of a stage in."""
    amap = attention_map(result.grids[stage.depth], stage.nodes, stage.scores)
    rows, columns = (
        _raster_index(amap.edges(axis), picture.shape[axis], downsample) for axis in (0, 1)
    )
    # A border of NaN takes what lies before the first and after the last node. Colours are worked
    # out of a pixel per node, and enlarged then.
    scores = np.pad(amap.values, 1, constant_values=np.nan)
    visited = np.isfinite(scores)
    share = np.where(visited, scores, 0.0) / 100
    opacity = np.where(visited, np.interp(share, (0, 1), _OPACITY), 0.0)[..., None]
    tint = (COLORS[np.rint(share * 255).astype(np.intp)] * opacity).astype(np.float32)
    kept = (1 - opacity).astype(np.float32)
    blended = picture * kept[rows][:, columns]
    blended += tint[rows][:, columns]
    tinted: Picture = np.rint(blended, out=blended).astype(np.uint8)
    return tinted


def _raster_index(edges: NDArray[np.float64], size: int, downsample: float) -> NDArray[np.intp]:
    """Raster pixel, from 1, under each picture pixel; 0 and n + 1 outside the raster."""
    centres = (np.arange(size) + 0.5) * downsample - 0.5
    return np.searchsorted(edges, centres, side="right")


def _outlines(amap: AttentionMap, slide_shape: tuple[int, int]) -> list[NDArray[np.float64]]:
    """Rings (n, 2) of (x, y) around the nodes of a map, level-0 px."""
    rows, columns = amap.edges_on(slide_shape)
    areas = trace_rings(label_areas(np.isfinite(amap.values)))
    return [
        np.stack([columns[ring[:, 1]], rows[ring[:, 0]]], axis=1)
        for _, rings in areas
        for ring in rings
    ]


def _draw(
    picture: Picture,
    downsample: float,
    lines: Sequence[NDArray[np.float64]],
    thickness: int,
    color: tuple[int, int, int] = OUTLINE,
) -> None:
    """Draw closed lines, in place."""
    # Level-0 px to picture px, both with centres at integers; cv2 takes 1/16 px with shift 4.
    points = [
        np.rint(((line + 0.5) / downsample - 0.5) * 16).astype(np.int32)[:, None] for line in lines
    ]
    for ink, extra in ((_HALO, 2), (color, 0)):
        cv2.polylines(picture, points, True, ink, thickness + extra, cv2.LINE_AA, 4)


def encode_png(picture: Picture) -> bytes:
    """Encode an RGB picture (h, w, 3) uint8."""
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or not picture.size:
        raise OutputError(
            "a picture",
            "must be (h, w, 3) uint8 to be written",
            value=f"{picture.shape} {picture.dtype}",
            remedy="convert it to RGB",
        )
    data = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1]
    return bytes(data)
