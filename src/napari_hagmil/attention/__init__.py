"""Attention in space: nodes → raster → polygons, and the outlines of the branches."""

from napari_hagmil.attention.branches import BranchOutlines, branch_outlines
from napari_hagmil.attention.cut import cut_to_tissue
from napari_hagmil.attention.maps import AttentionMap, attention_map, value_at
from napari_hagmil.attention.regions import (
    DEFAULT_QUANTILE,
    AttentionRegion,
    RegionPatch,
    find_regions,
)

__all__ = [
    "DEFAULT_QUANTILE",
    "AttentionMap",
    "AttentionRegion",
    "BranchOutlines",
    "RegionPatch",
    "attention_map",
    "branch_outlines",
    "cut_to_tissue",
    "find_regions",
    "value_at",
]
