"""Places that look like one place, by the features that a run has of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.quadtree import Nodes


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """How much the nodes that one depth looked at look like one of them.

    Attributes
    ----------
    nodes : (n, 2) int64
        Addresses in the grid of the depth, the example among them.
    cosine : (n,) float32
        Of the angle between a node's features and the example's, -1 to 1; NaN where a node could
        not be read.
    example : int
        Which of the nodes the others are compared with.
    """

    nodes: Nodes
    cosine: NDArray[np.float32]
    example: int

    def most_alike(self, n: int, *, reach: int = 1) -> NDArray[np.intp]:
        """The `n` nodes most like the example, best first, each of another place.

        Parameters
        ----------
        n : int
            How many at most.
        reach : int
            Nodes fewer than `reach` + 1 addresses from the example, or from a better one, show
            the same place and are left out.
        """
        order = np.argsort(-self.cosine, kind="stable")  # NaN last
        order = order[np.isfinite(self.cosine[order])]
        chosen = [self.example]
        for i in order:
            if len(chosen) > n:
                break
            apart = np.abs(self.nodes[chosen] - self.nodes[i]).max(axis=1)
            if (apart > reach).all():
                chosen.append(int(i))
        return np.array(chosen[1:], dtype=np.intp)


def likeness(nodes: Nodes, features: NDArray[np.float32], example: int) -> Likeness:
    """Compare the features of nodes with those of one of them.

    Parameters
    ----------
    nodes : (n, 2) int64
        What a depth looked at.
    features : (n, n_features) float32
        Of each, from the encoder; a row that is not finite is of an unread node.
    example : int
        Which node the others are compared with.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        lengths = np.linalg.norm(features, axis=1)
        cosine = features @ features[example] / np.maximum(lengths * lengths[example], 1e-12)
    return Likeness(nodes, np.clip(cosine, -1.0, 1.0).astype(np.float32), example)
