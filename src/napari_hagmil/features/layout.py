"""Lay out the patches of a slide: depths, tissue, quadtree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.depths import DepthPlan, plan_depths
from napari_hagmil.errors import NoTissueError, Remedy, SlideReadError
from napari_hagmil.quadtree import (
    Nodes,
    PatchGrid,
    Quadtree,
    build_quadtree,
    children,
    z_codes,
)
from napari_hagmil.slide import Slide, require_brightfield
from napari_hagmil.tissue import TissueMask, segment_tissue

#: A slide of which more than this share cannot be decoded is refused.
MAX_UNREAD = 0.5


@dataclass(frozen=True)
class Layout:
    """How the depths and patches of a model fall on a slide."""

    plan: DepthPlan
    tissue: TissueMask
    quadtree: Quadtree


@dataclass(frozen=True)
class FeatureTree:
    """Every node that a cascade can reach: the tissue of depth 0, and all that lies below.

    Attributes
    ----------
    grids : tuple of PatchGrid
        One per depth.
    nodes : tuple of (n, 2) int64
        Four times as many from depth to depth, in Z-order.
    tissue : tuple of (n,) bool
        Which of them hold tissue themselves; the others are glass beside tissue.
    """

    grids: tuple[PatchGrid, ...]
    nodes: tuple[Nodes, ...]
    tissue: tuple[NDArray[np.bool_], ...]


def lay_out(
    slide: Slide, mpp: Sequence[float], patch_size: int, *, tissue: TissueMask | None = None
) -> Layout:
    """Find the tissue of a slide, and lay the grids of all depths over it.

    Parameters
    ----------
    slide : Slide
    mpp : sequence of float
        µm per pixel of each depth, coarse to fine, each half the one before.
    patch_size : int
        px.
    tissue : TissueMask, optional
        Instead of the one that `segment_tissue` finds.

    Raises
    ------
    SlideFormatError
        When it is no RGB brightfield slide, or too coarse for the first depth.
    MissingPixelSizeError
        When it has no µm per pixel.
    SlideReadError
        When most of it cannot be decoded.
    NoTissueError
        When there is nothing to look at.
    """
    require_brightfield(slide)
    plan = plan_depths(slide.require_mpp(), mpp, name=slide.name)
    mask = segment_tissue(slide) if tissue is None else tissue
    if mask.thresholds.get("unread", 0.0) > MAX_UNREAD:
        raise SlideReadError(
            slide.name,
            f"cannot be decoded in {mask.thresholds['unread']:.0%} of its area",
            remedy="copy or export the file again",
        )
    return Layout(plan, mask, lay_quadtree(slide, plan, patch_size, mask))


def lay_quadtree(slide: Slide, plan: DepthPlan, patch_size: int, tissue: TissueMask) -> Quadtree:
    """Lay the grids of a plan's depths over a slide; `NoTissueError` when no node holds tissue."""
    quadtree = build_quadtree(
        tissue, slide_shape=slide.shape, patch_size=patch_size, downsamples=plan.downsamples
    )
    if not len(quadtree.nodes[0]):
        raise NoTissueError(
            slide.name,
            "shows no tissue at 8 µm per pixel",
            remedy=Remedy(
                library="check the slide, or give its tissue as a mask",
                command_line="check the slide, or draw the tissue and give it with --tissue",
                window="check the slide, or paint or import the tissue in the tab Slide",
            ),
        )
    return quadtree


def feature_tree(quadtree: Quadtree) -> FeatureTree:
    """All nodes below the tissue of depth 0."""
    nodes = [quadtree.nodes[0]]
    for _ in quadtree.grids[1:]:
        nodes.append(children(nodes[-1]))
    tissue = tuple(
        np.isin(z_codes(some), z_codes(known))
        for some, known in zip(nodes, quadtree.nodes, strict=True)
    )
    return FeatureTree(quadtree.grids, tuple(nodes), tissue)
