"""Tiny bags whose answer is known: a mark on few instances of the tumour slides."""

import numpy as np
import torch

from napari_hagmil.models import IATConfig
from napari_hagmil.quadtree import children
from napari_hagmil.training import Bag, TrainingSlide

N_FEATURES = 4
MARK = 8.0

SMALL = IATConfig(
    n_features=N_FEATURES,
    widths=(16,),
    heads=2,
    instance_dim=16,
    gate_dim=8,
    attention_dropout=0.0,
    gate_dropout=0.0,
    attention="exact",
    residual_kernel=3,
)


def marked_bags(n, *, seed, size=8):
    """Every second bag is a tumour: its first two instances carry the mark."""
    rng = np.random.default_rng(seed)
    bags = []
    for i in range(n):
        x = rng.normal(5.0, 1.0, (size, N_FEATURES))
        x[:2, 0] += MARK * (i % 2)
        bags.append(Bag(torch.tensor(x, dtype=torch.float32), i % 2))
    return bags


class MarkedSlide:
    """Features of a slide with a mark on one 2 x 2 block of coarse nodes, and all below it."""

    def __init__(self, label, seed):
        self.label, self.seed, self.asked = label, seed, []
        self.nodes = children(children(np.array([(0, 0)])))
        self.tissue = (self.nodes, children(self.nodes), children(children(self.nodes)))
        self.at = self.nodes[np.random.default_rng(seed).integers(16)] if label else None

    def __call__(self, depth, nodes):
        self.asked.append((depth, len(nodes)))
        rows = []
        for node in nodes:
            rng = np.random.default_rng((self.seed, depth, *node))
            x = rng.normal(5.0, 1.0, N_FEATURES)
            x[depth] += MARK * self.is_marked(depth, node)
            rows.append(x)
        return torch.tensor(np.array(rows), dtype=torch.float32)

    def is_marked(self, depth, node):
        return self.at is not None and bool((np.asarray(node) >> depth == self.at).all())


def marked_slides(n, *, seed):
    sources = [MarkedSlide(i % 2, 100 * seed + i) for i in range(n)]
    return [TrainingSlide(f"slide {s.seed}", s.label, s.tissue, s) for s in sources]
