"""Slides to learn from: a label, nodes, and where their features come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_hagmil.features import FeatureSource, FromDepth, in_context
from napari_hagmil.quadtree import Nodes, PatchGrid, Quadtree
from napari_hagmil.training.bags import Bag


@dataclass(frozen=True)
class TrainingSlide:
    """A slide to learn from.

    Attributes
    ----------
    name : str
    label : int
    nodes : (n, 2) int64
        The tissue nodes of depth 0, in Z-order.
    features : FeatureSource
    """

    name: str
    label: int
    nodes: Nodes
    features: FeatureSource

    def quadtree(self, n_depths: int) -> Quadtree:
        """What a cascade runs over; where the nodes lie on the slide plays no part."""
        grids = tuple(PatchGrid(1, 2.0**-depth, (1, 1)) for depth in range(n_depths))
        return Quadtree(grids, (self.nodes, *[self.nodes[:0]] * (n_depths - 1)))

    def bag(self, depth: int, nodes: Nodes) -> tuple[Bag, Nodes]:
        """The bag of some nodes, and those of them that could be read."""
        features = self.features(depth, nodes)
        read = ~features.isnan().any(1)
        if not bool(read.all()):
            features, nodes = features[read], nodes[read.numpy()]
        return Bag(features, self.label), nodes


@dataclass(frozen=True)
class CohortSlide:
    """A slide with the features of all its depths: what every method of a protocol is given.

    Attributes
    ----------
    name : str
    label : int
    nodes : tuple of (n, 2) int64
        The tissue nodes of every depth, in Z-order.
    features : FeatureSource
        For those nodes, and for all children of those of depth 0.
    """

    name: str
    label: int
    nodes: tuple[Nodes, ...]
    features: FeatureSource

    def at(self, depths: Sequence[int], context: str = "none") -> TrainingSlide:
        """The slide as a method sees it that works on some consecutive depths."""
        first = depths[0]
        source = in_context(FromDepth(self.features, first), context)
        return TrainingSlide(self.name, self.label, self.nodes[first], source)
