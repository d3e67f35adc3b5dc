"""An analysis as napari layers: layer tuples, every one in µm.

All layers of a slide share its frame: level-0 pixel (0, 0) is centred on the origin, one
world unit is one µm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.utils.colormaps import Colormap
from napari.utils.colormaps.standardize_color import transform_color
from numpy.typing import NDArray

from napari_hagmil.attention import attention_map, branch_outlines
from napari_hagmil.cascade import Stage
from napari_hagmil.geometry import magnification_label, overlay_placement
from napari_hagmil.plugin.colors import CUT, FOLLOWED, UNREAD
from napari_hagmil.quadtree import Nodes, PatchGrid, is_among
from napari_hagmil.slide import Slide
from napari_hagmil.slide.interface import Channel
from napari_hagmil.slide.shown import white_of

LayerTuple = tuple[Any, dict[str, Any], str]

#: Where this package keeps its facts in a layer's metadata.
KEY = "napari_hagmil"

#: Blue to yellow, readable with any colour vision; neither end is a colour of H&E.
ATTENTION_COLORMAP = "cividis"

#: Strong enough to see from afar, clear enough to see the nuclei under it.
ATTENTION_OPACITY = 0.4

#: A dark veil over what was never seen at high power: what was seen stands out.
UNSEEN_COLOR, UNSEEN_OPACITY = (0.02, 0.03, 0.08, 1.0), 0.55


def slide_layer(slide: Slide) -> LayerTuple:
    """The slide as a multiscale image of dask arrays, its coarsest in memory.

    A slide of several channels becomes a layer per channel, named as the file names it.
    """
    from napari_hagmil.slide.lazy import lazy_levels  # brings dask, which a refused path needs not

    mpp = slide.mpp or 1.0
    unit = "um" if slide.mpp else "pixel"
    metadata = {"path": str(slide.path), "mpp": slide.mpp, "fingerprint": slide.fingerprint}
    levels = lazy_levels(slide.view_levels())
    slide.read_views_ahead()
    coarsest = levels[-1]
    look = _colours_look(coarsest) if slide.is_rgb else _channels_look(slide, coarsest)
    if not slide.is_rgb and slide.n_channels == 1:
        levels = [level[..., 0] for level in levels]
    return (
        levels,
        {
            "name": slide.name,
            "multiscale": True,
            "scale": (mpp, mpp),
            "units": (unit, unit),
            "metadata": {KEY: metadata},
            **look,
        },
        "image",
    )


def placed(layer: LayerTuple, slide: Slide) -> LayerTuple:
    """A picture that lies over a slide, where its file says.

    A slide is a frame of its own, from whose corner everything here counts.
    """
    placement = slide.reader.facts.placement
    if slide.is_brightfield or placement is None or not min(placement.scale) > 0:
        return layer
    data, meta, kind = layer
    place = {"scale": placement.scale, "translate": placement.translation, "units": ("um", "um")}
    return data, {**meta, **place}, kind


def _colours_look(coarsest: NDArray[Any]) -> dict[str, Any]:
    """Contrast from black to white: napari would stretch more than 8 bits between percentiles."""
    if coarsest.dtype == np.uint8:
        return {"rgb": True}
    return {"rgb": True, "contrast_limits": (0.0, white_of(coarsest))}


def _channels_look(slide: Slide, coarsest: NDArray[Any]) -> dict[str, Any]:
    """Contrast from the coarsest level: most fluorescence uses a corner of its range."""
    limits = [_contrast(coarsest[..., i]) for i in range(slide.n_channels)]
    if slide.n_channels == 1:
        return {"rgb": False, "contrast_limits": limits[0]}
    stated = slide.reader.facts.channels
    if len(stated) != slide.n_channels:
        stated = (Channel(),) * slide.n_channels
    look = {
        "channel_axis": 2,
        "name": [f"{slide.name} · {channel.name or i}" for i, channel in enumerate(stated, 1)],
        "contrast_limits": limits,
    }
    colors = [channel.color for channel in stated]
    # Many programs write the same white for every channel: then napari's own tell them apart.
    if all(int(color or "0", 16) for color in colors) and len(set(colors)) == len(colors):
        look["colormap"] = [f"#{color}" for color in colors]
    return look


def _contrast(values: NDArray[Any]) -> tuple[float, float]:
    known = values[np.isfinite(values)]  # a heat map knows nothing of most places
    low, high = (float(v) for v in np.percentile(known, (1, 99.8))) if known.size else (0.0, 1.0)
    return (low, high) if high > low else (low, low + 1)


def attention_layer(
    grid: PatchGrid, stage: Stage, mpp: float, *, opacity: float = ATTENTION_OPACITY
) -> LayerTuple:
    """One depth's attention percentiles over the slide; what was not visited is transparent.

    The raster is that of the whole grid, so that another budget changes its values alone.
    """
    amap = attention_map(grid, stage.nodes, stage.scores, crop=False)
    scale, translate = overlay_placement(amap.downsample, mpp, amap.origin)
    return (
        amap.values,
        {
            "name": f"Attention {magnification_label(grid.downsample * mpp)}",
            "scale": scale,
            "translate": translate,
            "units": ("um", "um"),
            "rgb": False,
            "colormap": ATTENTION_COLORMAP,
            "contrast_limits": (0.0, 100.0),
            "interpolation2d": "nearest",
            "blending": "translucent",
            "opacity": opacity,
            "metadata": {KEY: {"depth": stage.depth}},
        },
        "image",
    )


def branches_layer(
    grids: Sequence[PatchGrid], stages: Sequence[Stage], mpp: float, slide_shape: tuple[int, int]
) -> LayerTuple:
    """Outlines of the quadtree: followed branches, nested by depth, and where one was cut.

    Line segments, four a node: a vector layer is drawn and restyled at once where thousands of
    shapes take seconds, and nobody edits an outline by accident.
    """
    # The attention of the finest depth already shows which leaves were looked at.
    outlines = branch_outlines(grids, stages, slide_shape=slide_shape)
    outlines = outlines.only("followed", "pinned", "cut")
    corners = outlines.rectangles * mpp
    segments = np.stack([corners, np.roll(corners, -1, axis=1) - corners], axis=2)
    color_of = {
        status: transform_color(CUT if status == "cut" else FOLLOWED)[0]
        for status in set(outlines.status.tolist())
    }
    colors = [color_of[status] for status in outlines.status.tolist()]
    return (
        segments.reshape(-1, 2, 2),
        {
            "name": "Branches",
            "ndim": 2,
            "vector_style": "line",
            "edge_color": np.repeat(np.array(colors, dtype=np.float32).reshape(-1, 4), 4, axis=0),
            "edge_width": 1.0,
            "units": ("um", "um"),
            "features": {
                "depth": np.repeat(outlines.depth, 4),
                "status": np.repeat(outlines.status, 4),
            },
            "metadata": {KEY: {"branches": True}},
        },
        "vectors",
    )


def unread_layer(
    grids: Sequence[PatchGrid], stages: Sequence[Stage], mpp: float, slide_shape: tuple[int, int]
) -> LayerTuple:
    """A cross over every place that could not be read from the file."""
    outlines = branch_outlines(grids, stages, slide_shape=slide_shape)
    corners = outlines.only("unread").rectangles * mpp
    top_left, top_right, bottom_right, bottom_left = corners.transpose(1, 0, 2)
    segments = np.concatenate(
        [
            np.stack([top_left, bottom_right - top_left], axis=1),
            np.stack([top_right, bottom_left - top_right], axis=1),
        ]
    )
    return (
        segments,
        {
            "name": "Unread",
            "ndim": 2,
            "vector_style": "line",
            "edge_color": np.tile(transform_color(UNREAD), (len(segments), 1)),
            "edge_width": 1.0,
            "units": ("um", "um"),
            "metadata": {KEY: {"unread": True}},
        },
        "vectors",
    )


def unseen_layer(grid: PatchGrid, tissue: Nodes, stage: Stage | None, mpp: float) -> LayerTuple:
    """A veil over the tissue that the last depth has not looked at.

    Parameters
    ----------
    grid : PatchGrid
        Of the last depth.
    tissue : (n, 2) int64
        All its nodes with tissue.
    stage : Stage or None
        What it looked at; None: nothing yet.
    mpp : float
        µm per level-0 pixel.
    """
    unseen = tissue if stage is None else tissue[~is_among(tissue, stage.nodes)]
    veil = attention_map(grid, unseen, np.ones(len(unseen)), crop=False)
    scale, translate = overlay_placement(veil.downsample, mpp, veil.origin)
    return (
        veil.values,
        {
            "name": "Never seen at high power",
            "scale": scale,
            "translate": translate,
            "units": ("um", "um"),
            "rgb": False,
            "colormap": Colormap([UNSEEN_COLOR, UNSEEN_COLOR], name="unseen"),
            "contrast_limits": (0.0, 1.0),
            "interpolation2d": "nearest",
            "blending": "translucent",
            "opacity": UNSEEN_OPACITY,
            "metadata": {KEY: {"unseen": True}},
        },
        "image",
    )
