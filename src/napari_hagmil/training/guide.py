"""Guidance: a teacher that reads every finest instance shows the stages where to look.

From slide labels alone a coarse depth can learn only what is visible there; where that is not
enough, it follows the wrong branches. In training, however, the features of all depths are
available: a teacher reads all finest instances with their ancestors' features, and its attention,
added up over the descendants of a node, measures how much of the evidence lies below it. Each stage
is trained on the label and towards that attention; reading a slide needs no teacher.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_hagmil.models import BagModel
from napari_hagmil.quadtree import Nodes
from napari_hagmil.training.step import device_of
from napari_hagmil.training.training_slide import TrainingSlide


@dataclass(frozen=True)
class Guide:
    """The attention of a teacher on the finest nodes of some slides.

    Attributes
    ----------
    attention : mapping of str to (nodes (n, 2), attention (n,))
        By the slide's name.
    finest : int
        Depth of those nodes.
    """

    attention: Mapping[str, tuple[Nodes, NDArray[np.float64]]]
    finest: int

    def __call__(self, slide: TrainingSlide, depth: int, nodes: Nodes) -> Tensor | None:
        """The attention below each node, (n,) with the sum 1.

        None on slides that the guide does not cover, and where no node has attention below it.
        """
        if slide.name not in self.attention or not len(nodes):
            return None
        finest, attention = self.attention[slide.name]
        above = finest >> (self.finest - depth)
        width = int(max(above.max(), nodes.max())) + 1
        known, place = np.unique(above @ (width, 1), return_inverse=True)
        sums = np.append(np.bincount(place, attention), 0.0)
        wanted = nodes @ (width, 1)
        at = np.searchsorted(known, wanted)
        found = known[np.minimum(at, len(known) - 1)] == wanted
        below = sums[np.where(found, at, len(known))]
        if below.sum() < 1e-6:
            return None
        return torch.from_numpy((below / below.sum()).astype(np.float32))


def guide_from(
    teacher: BagModel,
    slides: Sequence[TrainingSlide],
    nodes: Sequence[Nodes],
    finest: int,
    background: int | None = None,
) -> Guide:
    """Record a teacher's attention on the finest nodes of every slide, `nodes` for each.

    Slides of the class `background` are left out: where nothing is found, no place is better to
    look at than another.
    """
    found, device = {}, device_of(teacher)
    with torch.inference_mode():
        for slide, some in zip(slides, nodes, strict=True):
            if slide.label != background:
                bag, read = slide.bag(finest, some)
                attention = teacher(bag.on(device).features).attention.cpu().double().numpy()
                found[slide.name] = (read, attention)
    return Guide(found, finest)
