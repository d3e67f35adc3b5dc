"""The attention regions of a result: what its deepest stage found."""

from __future__ import annotations

from napari_hagmil.attention import (
    DEFAULT_QUANTILE,
    AttentionRegion,
    attention_map,
    cut_to_tissue,
    find_regions,
)
from napari_hagmil.cascade.result import SlideResult


def found_regions(
    result: SlideResult, *, quantile: float = DEFAULT_QUANTILE
) -> list[AttentionRegion]:
    """Places of high attention at the deepest stage, on the tissue, best first.

    Parameters
    ----------
    result : SlideResult
        In any state; without a stage it has no region.
    quantile : float
        See `find_regions`.
    """
    if not result.stages:
        return []
    stage, slide = result.stages[-1], result.slide
    amap = attention_map(result.grids[stage.depth], stage.nodes, stage.attention)
    shape = slide.height, slide.width
    regions = find_regions(amap, mpp=slide.mpp, slide_shape=shape, quantile=quantile)
    if result.tissue is None:
        return regions
    return cut_to_tissue(regions, result.tissue, mpp=slide.mpp)
