"""Results made up from the dataclasses: no slide, no model."""

import numpy as np

from napari_hagmil.cascade.result import (
    CascadeResult,
    Cost,
    ModelFacts,
    Settings,
    SlideResult,
    SlideSummary,
    Stage,
)
from napari_hagmil.polygons import raster_shape
from napari_hagmil.quadtree import PatchGrid, children
from napari_hagmil.tissue import TissueMask

CLASSES = ("normal", "tumor")


def slide_result(
    *,
    shape=(9_000, 12_000),
    hot=(4_000.0, 5_000.0),
    budget=6,
    mpp=0.25,
    downsamples=(4.0, 2.0, 1.0),
    tissue=lambda y, x: np.ones(len(y), bool),
):
    """A finished cascade whose attention falls off with the distance from `hot` (y, x)."""
    stride = 224 * downsamples[0]
    rows, columns = (int(np.ceil(side / stride)) for side in shape)
    grids = tuple(
        PatchGrid(224, d, (rows << depth, columns << depth)) for depth, d in enumerate(downsamples)
    )
    nodes = np.argwhere(np.ones(grids[0].shape)).astype(np.int64)
    centres = (nodes + 0.5) * stride
    nodes = nodes[tissue(*centres.T)]
    stages = []
    for depth, grid in enumerate(grids):
        stage = _stage(depth, grid, nodes, np.array(hot), budget, depth == len(grids) - 1)
        stages.append(stage)
        nodes = children(stage.nodes[stage.followed])
    cost = Cost(
        sum(len(s.nodes) for s in stages),
        rows * columns * 21,
        len(stages[-1].nodes),
        rows * columns * 16,
        123_456_789,
        {"read": 1.25, "encode": 2.5, "model": 0.25, "total": 4.0},
    )
    return SlideResult(
        state="done",
        slide=SlideSummary("tumor_001.tif", "f00d", mpp, "tiff", shape[1], shape[0]),
        model=ModelFacts("demo", "ab" * 32, "efficientnet-lite0", CLASSES),
        settings=Settings((budget, budget), "cpu"),
        grids=grids,
        cascade=CascadeResult(tuple(stages), CLASSES),
        cost=cost,
        notes=("One patch could not be read; it counts as not visited.",),
        tissue=TissueMask(np.ones(raster_shape(shape, 32.0), bool), 32.0),
    )


def _stage(depth, grid, nodes, hot, budget, last):
    distance = np.hypot(*((nodes + 0.5) * grid.stride - hot).T)
    # A little unevenness that depends on the address alone.
    logits = -distance / 1500 + 0.3 * np.sin(nodes[:, 0] * 12.9898 + nodes[:, 1] * 78.233)
    attention = np.exp(logits - logits.max())
    attention = (attention / attention.sum()).astype(np.float32)
    followed = np.zeros(len(nodes), bool)
    pinned = np.zeros(len(nodes), bool)
    unread = vetoed = np.empty((0, 2), np.int64)
    if not last:
        order = np.argsort(-attention, kind="stable")
        followed[order[:budget]] = True
        pinned[order[-1]] = followed[order[-1]] = True
    if depth == 1:
        unread, vetoed, nodes = nodes[:1], nodes[1:3], nodes[3:]
        attention, followed, pinned = attention[3:], followed[3:], pinned[3:]
        attention = attention / attention.sum()
    return Stage(
        depth,
        nodes,
        attention,
        np.array([0.0, 0.5 + depth], np.float32),
        followed,
        pinned,
        unread,
        vetoed,
    )


def no_tissue_result():
    return SlideResult(
        state="no_tissue",
        slide=SlideSummary("blank.tif", "beef", 0.5, "given", 5_000, 4_000),
        model=ModelFacts("demo", "ab" * 32, "efficientnet-lite0", CLASSES),
        settings=Settings((6, 6), "cpu"),
        grids=(),
        cascade=None,
        cost=Cost(0, 0, 0, 0, 0, {"read": 0.1, "encode": 0.0, "model": 0.0, "total": 0.1}),
        notes=("blank.tif has no tissue; check the slide or give a tissue mask.",),
    )
