import numpy as np
import pytest
import torch
from puzzle_slides import FACTS, World, puzzles

from napari_hagmil.cascade import at_random
from napari_hagmil.models import LossConfig
from napari_hagmil.quadtree import children
from napari_hagmil.training import Guide, TrainConfig, TrainingSlide
from napari_hagmil.training.predictions import predict_slides
from napari_hagmil.training.protocol.fitting import FitSettings, build, fit
from napari_hagmil.training.protocol.methods import Method

COARSE = np.array([(0, 0), (0, 1), (0, 2)])
FINEST = children(children(COARSE))


def slide(name="s"):
    return TrainingSlide(name, 1, (COARSE,), lambda depth, nodes: torch.zeros(len(nodes), 2))


def test_a_node_is_worth_the_teachers_attention_on_all_that_lies_below():
    attention = np.arange(48.0) / np.arange(48.0).sum()
    guide = Guide({"s": (FINEST, attention)}, 2)
    below = attention.reshape(3, 16).sum(1)
    torch.testing.assert_close(guide(slide(), 0, COARSE).double(), torch.from_numpy(below))
    middle = children(COARSE[1:2])  # the part that was followed counts as all there is
    expected = attention[16:32].reshape(4, 4).sum(1)
    found = guide(slide(), 1, middle).double()
    torch.testing.assert_close(found, torch.from_numpy(expected / expected.sum()))


def test_a_guide_is_silent_where_it_knows_nothing():
    attention = np.zeros(48)
    attention[0] = 1.0  # below the first coarse node
    guide = Guide({"s": (FINEST, attention)}, 2)
    assert guide(slide("another"), 0, COARSE) is None
    assert guide(slide(), 0, COARSE[1:]) is None
    assert guide(slide(), 0, COARSE).tolist() == [1.0, 0.0, 0.0]


@pytest.mark.slow
def test_a_guided_cascade_meets_the_lesion_of_the_puzzle_where_chance_does_not():
    world = World.draw(0)
    drawn = puzzles(100, 1, world)
    method = Method(
        "guided",
        model="gated_ab_mil",
        options={"widths": [32], "hidden": 16},
        depths=(0, 1, 2),
        schedule="guided",
        context="ancestors",
        budget=(8, 8),
        standardise=True,
        training=TrainConfig(
            epochs=25,
            learning_rate=3e-3,
            accumulate=4,
            guidance=1.0,
            background=0,
            loss=LossConfig(instance_loss="none"),
        ),
    )
    model = build(method, FACTS, 0)
    slides = [puzzle.slide for puzzle in drawn]
    list(fit(method, model, slides[:80], slides[80:], FitSettings(0)))
    test = [puzzle for puzzle in puzzles(30, 2, world) if puzzle.lesion.any()]
    seen = [puzzle.slide.at((0, 1, 2), "ancestors") for puzzle in test]

    def recall(**how):
        nodes = predict_slides(model, seen, **how).nodes
        return np.mean([p.recall(some[-1]) for p, some in zip(test, nodes, strict=True)])

    assert recall() > 0.6
    assert recall(choose=lambda slide: at_random(1)) < 0.2
