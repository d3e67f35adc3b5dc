"""Counterfactuals after a run: without a branch, and with branches that were cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.cascade.cut_branches import (
    SecondLook,
    SecondLookPlan,
    extended_bag,
    sample_cut,
    second_look_at,
)
from napari_hagmil.cascade.result import Stage, decision_logits
from napari_hagmil.cascade.run import look_at
from napari_hagmil.cascade.trace import Branch, within_branch
from napari_hagmil.features import FeatureSource
from napari_hagmil.models import CascadeModel
from napari_hagmil.quadtree import Nodes, is_among


def without_branch(
    model: CascadeModel,
    features: FeatureSource,
    stages: Sequence[Stage],
    branch: Branch,
) -> list[NDArray[np.float64] | None]:
    """Class probabilities of every stage when one branch is taken out of its bag.

    The selection stays as it was: no other branch takes its place. A stage whose bag would be
    empty gives None.

    Parameters
    ----------
    model, features, stages
        Of the run.
    branch : Branch
        It and all below it are taken out.
    """
    probabilities: list[NDArray[np.float64] | None] = []
    logits: list[NDArray[np.float32]] = []
    for stage in stages:
        inside = within_branch(stage.nodes, stage.depth, branch)
        rest = stage
        if inside.any() and not inside.all():
            rest = look_at(model, features, stage.depth, stage.nodes[~inside])
        logits.append(rest.logits)
        decided = replace(
            rest, decision=decision_logits(logits, model.depth_weights, model.temperatures)
        )
        probabilities.append(None if inside.all() else decided.probabilities)
    return probabilities


def second_look(
    model: CascadeModel,
    features: FeatureSource,
    stages: Sequence[Stage],
    plan: SecondLookPlan,
    tissue: tuple[Nodes, ...] | None = None,
) -> SecondLook | None:
    """Open some of the branches that a stage cut, and compare them with those it followed.

    Parameters
    ----------
    model, features, stages
        Of the run; it must have reached the depth below.
    plan : SecondLookPlan
    tissue : tuple of (n, 2) int64, optional
        See `CascadeConfig`: without it glass below the opened branches is looked at too.

    Returns
    -------
    SecondLook or None
        None where nothing was cut.
    """
    depth = plan.depth
    drawn = sample_cut(stages[depth], plan)
    if not len(drawn):
        return None
    nodes = extended_bag(stages[depth + 1], drawn)
    if tissue is not None:
        known = is_among(nodes, stages[depth + 1].nodes)
        nodes = nodes[known | is_among(nodes, tissue[depth + 1])]
    seen = look_at(model, features, depth + 1, nodes)
    logits = [*(stage.logits for stage in stages[: depth + 1]), seen.logits]
    seen = replace(seen, decision=decision_logits(logits, model.depth_weights, model.temperatures))
    return second_look_at(stages[depth], stages[depth + 1], drawn, seen)
