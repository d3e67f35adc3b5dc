"""The rule by which patients are called, chosen on validation slides."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_hagmil.training import patient_rule
from napari_hagmil.training.patient_rule import beside_each_other, chosen_patient_rule
from napari_hagmil.training.training_slide import TrainingSlide

NODES = np.array([[0, 0], [0, 1]])


def slide(name, label, n_depths=2):
    def features(depth, nodes):
        return torch.full((len(nodes), 1), float(ord(name[0])))

    return TrainingSlide(name, label, (NODES, np.repeat(NODES, 2, axis=0))[:n_depths], features)


@pytest.fixture
def answers(monkeypatch):
    """Give the chances of the last class that a model would: of slides, and of bags."""

    def give(single, bags):
        waiting = [single, bags]

        def predict(model, slides):
            chances = np.array(waiting.pop(0), dtype=float)
            assert len(chances) == len(slides)
            return SimpleNamespace(decisive=np.stack([1 - chances, chances], axis=1))

        monkeypatch.setattr(patient_rule, "predict_slides", predict)

    return give


def chosen(slides, patients):
    return chosen_patient_rule(None, slides, patients, lambda model, found: found)


#: A tumour in one of patient A's three slides, none in B's.
SLIDES = [slide("a", 1), slide("b", 0), slide("c", 0), slide("d", 0), slide("e", 0)]
PATIENTS = ["A", "A", "A", "B", "B"]


@pytest.mark.parametrize(
    ("single", "bags", "rule", "scores"),
    [
        ([0.9, 0.1, 0.1, 0.5, 0.5], [0.3, 0.6], "max", {"mean": 0.0, "max": 1.0, "bag": 0.0}),
        ([0.6, 0.6, 0.6, 0.1, 0.7], [0.3, 0.6], "mean", {"mean": 1.0, "max": 0.0, "bag": 0.0}),
        ([0.5, 0.1, 0.1, 0.5, 0.6], [0.8, 0.2], "bag", {"mean": 0.0, "max": 0.0, "bag": 1.0}),
        ([0.9, 0.9, 0.9, 0.1, 0.1], [0.8, 0.2], "mean", {"mean": 1.0, "max": 1.0, "bag": 1.0}),
    ],
)
def test_the_rule_with_the_highest_auc_over_patients_is_chosen(answers, single, bags, rule, scores):
    answers(single, bags)
    assert chosen(SLIDES, PATIENTS) == (rule, scores)


def test_nothing_is_chosen_where_every_slide_is_a_patient_or_all_patients_are_of_one_class(answers):
    assert chosen(SLIDES, list("ABCDE")) == (None, {})
    assert chosen(SLIDES, [""] * 5) == (None, {})
    answers([0.1, 0.2, 0.3], [0.2])
    assert chosen(SLIDES[1:4], ["B"] * 3) == (None, {})


def test_slides_beside_each_other_keep_their_own_features_down_to_the_depth_that_all_have():
    joined = beside_each_other([slide("a", 0), slide("b", 1, n_depths=1)])
    assert joined.label == 1
    assert joined.n_depths == 1
    assert joined.nodes.tolist() == [[0, 0], [0, 1], [0, 2], [0, 3]]
    values = joined.features(0, joined.nodes)[:, 0].tolist()
    assert values == [97.0, 97.0, 98.0, 98.0]
