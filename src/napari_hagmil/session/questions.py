"""Questions about the last run that need the model: what a branch contributes, what was cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.cascade import (
    Branch,
    SecondLook,
    SecondLookPlan,
    Stage,
    second_look,
    without_branch,
)
from napari_hagmil.features import FeatureSource
from napari_hagmil.geometry import magnification_label
from napari_hagmil.models import CascadeModel
from napari_hagmil.quadtree import Nodes


@dataclass(frozen=True)
class Questions:
    """A run that can be questioned; answers take seconds, so ask from a worker's thread.

    Attributes
    ----------
    model : CascadeModel
        Of the run.
    features : FeatureSource
        As the model wants them, with their ancestors' where it was trained so.
    stages : tuple of Stage
        What the run found, coarse to fine.
    tissue : tuple of (n, 2) int64, optional
        The nodes with tissue, by depth, where the model leaves glass out.
    """

    model: CascadeModel
    features: FeatureSource
    stages: tuple[Stage, ...]
    tissue: tuple[Nodes, ...] | None = None

    def without_branch(self, branch: Branch) -> list[NDArray[np.float64] | None]:
        """Class probabilities after every stage without a branch.

        None where nothing else was looked at.
        """
        return without_branch(self.model, self.features, self.stages, branch)

    def second_look(self, plan: SecondLookPlan) -> SecondLook | None:
        """Open cut branches and judge them.

        None where nothing was cut, or where the run did not reach the depth below.
        """
        if plan.depth + 1 >= len(self.stages):
            return None
        return second_look(self.model, self.features, self.stages, plan, self.tissue)


def second_look_sentence(look: SecondLook, mpp: float, *, classes: tuple[str, ...]) -> str:
    """What a second look found, in words.

    Parameters
    ----------
    look : SecondLook
        The answer.
    mpp : float
        µm per pixel at its depth.
    classes : tuple of str
        In the order of the probabilities.
    """
    n, hits = len(look.sampled), len(look.hidden)
    first = int(look.before.argmax())
    if n == look.population:
        rest = f"All {n:,} branches that {magnification_label(mpp)} cut were opened"
        share = f"{hits:,} of them ({100 * look.share:.0f} %) hide"
    else:
        rest = (
            f"{n:,} of the {look.population:,} branches that {magnification_label(mpp)} cut "
            "were drawn at random and opened"
        )
        share = (
            f"{hits:,} of them hide as much; of all of them it is {100 * look.low:.0f} to "
            f"{100 * look.high:.0f} % (95 % interval)"
        )
    ending = " as much attention as a typical followed branch" if n == look.population else ""
    return (
        f"{rest}: {share}{ending}. As much means: the highest attention below the branch reaches "
        f"the median of the followed ones. With them in the bag {classes[first]} goes from "
        f"{100 * look.before[first]:.1f} to {100 * look.after[first]:.1f} % at the next depth."
    )
