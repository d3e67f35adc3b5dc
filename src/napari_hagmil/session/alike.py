"""The question what else looks like a place; answered from features that the run has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_hagmil.cascade import Likeness, Stage, likeness
from napari_hagmil.features import FeatureSource
from napari_hagmil.quadtree import PatchGrid

if TYPE_CHECKING:
    from napari_hagmil.session.session import Session


@dataclass(frozen=True, slots=True)
class Example:
    """A node that others are to be compared with, at the deepest depth that looked at its place.

    Attributes
    ----------
    stage : Stage
        What that depth found.
    grid : PatchGrid
        Of the depth.
    index : int
        Which of the stage's nodes it is.
    features : FeatureSource
        Of patches alone, as the encoder gives them.
    """

    stage: Stage
    grid: PatchGrid
    index: int
    features: FeatureSource

    @property
    def node(self) -> tuple[int, int]:
        """Its address (row, column)."""
        row, column = self.stage.nodes[self.index].tolist()
        return row, column

    def compare(self) -> Likeness:
        """Compare all nodes of the depth with it; what was not kept is encoded again."""
        nodes = self.stage.nodes
        return likeness(nodes, self.features(self.stage.depth, nodes).numpy(), self.index)


def example_at(session: Session, y: float, x: float) -> Example | None:
    """The node of a level-0 pixel, as deep as the run that is shown looked there.

    None where it did not look, and where nothing is ready to give features: the model of a result
    that was read back is not loaded, or another.
    """
    features = session.features_of_shown
    if features is None:
        return None
    for stage in reversed(session.stages):
        grid = session.grids[stage.depth]
        found = np.flatnonzero(grid.holding(stage.nodes, (y, x)))
        if len(found):
            return Example(stage, grid, int(found[0]), features)
    return None
