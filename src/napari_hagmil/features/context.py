"""Context down the tree: an instance that also carries what its ancestors looked like."""

from __future__ import annotations

import torch

from napari_hagmil.features.sources import FeatureSource
from napari_hagmil.quadtree import Nodes, parents


class WithAncestors:
    """Answers with a node's features followed by its parent's, its grandparent's and so on.

    Every ancestor of a node that the cascade opened has been looked at already, so a source
    that keeps what it encoded answers without a patch more.

    Parameters
    ----------
    source : FeatureSource
    """

    def __init__(self, source: FeatureSource) -> None:
        self.source = source

    def __call__(self, depth: int, nodes: Nodes) -> torch.Tensor:
        """(depth, (n, 2) nodes) → (n, (depth + 1) · n_features) float32; NaN where any is."""
        rows = [self.source(depth, nodes)]
        for above in range(depth - 1, -1, -1):
            nodes = parents(nodes)
            rows.append(self.source(above, nodes))
        return torch.cat(rows, dim=1)


class FromDepth:
    """Answers as if a deeper depth were the first: for a model that has no coarser ones.

    Parameters
    ----------
    source : FeatureSource
    first : int
        The depth that is asked for as 0.
    """

    def __init__(self, source: FeatureSource, first: int) -> None:
        self.source, self.first = source, first

    def __call__(self, depth: int, nodes: Nodes) -> torch.Tensor:
        """(depth, (n, 2) nodes) → (n, n_features) float32."""
        return self.source(depth + self.first, nodes)


def in_context(source: FeatureSource, context: str) -> FeatureSource:
    """The source as a bundle's `context` wants it: "none" or "ancestors"."""
    return WithAncestors(source) if context == "ancestors" else source
