"""Several slides in one plane, as one slide to descend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hagmil.features.sources import FeatureSource
from napari_hagmil.quadtree import Nodes


@dataclass(frozen=True)
class SlidePlane:
    """Features of slides that lie beside each other, each some coarsest columns to the right.

    Attributes
    ----------
    sources : tuple of FeatureSource
    offsets : tuple of int
        First column of each at depth 0, ascending from 0; twice as many at each further depth.
    """

    sources: tuple[FeatureSource, ...]
    offsets: tuple[int, ...]

    def __call__(self, depth: int, nodes: Nodes) -> torch.Tensor:
        """Features of nodes of any slide, (n, d), in the order of the nodes."""
        shifts = np.array(self.offsets) << depth
        owner = np.searchsorted(shifts, nodes[:, 1], side="right") - 1
        found: list[torch.Tensor] = []
        order: list[NDArray[np.intp]] = []
        for i, source in enumerate(self.sources):
            here = np.flatnonzero(owner == i)
            # One is asked even for nothing, so that an empty answer has its width.
            if len(here) or (i == len(self.sources) - 1 and not found):
                found.append(source(depth, nodes[here] - np.array((0, shifts[i]))))
                order.append(here)
        return torch.cat(found)[torch.from_numpy(np.argsort(np.concatenate(order)))]


def columns_of(slides: Sequence[Nodes]) -> tuple[int, ...]:
    """Offsets at which slides do not overlap, from their nodes of depth 0."""
    widths = [int(nodes[:, 1].max()) + 1 if len(nodes) else 0 for nodes in slides]
    return tuple(int(start) for start in np.cumsum([0, *widths[:-1]]))


def shifted(nodes: Nodes, offset: int, depth: int) -> Nodes:
    """Nodes of a depth as they lie in the plane."""
    return np.asarray(nodes + np.array((0, offset << depth)))
