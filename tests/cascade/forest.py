"""A small quadtree, a model whose attention is a feature, and features known by place."""

import numpy as np
import torch

from napari_hagmil.models import BagOutput
from napari_hagmil.quadtree import PatchGrid, Quadtree, z_order


class FirstFeature(torch.nn.Module):
    """Attention is the softmax of the first feature."""

    def forward(self, features):
        return BagOutput(features.mean(0)[:2], features[:, 0].softmax(0), features.mean(0))


class Model:
    stages = (FirstFeature(), FirstFeature(), FirstFeature())
    depth_weights = ()
    temperatures = ()


def tree(side=4, n_depths=3):
    """Every node of a square slide holds tissue."""
    grids = tuple(
        PatchGrid(10, 2.0 ** (n_depths - 1 - d), (side << d,) * 2) for d in range(n_depths)
    )
    kept = []
    for grid in grids:
        all_nodes = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
        all_nodes = all_nodes.reshape(-1, 2).astype(np.int64)
        kept.append(all_nodes[z_order(all_nodes)])
    return Quadtree(grids, tuple(kept))


class Source:
    """Features by place: known to the test, and every question is kept."""

    def __init__(self, unreadable=(), unread=np.nan):
        self.asked, self.unreadable, self.unread = [], set(unreadable), unread

    def __call__(self, depth, nodes):
        self.asked.append((depth, nodes.copy()))
        rows = []
        for r, c in nodes:
            rng = np.random.default_rng([depth, int(r), int(c)])
            row = rng.normal(size=3)
            if (depth, int(r), int(c)) in self.unreadable:
                row[1] = self.unread
            rows.append(row)
        return torch.tensor(np.array(rows).reshape(-1, 3), dtype=torch.float32)
