"""Bare glass beside the tissue: not looked at, unless a model was made so or somebody asks."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from forest import Model, Source, tree
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hagmil.cascade import (
    CascadeConfig,
    SecondLookPlan,
    Steering,
    forecast_depths,
    iter_cascade,
    second_look,
)
from napari_hagmil.models import BundleConfig, EncoderFacts, IATConfig
from napari_hagmil.models.config_json import config_from_json, config_to_json
from napari_hagmil.quadtree import Quadtree, children, is_among, parents


def with_glass(seed: int) -> Quadtree:
    """Half of the finest nodes hold tissue; a coarser node does where one below it does."""
    full = tree()
    rng = np.random.default_rng(seed)
    finest = full.nodes[2][rng.random(len(full.nodes[2])) < 0.5]
    middle = full.nodes[1][is_among(full.nodes[1], parents(finest))]
    coarsest = full.nodes[0][is_among(full.nodes[0], parents(middle))]
    return Quadtree(full.grids, (coarsest, middle, finest))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), budget=st.tuples(st.integers(1, 16), st.integers(1, 40)))
def test_no_place_without_tissue_is_asked_for_and_never_more_than_there_are(seed, budget):
    quadtree, source = with_glass(seed), Source()
    config = CascadeConfig(budget, tissue=quadtree.nodes)
    stages = list(iter_cascade(Model, quadtree, source, config))
    for depth, asked in source.asked:
        assert is_among(asked, quadtree.nodes[depth]).all()
    for above, stage in pairwise(stages):
        below = children(above.nodes[above.followed])
        tissue = below[is_among(below, quadtree.nodes[stage.depth])]
        assert sorted(map(tuple, stage.nodes)) == sorted(map(tuple, tissue))
    forecasts = forecast_depths(quadtree, config, lambda depth, nodes: len(nodes))
    for one, stage in zip(forecasts, stages, strict=True):
        assert len(stage.nodes) <= one.nodes <= len(quadtree.nodes[stage.depth])


def test_with_a_budget_for_all_the_cascade_looks_at_just_the_tissue():
    quadtree = with_glass(3)
    config = CascadeConfig((99, 999), tissue=quadtree.nodes)
    stages = list(iter_cascade(Model, quadtree, Source(), config))
    assert [len(stage.nodes) for stage in stages] == [len(nodes) for nodes in quadtree.nodes]


def test_the_papers_rule_opens_all_four_children():
    quadtree, source = with_glass(3), Source()
    stages = list(iter_cascade(Model, quadtree, source, CascadeConfig((3, 5))))
    assert [len(stage.nodes) for stage in stages[1:]] == [12, 20]


def test_below_a_pinned_branch_everything_is_shown():
    quadtree = with_glass(3)
    grid = quadtree.grids[2]
    glass = next(n for n in tree().nodes[2] if not is_among(n[None], quadtree.nodes[2])[0])
    region = grid.region(glass)
    steering = Steering(follow=((region.y + 1.0, region.x + 1.0),))
    config = CascadeConfig((1, 1), steering=steering, tissue=quadtree.nodes)
    *_, last = iter_cascade(Model, quadtree, Source(), config)
    assert is_among(glass[None], last.nodes)[0]


def test_a_second_look_leaves_the_glass_out_too():
    quadtree, source = with_glass(3), Source()
    config = CascadeConfig((2, 3), tissue=quadtree.nodes)
    stages = list(iter_cascade(Model, quadtree, source, config))
    source.asked.clear()
    second_look(Model, source, stages, SecondLookPlan(0, 5, seed=1), quadtree.nodes)
    for depth, asked in source.asked:
        assert is_among(asked, quadtree.nodes[depth]).all()


@pytest.mark.parametrize("children_", ["tissue", "all"])
def test_a_bundle_says_which_and_one_from_before_reads_glass(children_):
    stage = IATConfig(n_features=4, widths=(4,), heads=2)
    config = BundleConfig(
        name="a",
        encoder=EncoderFacts("e", None, 4),
        patch_size=8,
        mpp=(1.0, 0.5),
        classes=("normal", "tumor"),
        stages=(stage, stage),
        budget=(2,),
        children=children_,
    )
    text = config_to_json(config, weights_sha256="0")
    assert config_from_json(text, "a")[0] == config
    before = text.replace(f'  "children": "{children_}",\n', "")
    assert before != text
    assert config_from_json(before, "a")[0] == replace(config, children="all")
