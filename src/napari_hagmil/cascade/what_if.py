"""Questions to the model after a run: without a branch, and with branches that were cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.cascade.cut_branches import SecondLook, extended_bag, judge, sample_cut
from napari_hagmil.cascade.decide import decide, weights_of
from napari_hagmil.cascade.result import Stage
from napari_hagmil.cascade.run import StageModels, look_at
from napari_hagmil.cascade.trace import within_branch
from napari_hagmil.features import FeatureSource


def without_branch(
    model: StageModels,
    features: FeatureSource,
    stages: Sequence[Stage],
    branch: tuple[int, tuple[int, int]],
) -> list[NDArray[np.float64] | None]:
    """Class probabilities of every stage when one branch is taken out of its bag.

    No other branch takes its place: the budget is not spent anew. None where the bag would
    be empty.

    Parameters
    ----------
    model, features, stages
        Of the run.
    branch : (depth, (row, column))
        The node that the branch starts with; it and all below it are taken out.
    """
    found: list[NDArray[np.float64] | None] = []
    said: list[NDArray[np.float32]] = []
    for stage in stages:
        inside = within_branch(stage.nodes, stage.depth, branch)
        rest = stage
        if inside.any() and not inside.all():
            rest = look_at(model, features, stage.depth, stage.nodes[~inside])
        said.append(rest.logits)
        decided = replace(rest, decision=decide(said, weights_of(model)))
        found.append(None if inside.all() else decided.probabilities)
    return found


def second_look(
    model: StageModels,
    features: FeatureSource,
    stages: Sequence[Stage],
    sample: tuple[int, int, int],
) -> SecondLook | None:
    """Open some of the branches that a stage cut, and judge what they hide.

    Parameters
    ----------
    model, features, stages
        Of the run; it must have reached the depth below.
    sample : (depth, n, seed)
        The stage that cut them, how many to draw, and the seed of the draw.

    Returns
    -------
    SecondLook or None
        None where nothing was cut.
    """
    depth, n, seed = sample
    drawn = sample_cut(stages[depth], n, np.random.default_rng(seed))
    if not len(drawn):
        return None
    nodes = extended_bag(stages[depth + 1], drawn)
    seen = look_at(model, features, depth + 1, nodes)
    said = [*(stage.logits for stage in stages[: depth + 1]), seen.logits]
    seen = replace(seen, decision=decide(said, weights_of(model)))
    return judge(stages[depth], stages[depth + 1], drawn, seen)
