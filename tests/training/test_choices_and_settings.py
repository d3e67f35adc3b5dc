"""What is chosen on which slides, and that no setting of a training is swapped or ignored."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from puzzles import N_FEATURES, SMALL, MarkedSlide, marked_bags, marked_slides

from napari_hagmil.cohort import Split
from napari_hagmil.models import (
    BundleConfig,
    CascadeModel,
    EncoderFacts,
    IntegratedAttentionTransformer,
    LossConfig,
)
from napari_hagmil.models.baselines import make_baseline
from napari_hagmil.training import (
    CascadeTraining,
    CohortSlide,
    Selection,
    TrainConfig,
    joint,
    loop,
    train_cascade,
    train_jointly,
    train_stage,
)
from napari_hagmil.training.bags import Bag, with_dropped_features
from napari_hagmil.training.optimisers import Stepper
from napari_hagmil.training.predictions import Predictions, figures
from napari_hagmil.training.protocol import runs
from napari_hagmil.training.protocol.fitting import FitSettings, build, fit, stage_training
from napari_hagmil.training.protocol.methods import FeatureFacts, Method
from napari_hagmil.training.step import bags_per_step

FACTS = FeatureFacts(EncoderFacts("none", None, N_FEATURES), 8, (1.0, 0.5, 0.25), ("no", "yes"))
OPTIONS = {
    "widths": (8,), "heads": 2, "instance_dim": 8, "gate_dim": 4, "residual_kernel": 3,
    "attention": "exact", "attention_dropout": 0.0, "gate_dropout": 0.0,
}  # fmt: skip
PLAIN = LossConfig(instance_loss="none")
ONCE = TrainConfig(epochs=1, learning_rate=1e-3, loss=PLAIN)


def predictions(labels, scores):
    p = np.stack([1 - np.array(scores), scores], axis=1)[:, None]
    n = len(labels)
    return Predictions(np.array(labels), np.log(p).astype("f4"), p, np.ones(n), 0.0, ((),) * n)


def cohort(n):
    sources = [MarkedSlide(i % 2, 100 + i) for i in range(n)]
    return [CohortSlide(f"s{i}", s.label, s.tissue, s) for i, s in enumerate(sources)]


def cascade():
    torch.manual_seed(0)
    config = BundleConfig(
        "m", FACTS.encoder, 8, FACTS.mpp, FACTS.classes, (SMALL,) * 3, (2, 4)
    )  # fmt: skip
    return CascadeModel(config)


def test_the_threshold_is_chosen_on_validation_and_never_on_the_test_slides():
    found = figures(predictions([0, 1], [0.6, 0.8]), predictions([0, 1], [0.2, 0.4]))
    assert found["threshold"] == pytest.approx(0.3)  # 0.7 on the test slides
    assert found["accuracy_youden"] == 0.5
    assert found["f1_youden"] == pytest.approx(2 / 3)


def test_k_is_chosen_on_validation_and_never_on_the_test_slides(tmp_path, monkeypatch):
    asked = []

    def chosen(model, slides, sweep):
        asked.append([slide.name for slide in slides])
        return model.config.budget

    monkeypatch.setattr(runs, "chosen_budget", chosen)
    method = Method("m", options=OPTIONS, budget=(2, 2), training=ONCE, choose_budget=True)
    split = Split(np.arange(4), np.arange(4, 6), np.arange(6, 8))
    list(runs.carry_out(runs.ProtocolRun(method, split, 0, tmp_path), cohort(8), FACTS))
    assert asked == [["s4", "s5"]]


MODELS = {
    "iat": lambda: IntegratedAttentionTransformer(SMALL),
    "iat, paper": lambda: IntegratedAttentionTransformer(replace(SMALL, patch_head="classes")),
    **{
        name: lambda name=name: make_baseline(name, N_FEATURES, 2)
        for name in ("clam_sb", "clam_mb", "dtfd_afs")
    },
}


@pytest.mark.parametrize("name", MODELS)
def test_the_weights_of_bag_and_instance_loss_are_honoured(name):
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    kind = "paper" if name == "iat, paper" else "clam"
    config = LossConfig(0.5, 3.0, instance_loss=kind, k=2)
    loss = model.loss(torch.randn(10, N_FEATURES), 1, config)
    assert loss.instance > 0.01
    assert loss.total.item() == pytest.approx(0.5 * loss.bag.item() + 3 * loss.instance.item())


@pytest.mark.parametrize("name", ["iat", "clam_sb", "clam_mb"])
def test_label_smoothing_reaches_the_loss(name):
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    loss = model.loss(torch.randn(10, N_FEATURES), 1, replace(PLAIN, label_smoothing=0.3))
    logits = loss.output.logits[None]
    expected = F.cross_entropy(logits, torch.tensor([1]), label_smoothing=0.3)
    assert loss.bag.item() == pytest.approx(expected.item())


def test_labels_are_smoothed_at_every_depth_but_the_finest():
    method = Method("m", training=TrainConfig(loss=LossConfig(label_smoothing=0.1)))
    smoothing = [stage_training(method, d, 3, 0).loss.label_smoothing for d in range(3)]
    assert smoothing == [0.1, 0.1, 0.0]


@pytest.mark.parametrize("schedule", ["joint", "stagewise"])
@pytest.mark.parametrize("training_budget", [(), (1, 2)])
def test_training_slides_are_read_with_the_k_of_training_and_validation_with_that_of_use(
    schedule, training_budget
):
    method = Method(
        "m", options=OPTIONS, schedule=schedule, budget=(3, 5), training_budget=training_budget,
        training=ONCE,
    )  # fmt: skip
    slides = cohort(6)
    list(fit(method, build(method, FACTS, 0), slides[:4], slides[4:], FitSettings(0)))
    used, trained = [(0, 16), (1, 12), (2, 20)], [(0, 16), (1, 4), (2, 8)]
    for i, slide in enumerate(slides):
        assert slide.features.asked == (trained if training_budget and i < 4 else used)


def test_joint_training_ends_by_the_validation_loss_of_the_finest_depth(monkeypatch):
    finest = iter([3.0, 2.0, 2.5, 2.6, 0.1])
    coarsest = iter([1.0, 0.9, 0.8, 0.7, 0.6])
    monkeypatch.setattr(
        joint,
        "_validate",
        lambda *a: [(next(coarsest), 0.5), (1.0, 0.5), (next(finest), 0.5)],
    )
    stage = replace(ONCE, epochs=9, patience=2)
    config = CascadeTraining((stage,) * 3, Selection((2, 4), (0, 0)), standardise=False)
    slides = marked_slides(2, seed=1)
    epochs = list(train_jointly(cascade(), slides, slides, config))
    assert [one.epoch.is_best for one in epochs if one.depth == 0] == [True, True, False, False]


@pytest.mark.parametrize("chance", [0.0, 1.0])
class TestJoining:
    def test_makes_larger_bags(self, chance, monkeypatch):
        sizes = []

        def spy(model, bag, *rest):
            sizes.append(len(bag.features))
            return original(model, bag, *rest)

        original = loop.bag_loss
        monkeypatch.setattr(loop, "bag_loss", spy)
        bags = marked_bags(4, seed=1)
        config = replace(ONCE, join=chance, background=0)
        list(train_stage(IntegratedAttentionTransformer(SMALL), bags, bags, config))
        assert sizes == [16 if chance else 8] * 4

    def test_makes_larger_slides_with_a_budget_each(self, chance, monkeypatch):
        sizes = []

        def spy(model, bag, *rest):
            sizes.append(len(bag.features))
            return original(model, bag, *rest)

        original = joint.bag_loss
        monkeypatch.setattr(joint, "bag_loss", spy)
        stage = replace(ONCE, join=chance, background=0)
        config = CascadeTraining((stage,) * 3, Selection((2, 4), (0, 0)), standardise=False)
        slides = marked_slides(2, seed=1)
        list(train_jointly(cascade(), slides, slides, config))
        assert sizes == [n * (2 if chance else 1) for n in (16, 8, 16)] * 2


def gradients_at_steps(monkeypatch):
    """The gradients that every step of an optimiser finds; no step is taken."""
    found = []

    def step(self):
        found.append([p.grad.clone() for p in self.parameters if p.grad is not None])
        for p in self.parameters:
            p.grad = None

    monkeypatch.setattr(Stepper, "step", step)
    return found


def test_gradients_are_averaged_over_the_bags_of_a_step(monkeypatch):
    torch.manual_seed(0)
    model = IntegratedAttentionTransformer(SMALL)
    bags = marked_bags(4, seed=1)
    found = gradients_at_steps(monkeypatch)
    list(train_stage(model, bags, bags, replace(ONCE, accumulate=4)))
    torch.stack([model.loss(b.features, b.label, PLAIN).total for b in bags]).mean().backward()
    (step,) = found
    expected = [p.grad for p in model.parameters() if p.grad is not None]
    for got, mean in zip(step, expected, strict=True):
        torch.testing.assert_close(got, mean, rtol=1e-4, atol=1e-6)


def test_gradients_are_averaged_over_the_slides_of_a_joint_step(monkeypatch):
    slides = marked_slides(4, seed=1)
    found = gradients_at_steps(monkeypatch)

    def gradients(accumulate):
        found.clear()
        stage = replace(ONCE, accumulate=accumulate)
        config = CascadeTraining((stage,) * 3, Selection((2, 4), (0, 0)), standardise=False)
        list(train_jointly(cascade(), slides, slides, config))
        return [found[depth::3] for depth in range(3)]

    single, averaged = gradients(1), gradients(4)
    for depth in range(3):
        (step,) = averaged[depth]
        for got, *each in zip(step, *single[depth], strict=True):
            torch.testing.assert_close(got, torch.stack(each).mean(0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("way", ["stage", "joint"])
def test_the_last_step_of_an_epoch_is_the_mean_of_the_bags_that_it_has(way, monkeypatch):
    # Five times one bag: a step of two, one of two and one of one have the same gradient.
    found = gradients_at_steps(monkeypatch)
    stage = replace(ONCE, accumulate=2)
    if way == "stage":
        bags = marked_bags(1, seed=1) * 5
        torch.manual_seed(0)
        list(train_stage(IntegratedAttentionTransformer(SMALL), bags, bags, stage))
    else:
        slides = marked_slides(2, seed=1)[1:] * 5
        config = CascadeTraining((stage,) * 3, Selection((2, 4), (0, 0)), standardise=False)
        list(train_jointly(cascade(), slides, slides, config))
    depths = 3 if way == "joint" else 1
    assert len(found) == 3 * depths
    for i, step in enumerate(found):
        for got, expected in zip(step, found[i % depths], strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


def test_a_step_counts_the_bags_that_its_depth_has():
    present = [True, False, True, True, False, False, True]
    assert bags_per_step(present, 3).tolist() == [2, 2, 2, 1, 1, 1, 1]
    assert bags_per_step([False, False, True], 2).tolist() == [1, 1, 1]  # nothing is divided by 0


def test_feedback_is_averaged_over_the_slides_of_a_step_as_the_loss_is(monkeypatch):
    found = gradients_at_steps(monkeypatch)
    slides = marked_slides(2, seed=1)[1:] * 2
    means = []
    for accumulate in (1, 2):
        found.clear()
        stage = replace(ONCE, accumulate=accumulate, feedback=2.0)
        config = CascadeTraining((stage,) * 3, Selection((2, 4), (0, 0)), standardise=False)
        list(train_jointly(cascade(), slides, slides, config))
        means.append(found[0])
    for one, both in zip(*means, strict=True):
        torch.testing.assert_close(one, both, rtol=1e-4, atol=1e-6)


def test_no_epoch_of_a_budget_that_still_narrows_is_kept_as_the_best(monkeypatch):
    finest = iter([0.1, 0.2, 3.0, 2.0, 2.5])  # with 2 epochs that narrow, best of the rest is 2.0
    monkeypatch.setattr(
        joint, "_validate", lambda *a: [(1.0, 0.5), (1.0, 0.5), (next(finest), 0.5)]
    )
    kept = []
    original = joint.RunState.take_best

    def take_best(run):
        kept.append(run.best)
        original(run)

    monkeypatch.setattr(joint.RunState, "take_best", take_best)
    stage = replace(ONCE, epochs=5, patience=2)
    selection = Selection((2, 4), (0, 0), 0, (4, 8), 2)
    config = CascadeTraining((stage,) * 3, selection, standardise=False)
    slides = marked_slides(2, seed=1)
    epochs = list(train_jointly(cascade(), slides, slides, config))
    assert kept == [2.0]
    best = [one.epoch.number for one in epochs if one.depth == 0 and one.epoch.is_best]
    assert best[-1] == 4


@pytest.mark.parametrize(
    ("stages", "more", "says"),
    [
        ({"epochs": 3}, {}, "one epochs for all depths"),
        ({"join": 0.5}, {}, "one join for all depths"),
        ({}, {"limits": ((1, 1),) * 3}, "no limits"),
        ({}, {"prefetch": print}, "no prefetch"),
    ],
)
def test_what_depths_that_learn_at_once_cannot_have_of_their_own_is_refused(stages, more, says):
    config = CascadeTraining(
        (replace(ONCE, **stages), ONCE, ONCE), Selection((2, 4), (0, 0)), **more
    )
    with pytest.raises(ValueError, match=says):
        next(train_jointly(cascade(), [], [], config))


@pytest.mark.parametrize("more", [{"first_budget": (8, 8), "narrowing": 2}, {"feedback": 1.0}])
def test_what_stages_that_learn_in_turn_cannot_have_is_refused(more):
    feedback = more.pop("feedback", 0.0)
    selection = Selection((2, 4), (0, 0), **more)
    config = CascadeTraining((replace(ONCE, feedback=feedback),) * 3, selection)
    with pytest.raises(ValueError, match="train them jointly"):
        next(train_cascade(cascade(), [], [], config))


def test_what_feature_dropout_leaves_is_scaled_up_to_keep_the_expectation():
    torch.manual_seed(0)
    bag = with_dropped_features(Bag(torch.ones(3, 1000), 0), 0.2)
    assert set(bag.features.unique().tolist()) == {0.0, 1.25}
    assert bag.features.mean().item() == pytest.approx(1, abs=0.05)
    assert (bag.features == bag.features[0]).all()  # the same ones of every instance
