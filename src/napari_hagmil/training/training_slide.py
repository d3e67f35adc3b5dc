"""Slides to learn from: a label, nodes, and where their features come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator

from napari_hagmil.errors import FeatureStoreError
from napari_hagmil.features import (
    FeatureSource,
    FromDepth,
    SlidePlane,
    columns_of,
    in_context,
    shifted,
)
from napari_hagmil.quadtree import Nodes, PatchGrid, Quadtree
from napari_hagmil.training.bags import Bag


@dataclass(frozen=True)
class TrainingSlide:
    """A slide to learn from.

    Attributes
    ----------
    name : str
    label : int
    tissue : tuple of (n, 2) int64
        The nodes with tissue of every depth, in Z-order.
    features : FeatureSource
    measured : tuple of float
        What was measured of it, where models learn an endpoint and no classes.
    """

    name: str
    label: int
    tissue: tuple[Nodes, ...]
    features: FeatureSource
    measured: tuple[float, ...] = ()

    @property
    def nodes(self) -> Nodes:
        """The tissue nodes of depth 0."""
        return self.tissue[0]

    @property
    def n_depths(self) -> int:
        """How many depths it has: a slide scanned at 20× has none at 40×."""
        return len(self.tissue)

    def quadtree(self) -> Quadtree:
        """What a cascade runs over; where the nodes lie on the slide plays no part."""
        grids = tuple(PatchGrid(1, 2.0**-depth, (1, 1)) for depth in range(len(self.tissue)))
        return Quadtree(grids, self.tissue)

    def bag(self, depth: int, nodes: Nodes) -> tuple[Bag, Nodes]:
        """The bag of some nodes, and those of them that could be read.

        Raises
        ------
        FeatureStoreError
            When there are none.
        """
        features = self.features(depth, nodes)
        read = features.isfinite().all(1)
        if not bool(read.all()):
            features, nodes = features[read], nodes[read.numpy()]
        if not len(nodes):
            raise FeatureStoreError(
                f"the features of {self.name}",
                f"have no readable patch for its bag at depth {depth}",
                remedy="encode the slide again, or leave it out",
            )
        measured = torch.tensor(self.measured) if self.measured else None
        return Bag(features, self.label, measured=measured), nodes


def joined_slides(slide: TrainingSlide, other: TrainingSlide, rng: Generator) -> TrainingSlide:
    """The slide with another beside it, before or after its own nodes, as one slide to descend.

    See `bags.join_bags`: `other` is of the class that means that nothing else was found, so that
    the label stays. The slide's own nodes keep their addresses, and a guide its places. `other`
    has all depths of the slide, or more.
    """
    offsets = columns_of((slide.nodes, other.nodes))
    step = -1 if rng.random() < 0.5 else 1
    tissue = tuple(
        np.concatenate((own, shifted(others, offsets[1], depth))[::step])
        for depth, (own, others) in enumerate(zip(slide.tissue, other.tissue, strict=False))
    )
    features = SlidePlane((slide.features, other.features), offsets)
    return TrainingSlide(slide.name, slide.label, tissue, features)


@dataclass(frozen=True)
class CohortSlide:
    """A slide with the features of all its depths: what every method of a protocol is given.

    Attributes
    ----------
    name : str
    label : int
    nodes : tuple of (n, 2) int64
        The tissue nodes of every depth that it has, in Z-order.
    features : FeatureSource
        For those nodes, and for all children of those of depth 0.
    patient : str
        Whom it is of; empty: nobody else's slide is in the cohort.
    measured : tuple of float
        What was measured of it, where models learn an endpoint and no classes.
    """

    name: str
    label: int
    nodes: tuple[Nodes, ...]
    features: FeatureSource
    patient: str = ""
    measured: tuple[float, ...] = ()

    def at(self, depths: Sequence[int], context: str = "none") -> TrainingSlide:
        """The slide as a method sees it that works on some consecutive depths.

        A slide without the last ones ends where its own do.

        Raises
        ------
        FeatureStoreError
            When it does not have the first.
        """
        first = depths[0]
        if len(self.nodes) <= first:
            raise FeatureStoreError(
                f"the features of {self.name}",
                f"end before depth {first}, where the method starts",
                value=f"{len(self.nodes)} depths",
                remedy="leave the slide out, or start at a depth that all slides have",
            )
        source = in_context(FromDepth(self.features, first), context)
        nodes = self.nodes[first : depths[-1] + 1]
        return TrainingSlide(self.name, self.label, nodes, source, self.measured)
